"""The nearest right name for a wrong one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that *name* was most likely meant to be, or None if none is near."""
    from difflib import get_close_matches  # only a mistake needs it

    candidates = sorted(set(known))
    found = get_close_matches(name, candidates, n=1, cutoff=0.6)
    if not found:
        folded = {candidate.lower().replace("-", "_"): candidate for candidate in candidates}
        found = [folded[key] for key in get_close_matches(name.lower().replace("-", "_"), folded, n=1, cutoff=0.6)]
    return found[0] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` to put after a message, or nothing."""
    found = nearest(name, known)
    return f"; did you mean {found!r}?" if found is not None else ""
