"""The executor that runs bodies in this process, one at a time."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from stepcache.execution.batch import run_work
from stepcache.execution.body import Bodies
from stepcache.execution.work import Done, Work
from stepcache.garbage import growing
from stepcache.model import Node


@define
class Inline:
    """Runs each work as it is submitted. *before_first* is called before a body runs here."""

    bodies: Bodies
    before_first: Callable[[], None]
    _settled: bool = False
    _done: list[Done] = field(factory=list)

    def takes(self, node: Node) -> bool:
        """There is always room: `submit` returns when the body has run."""
        return True

    def submit(self, work: Work) -> None:
        """Run the body."""
        if not self._settled:
            self._settled = True
            with growing():
                self.before_first()
        self._done.append(run_work(work, self.bodies))

    def finished(self, wait: bool) -> list[Done]:
        """What has run since the last time."""
        done, self._done = self._done, []
        return done

    def interrupt(self) -> list[Done]:
        """Nothing is under way: the interrupt came through the body."""
        return []

    def close(self) -> list[str]:
        """Tear down the resources."""
        return self.bodies.close()
