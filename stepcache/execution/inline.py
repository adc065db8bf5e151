"""The executor that runs bodies in this process: one at a time, but that asynchronous ones run beside one another."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from stepcache.execution.batch import run_work
from stepcache.execution.body import Bodies
from stepcache.execution.work import Done, Work
from stepcache.garbage import growing
from stepcache.model import Node

# How many asynchronous bodies run at once: each has two files open.
_MOST_TOGETHER = 100


@define
class Inline:
    """Runs each work as it is submitted. *before_first* is called before a body runs here.

    Asynchronous ones wait for what is submitted after them, and run when nothing else is left to run: all at once.
    """

    bodies: Bodies
    before_first: Callable[[], None]
    _settled: bool = False
    _done: list[Done] = field(factory=list)

    def takes(self, node: Node) -> bool:
        """Other than for asynchronous bodies there is always room: `submit` returns when the body has run."""
        return not runs_together(node) or self.bodies.under_way < _MOST_TOGETHER

    def submit(self, work: Work) -> None:
        """Run the body, or have it run beside others."""
        if not self._settled:
            self._settled = True
            with growing():
                self.before_first()
        if runs_together(work.node):
            self.bodies.together.begin(lambda: self.bodies.run_together(work))
        else:
            self._done.append(run_work(work, self.bodies))

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


def runs_together(node: Node) -> bool:
    """Is the body one that runs beside others in this process?"""
    return node.definition.asynchronous and node.definition.timeout is None and not node.mapped
