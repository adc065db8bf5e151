"""What happened to the nodes of a run, and to the run."""

from __future__ import annotations

import enum
from typing import Literal

from attrs import Factory, field

from stepcache.model.definitions import Problem
from stepcache.model.entries import Observation, Output, Reason, Value
from stepcache.model.graph import Kind
from stepcache.records import frozen

NodeOutcome = Literal[
    "cached", "ran", "failed", "blocked", "skipped", "given", "passed", "warned", "would-run", "unknown"
]


class ExitCode(enum.IntEnum):
    """pytest's exit statuses."""

    OK = 0
    FAILED = 1
    INTERRUPTED = 2
    INTERNAL = 3
    USAGE = 4
    NOTHING = 5


@frozen
class Failure:
    """How a node failed: the exception, the traceback's text from the user's frame on, and its last line."""

    summary: str
    text: str
    location: str
    exception: BaseException | None = field(default=None, eq=False)


@frozen
class Elements:
    """How many elements of a mapped step were taken from the cache, ran, failed, and were skipped."""

    cached: int = 0
    ran: int = 0
    failed: int = 0
    skipped: int = 0


@frozen
class Determinism:
    """What two executions of a step in fresh processes came to: whether they gave the same, None if that is not known.

    `told` is the first difference, how one of the two failed, or why it is not known.
    """

    same: bool | None
    told: str = ""


@frozen
class NodeReport:
    """What happened to a node: a row of the JSON report, and what the terminal shows beside it."""

    id: str
    kind: Kind
    outcome: NodeOutcome
    file: str
    seconds: float = 0.0
    why: tuple[Reason, ...] = ()
    key: str | None = None
    value: Value | None = None
    needs: tuple[str, ...] = ()
    saved_seconds: float = 0.0
    made: float | None = None
    """When the result that the cache has was made, in seconds since the epoch; None where it has none."""
    output: Output = Factory(Output)
    failure: Failure | None = None
    message: str = ""
    """Why it was skipped, or what blocks it."""
    observations: tuple[Observation, ...] = ()
    """All that was observed, for `--why -v`."""
    uncertain: tuple[str, ...] = ()
    """What made more code be taken in than was followed, for `--why -v`."""
    elements: Elements | None = None
    determinism: Determinism | None = None
    """Of a step that was run twice, under `--check-determinism`."""

    @property
    def error(self) -> str | None:
        """The failure in one line."""
        return self.failure.summary if self.failure else None


@frozen
class RunReport:
    """What a run did. `warnings` and `notices` are shown once, in the summary.

    `warnings` are the run's own, those of nodes stand in their rows. `stopped` says what ended it early, such as
    "stopping after 1 failure" or "KeyboardInterrupt".
    """

    exit_code: int
    seconds: float
    nodes: tuple[NodeReport, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    deselected: int = 0
    stopped: str = ""

    @property
    def saved_seconds(self) -> float:
        """What the hits of this run took to make."""
        return sum(row.saved_seconds for row in self.nodes)
