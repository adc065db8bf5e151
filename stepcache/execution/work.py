"""What goes to an executor and what comes back: plain data, so that it may cross to another process.

decide (parent) → Work → an executor runs the body, watches it and stores the value → Done → trace and row (parent)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from stepcache.errors import ValueGone
from stepcache.execution.values import Held, Product
from stepcache.key.conclude import Seen
from stepcache.key.ingredients import Facts
from stepcache.model import BoundResource, Failure, Node, Observation, Output, Value
from stepcache.records import frozen

LIVE = -1
# How many asynchronous bodies run at once: each has two files open.
MOST_TOGETHER = 100
_NOTHING_SEEN = Seen(())
_SILENT = Output()


@frozen(eq=False)
class Pieces:
    """Elements: chunks, and of each element the number of its chunk and its place in that.

    Those that cannot be stored are `objects`, and their places are in chunk `LIVE`.
    """

    chunks: tuple[Value, ...]
    places: tuple[tuple[int, int], ...]
    objects: tuple[Any, ...] = ()


@frozen(eq=False)
class Batch:
    """Elements that a mapped step is to be run for, one after the other.

    `given` are what the parameters annotated `Each` get, by parameter; `names` tell the elements apart. `number` tells
    the batch from others of the node.
    """

    given: Mapping[str, Pieces]
    names: tuple[bytes, ...]
    number: int


@frozen(eq=False)
class Ended:
    """What came of one element of a batch: as `Done`, but that what was seen is one of the batch's, by its number."""

    outcome: Literal["ran", "failed", "skipped"]
    seconds: float = 0.0
    seen: int = 0
    output: Output = _SILENT
    failure: Failure | None = None
    digest: bytes = b""
    classes: tuple[str, ...] = ()
    """Of the value that it gave, which is the next of the batch's stream: empty where it has none."""
    held: Held | None = None
    unstorable: str = ""
    message: str = ""


@frozen(eq=False)
class Work:
    """One node that is to be run, or a mapped one for some of its elements: a batch.

    `key` is the one that was decided on ("" where an input has no digest). `facts` is what the code says of what it
    reads. `inputs` are the products of the nodes whose values it, or a resource of its, takes, by node id; a variant
    without a value is not among them. `keeps` says whether the result is to be stored.
    """

    node: Node
    key: str
    facts: Facts
    inputs: Mapping[str, Product]
    resources: Mapping[str, BoundResource]
    keeps: bool
    batch: Batch | None = None

    @property
    def id(self) -> str:
        """The node's id; that of a batch says which of the node's it is."""
        return self.node.id if self.batch is None else f"{self.node.id} part {self.batch.number}"


@frozen(eq=False)
class Done:
    """What came of the work of that id.

    `outcome` is "ran" (a check: it passed), "failed", "skipped" by its own body (`message` says why), "gone" (an input
    could not be had, and nothing ran), "interrupted", or "refused" (it cannot run there; `message` says why).
    `product` is the value's place; `unstorable` says why it has none. `standing` is what the set-ups of its resources
    read.
    """

    work: str
    outcome: Literal["ran", "failed", "skipped", "gone", "interrupted", "refused"]
    product: Product | None = None
    seconds: float = 0.0
    seen: Seen = _NOTHING_SEEN
    standing: tuple[Observation, ...] = ()
    output: Output = _SILENT
    failure: Failure | None = None
    message: str = ""
    unstorable: str = ""
    gone: ValueGone | None = None
    ended: tuple[Ended, ...] = ()
    """What came of each element of a batch; `product` is a stream of what those that ran gave."""
    sights: tuple[Seen, ...] = ()
    """What runs of elements of a batch were seen to read; many share one."""
    fixed: float = 0.0
    """What a batch took that it would have taken for one element as well, in seconds: loading what all are given."""
    reached: int | None = None
    """The element that a batch had come to when its process ended; None if it had come to none, or did not end so."""


def runs_together(node: Node) -> bool:
    """Is the body one that runs beside others in the run's own process?"""
    return node.definition.asynchronous and node.definition.timeout is None


class Executor(Protocol):
    """Runs works and gives back what came of them; how many at a time and where is its own affair."""

    def takes(self, node: Node) -> bool:
        """Is there room for this node now? The answer is the same for nodes of the same options and marks."""
        ...

    def submit(self, work: Work) -> None:
        """Take a work for which there is room; an executor in this process runs it before it returns."""
        ...

    def finished(self, wait: bool) -> list[Done]:
        """What has come to its end since the last time; with *wait*, at least one as long as any is under way."""
        ...

    def interrupt(self) -> list[Done]:
        """End what is under way, as Ctrl-C does; what had come to its end before."""
        ...

    def close(self) -> list[str]:
        """Tear down what is left; what went wrong with it, a line each."""
        ...
