"""The executor that runs bodies in this process: one at a time, but that asynchronous ones run beside one another.

Of a mapped node it is batches that do: the bodies of one follow one another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from attrs import field

from stepcache.execution.body import Bodies
from stepcache.execution.work import MOST_TOGETHER, Done, Work, runs_together
from stepcache.garbage import growing
from stepcache.model import Node
from stepcache.records import define

if TYPE_CHECKING:
    from stepcache.execution.batch import Shared


def run_work(work: Work, bodies: Bodies) -> Done:
    """Run the body of the work's node: once, or for each element of a batch. A KeyboardInterrupt goes upwards."""
    if work.batch is None:
        return bodies.run(work)
    from stepcache.execution.batch import run_batch

    return run_batch(work, work.batch, bodies)


@define
class Inline:
    """Runs each work as it is submitted. *before_first* is called before a body runs here, *before* for each node.

    Asynchronous ones wait for what is submitted after them, and run when nothing else is left to run: all at once.
    """

    bodies: Bodies
    before_first: Callable[[], None]
    before: Callable[[Node], None]
    _settled: bool = False
    _done: list[Done] = field(factory=list)
    _shared: WeakValueDictionary[str, Shared] = field(factory=WeakValueDictionary)
    """What batches that run beside one another are given, by node, as long as any of them is under way."""

    def takes(self, node: Node) -> bool:
        """Other than for asynchronous bodies there is always room: `submit` returns when the body has run."""
        return not runs_together(node) or self.bodies.under_way < MOST_TOGETHER

    def submit(self, work: Work) -> None:
        """Run the body, or have it run beside others."""
        if not self._settled:
            self._settled = True
            with growing():
                self.before_first()
        self.before(work.node)
        if runs_together(work.node):
            self.bodies.together.begin(lambda: self._run_together(work))
        else:
            self._done.append(run_work(work, self.bodies))

    def _run_together(self, work: Work) -> Awaitable[Done]:
        if work.batch is None:
            return self.bodies.run_together(work)
        from stepcache.execution.batch import run_batch_together

        return run_batch_together(work, work.batch, self.bodies, self._shared)

    @property
    def is_busy(self) -> bool:
        """Is there something that runs, or is to run, while `finished` waits?"""
        return self.bodies.under_way > 0

    def finished(self, wait: bool, seconds: float | None = None) -> list[Done]:
        """What has run since the last time; it is waited at most so long."""
        if wait and not self._done and self.is_busy:
            self._done += self.bodies.together.some(seconds)
        done, self._done = self._done, []
        return done

    def interrupt(self) -> list[Done]:
        """End what is under way; any other body has ended, for the interrupt came through it."""
        done, self._done = self._done, []
        return [*done, *self.bodies.together.interrupt()] if self.is_busy else done

    def close(self) -> list[str]:
        """Tear down the resources."""
        return self.bodies.close()
