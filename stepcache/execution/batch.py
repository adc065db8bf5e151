"""A batch of elements run in this process: the body of a mapped step, once for each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from attrs import define, evolve, field

from stepcache.api import Skipped
from stepcache.errors import Unstorable, ValueGone
from stepcache.execution.body import Bodies
from stepcache.execution.call import BuiltIns, arguments_of, call
from stepcache.execution.sight import Watching
from stepcache.execution.values import Held, Inputs
from stepcache.execution.work import Batch, Done, Ended, Work
from stepcache.key.conclude import Seen
from stepcache.model import Value
from stepcache.store.streams import StreamWriter


@define
class Shared:
    """What all elements of a batch are given beside themselves: loaded once, as long as no body changes it."""

    bodies: Bodies
    loaded: list[tuple[Value, Any]] = field(factory=list)
    known: dict[str, Any] = field(factory=dict)
    afresh: bool = False

    def load(self, value: Value) -> Any:
        """The value; where bodies change what they are given, a fresh one each time."""
        if self.afresh:
            return self.bodies.load(value)
        if value.digest not in self.known:
            self.known[value.digest] = self.bodies.load(value)
            self.loaded.append((value, self.known[value.digest]))
        return self.known[value.digest]

    def untouched(self) -> bool:
        """Are all values as they were loaded, as far as their bytes tell?"""
        with self.bodies.sight.paused():
            return all(self._same(value, one) for value, one in self.loaded if not value.parts)

    def _same(self, value: Value, one: Any) -> bool:
        try:
            return self.bodies.given.content(one, value.codec).digest == value.digest
        except (Unstorable, OSError):
            return False


def run_batch(work: Work, bodies: Bodies) -> Done:
    """Run the body for each element. A KeyboardInterrupt goes upwards."""
    shared = Shared(bodies)
    done = _Running(work, bodies, shared).done()
    if done.outcome == "ran" and not shared.untouched():
        # A body has changed what the next was given too: none of the results counts.
        return _Running(work, bodies, Shared(bodies, afresh=True)).done()
    return done


class _Running:
    """One pass through a batch."""

    def __init__(self, work: Work, bodies: Bodies, shared: Shared) -> None:
        self.work, self.bodies = work, bodies
        self.node = work.node
        self.inputs = Inputs(shared.load, work.inputs)
        self.shared = shared
        self.common: dict[str, Any] | None = None
        self.writer = StreamWriter(self.node.definition.codec, None, bodies.shelf.vault(work.keeps))
        self.ended: list[Ended] = []
        self.sights: list[Seen] = []
        self.quiet: list[int] = []

    def done(self) -> Done:
        node, bodies = self.node, self.bodies
        assert self.work.batch is not None
        bodies.capture.begin()
        bodies.given.gone = None
        began = time.perf_counter()
        try:
            self._through(self.work.batch)
        except ValueGone as gone:
            bodies.capture.take()
            bodies.tear_down()
            return Done(node.id, "gone", gone=gone)
        standing = bodies.standing(node)
        wrong_end = bodies.tear_down()
        seconds = time.perf_counter() - began
        if wrong_end is not None:
            return bodies.failed(node, wrong_end, seconds)
        value = None if node.kind == "check" else self.writer.value()
        return Done(
            node.id, "ran", value, seconds, standing=standing, ended=tuple(self.ended), sights=tuple(self.sights)
        )

    def _through(self, batch: Batch) -> None:
        streams = {parameter: iter(self.bodies.load(value)) for parameter, value in batch.given.items()}
        number = 0
        while number < len(batch.names):
            with ExitStack() as stack:
                watching = stack.enter_context(self.bodies.sight.watching(self.node, self.work.facts))
                first = number
                while number < len(batch.names):
                    watching.renew()
                    self._one(batch.names[number], {parameter: next(each) for parameter, each in streams.items()})
                    number += 1
                    if not watching.quiet:
                        break
            self._conclude(watching, first, number)

    def _conclude(self, watching: Watching, first: int, end: int) -> None:
        """Say of the elements from *first* on what they were seen to read: only the last one saw anything."""
        if not watching.quiet:
            self._seen(watching.seen(), end - 1, end)
            end -= 1
            if first < end and not self.quiet:
                with self.bodies.sight.watching(self.node, self.work.facts) as nothing:
                    pass
                self._seen(nothing.seen(), first, end)
                self.quiet.append(len(self.sights) - 1)
                return
        if first < end:
            if not self.quiet:
                self.sights.append(watching.seen())
                self.quiet.append(len(self.sights) - 1)
            self._mark(self.quiet[0], first, end)

    def _seen(self, seen: Seen, first: int, end: int) -> None:
        self.sights.append(seen)
        self._mark(len(self.sights) - 1, first, end)

    def _mark(self, sight: int, first: int, end: int) -> None:
        for at in range(first, end):
            self.ended[at] = evolve(self.ended[at], seen=sight)

    def _one(self, name: str, given: dict[str, Any]) -> None:
        """Run the body for one element."""
        bodies = self.bodies
        built_in = BuiltIns(self.node, name)
        began = time.perf_counter()
        try:
            with bodies.sight.paused():
                if self.common is None or self.shared.afresh:
                    self.common = arguments_of(self.work, self.inputs, bodies.resources)
            began = time.perf_counter()
            result = call(self.node, {**self.common, **given, **built_in.made()}, list)
            seconds = time.perf_counter() - began
            if bodies.given.gone is not None:
                raise bodies.given.gone
            self.ended.append(self._kept(result, seconds, built_in))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            self.ended.append(self._ended(error, time.perf_counter() - began))
        finally:
            built_in.close()

    def _kept(self, result: Any, seconds: float, built_in: BuiltIns) -> Ended:
        output = self.bodies.capture.take()
        if self.node.kind == "check":
            return Ended("ran", seconds, output=output)
        try:
            with self.bodies.sight.paused():
                self.writer.add(result, built_in.tmp)
        except Unstorable as error:
            return Ended("ran", seconds, output=output, held=Held(result), unstorable=str(error))
        return Ended("ran", seconds, output=output)

    def _ended(self, error: BaseException, seconds: float) -> Ended:
        gone = error if isinstance(error, ValueGone) else self.bodies.given.gone
        if gone is not None:
            raise gone
        output = self.bodies.capture.take()
        if isinstance(error, Skipped):
            return Ended("skipped", seconds, output=output)
        return Ended("failed", seconds, output=output, failure=self.bodies.describe(error))
