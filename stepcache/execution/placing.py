"""Where a node runs: in this process, or by the executor that was asked for.

A node runs in this process although another executor was asked for, where it is made of what only this process has: its
function, or the class of a value that it takes, is a notebook's or a prompt's; a value that it takes could not be
stored; a setting of its cannot be pickled; the other process finds its sources changed meanwhile; or its body comes to
a `breakpoint()` there, where no terminal is. So do asynchronous bodies, where all of them run beside one another, but
for those with a time limit, which run where they can be killed.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import field

from stepcache.execution.inline import Inline
from stepcache.execution.values import Held
from stepcache.execution.work import Done, Executor, Work, runs_together
from stepcache.key.ingredients import definitions_of
from stepcache.model import Node, Value
from stepcache.records import define

# While asynchronous bodies run here, the other executor is looked at so often.
_SLICE_SECONDS = 0.05


@define
class Placing:
    """An executor made of two.

    *other* is the one that was asked for, None for this process. *limited* makes the one for nodes with a time limit,
    which must be where they can be killed.
    """

    inline: Inline
    other: Executor | None
    limited: Callable[[], Executor] | None
    warnings: list[str] = field(factory=list)
    _works: dict[str, Work] = field(factory=dict)
    _refused: set[str] = field(factory=set)
    """The nodes that the other executor could not run: all elements of a mapped one run here."""
    _only_limited: bool = False
    """The other executor was opened for nodes with a time limit alone."""

    def takes(self, node: Node) -> bool:
        """Is there room where the node would run?"""
        return (self._place(node) or self.inline).takes(node)

    def _place(self, node: Node) -> Executor | None:
        if node.id in self._refused or runs_together(node):
            return None
        if self.other is None and node.definition.timeout is not None and self.limited is not None:
            self.other, self.limited = self.limited(), None
            self._only_limited = True
        if self.other is None or (self._only_limited and node.definition.timeout is None):
            return None
        return self.other

    def submit(self, work: Work) -> None:
        """Run the work here, or hand it over."""
        place = self._place(work.node)
        if place is None:
            self.inline.submit(work)
            return
        reason = obstacle(work)
        if reason is not None:
            self._here(work, reason)
            return
        self._works[work.id] = work
        place.submit(work)

    def _here(self, work: Work, why: str) -> None:
        limit = work.node.definition.timeout
        if limit is not None:
            told = (
                f"{work.node.id}: its timeout of {limit:g} seconds is not kept, since it must run in this process: "
                f"{why}"
            )
            self.warnings += [] if told in self.warnings else [told]
        self.inline.submit(work)

    def finished(self, wait: bool) -> list[Done]:
        """What has come to its end since the last time."""
        if self.other is None or not self._works:
            return self.inline.finished(wait)
        done = self.inline.finished(wait=False)
        while True:
            done += self._from_other(wait and not done and not self.inline.is_busy)
            if done or not wait or not self.inline.is_busy:
                return done
            done += self.inline.finished(wait=True, seconds=_SLICE_SECONDS)

    def _from_other(self, wait: bool) -> list[Done]:
        found: list[Done] = []
        assert self.other is not None
        for each in self.other.finished(wait):
            work = self._works.pop(each.work)
            if each.outcome == "refused":
                self._refused.add(work.node.id)
                self._here(work, each.message)
                found += self.inline.finished(wait=False)
            else:
                found.append(each)
        return found

    def interrupt(self) -> list[Done]:
        """End what is under way; what had come to its end before."""
        try:
            here = self.inline.interrupt()
        finally:
            there = [] if self.other is None else self.other.interrupt()
        return [*here, *there]

    def close(self) -> list[str]:
        """Tear down everywhere."""
        try:
            wrong = [] if self.other is None else self.other.close()
        finally:
            here = self.inline.close()
        return [*wrong, *here]


def obstacle(work: Work) -> str | None:
    """Why a work cannot leave this process, if it cannot."""
    if any(each.module == "__main__" for each in definitions_of(work.node, work.resources)):
        return "it is defined in __main__"
    for node, product in work.inputs.items():
        if isinstance(product, Held):
            return f"the value of {node} cannot be stored"
        if _of_main(product):
            return f"the value of {node} holds instances of a class of __main__"
    for pieces in work.batch.given.values() if work.batch is not None else ():
        if pieces.objects:
            return "elements cannot be stored"
        if any(map(_of_main, pieces.chunks)):
            return "an element holds instances of a class of __main__"
    return None


def _of_main(value: Value) -> bool:
    return any(each.startswith("__main__:") for each in value.classes)
