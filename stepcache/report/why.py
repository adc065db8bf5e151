"""Why nodes ran, as `--why` prints it."""

from __future__ import annotations

from collections.abc import Iterable

from stepcache.model import NodeReport, Observation, Reason

_OBSERVED = {"dir": "listing", "names": "listing", "exists": "existence", "variable": "variable", "module": "module"}


def reason_lines(reasons: Iterable[Reason]) -> list[str]:
    """One line a reason, each once."""
    return list(dict.fromkeys(str(reason) for reason in reasons))


def in_brief(row: NodeReport) -> str:
    """Why a node has its outcome, in one line: what it ran for, or why it did not."""
    return row.message or ", ".join(reason_lines(row.why))


def why_lines(rows: Iterable[NodeReport], *, whole: bool = False) -> list[str]:
    """For each node that ran or would, its id and below it what was different.

    With *whole*, for every node, all that was observed as well, and what made more code count than was followed.
    """
    lines: list[str] = []
    for row in rows:
        own = [f"  {line}" for line in reason_lines(row.why)]
        if whole and row.observations:
            own += ["  observed:", *(f"    {line}" for line in observed_lines(row.observations))]
        if whole and row.uncertain:
            own += ["  not followed:", *(f"    {line}" for line in row.uncertain)]
        if own:
            lines += [row.id, *own]
    return lines


def observed_lines(observations: Iterable[Observation]) -> list[str]:
    """What was observed, by kind and name, sorted; of an environment variable only the name."""
    return sorted({f"{_OBSERVED.get(one.seen_as, one.seen_as)}: {one.label or one.name}" for one in observations})
