"""The body of a mapped node run in this process for each element of a batch."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Iterator, MutableMapping
from typing import Any

from attrs import evolve, field

from stepcache.api import skip_reason
from stepcache.errors import Unstorable, ValueGone
from stepcache.execution.body import (
    Bodies,
    Given,
    asleep,
    at_once,
    is_interrupted,
    slept,
    standing_of,
    torn_down,
    tried,
)
from stepcache.execution.call import BuiltIns, arguments_of, awaited, call
from stepcache.execution.debugging import NoTerminal, is_quit
from stepcache.execution.observed import Observed
from stepcache.execution.resources import Resources
from stepcache.execution.values import Held, Inputs
from stepcache.execution.work import LIVE, Batch, Done, Ended, Pieces, Work
from stepcache.key.conclude import Seen
from stepcache.model import Value, joined
from stepcache.records import define
from stepcache.store.chunks import Chunk
from stepcache.store.objects import loaded
from stepcache.store.streams import StreamWriter
from stepcache.store.vault import Vault

# Between two looks at whether what bodies are given was changed, others go on so many times as long as a look takes.
_REST = 5


def run_batch(work: Work, batch: Batch, bodies: Bodies) -> Done:
    """Run the body of the work's node for each element. A KeyboardInterrupt goes upwards."""
    bodies.given.gone = None
    shared = Shared(bodies, bodies.given)
    done = at_once(_Pass(work, batch, shared, bodies.resources).done())
    if done.outcome != "ran":
        return done
    ended = time.perf_counter()
    if shared.untouched():
        looking = time.perf_counter() - ended
        return evolve(done, seconds=done.seconds + looking, fixed=done.fixed + looking)
    # A body has changed what the next was given too: none of the results counts.
    afresh = Shared(bodies, bodies.given, afresh=True)
    return at_once(_Pass(work, batch, afresh, bodies.resources).done())


async def run_batch_together(work: Work, batch: Batch, bodies: Bodies, shared_by: MutableMapping[str, Shared]) -> Done:
    """The same of an asynchronous body, beside others. *shared_by* the batches of a node is what they are given."""
    node = work.node
    shared = shared_by.get(node.id)
    if shared is None:
        shared = shared_by[node.id] = Shared(bodies, bodies.own_given())
    with bodies.own_resources() as resources:
        done = await _Pass(work, batch, shared, resources, beside=True).done()
    if done.outcome == "failed" or (done.outcome == "ran" and await shared.untouched_beside()):
        return done
    if shared_by.get(node.id) is shared:
        del shared_by[node.id]
    if done.outcome != "ran":
        return done
    # A body has changed what others were given too: none of the results counts.
    with bodies.own_resources() as resources:
        afresh = Shared(bodies, bodies.own_given(), afresh=True)
        return await _Pass(work, batch, afresh, resources, beside=True).done()


@define(eq=False)
class Shared:
    """What all elements of a batch are given beside themselves: loaded once, as long as no body changes it.

    Batches of a node that run beside one another have it in common.
    """

    bodies: Bodies
    given: Given
    afresh: bool = False
    _loaded: dict[str, tuple[Value, Any]] = field(factory=dict)
    _look: Awaitable[bool] | None = None
    """The next look at whether it is untouched."""
    _look_took: float = 0.0

    def load(self, value: Value) -> Any:
        """The value; where bodies change what they are given, a fresh one each time."""
        if self.afresh:
            return loaded(value, self.given)
        if value.digest not in self._loaded:
            self._loaded[value.digest] = (value, loaded(value, self.given))
        return self._loaded[value.digest][1]

    def untouched(self) -> bool:
        """Are all values as they were loaded, as far as their bytes tell?"""
        with self.bodies.sight.paused():
            return all(self._same(value, one) for value, one in self._loaded.values() if not value.parts)

    async def untouched_beside(self) -> bool:
        """The same when batches run beside one another. Those that end meanwhile are told the same."""
        if self.afresh or not self._loaded:
            return True
        if self._look is None:
            import asyncio

            self._look = asyncio.ensure_future(self._looked())
        return await self._look

    async def _looked(self) -> bool:
        await asleep(_REST * self._look_took)  # nothing else goes on while it looks
        self._look = None
        began = time.perf_counter()
        try:
            return self.untouched()
        finally:
            self._look_took = time.perf_counter() - began

    def _same(self, value: Value, one: Any) -> bool:
        try:
            return self.given.content(one, value.codec).digest == value.digest
        except (Unstorable, OSError):
            return False


def _fresh(pieces: Pieces, vault: Vault) -> Iterator[Any]:
    """The elements as fresh objects, those that cannot be stored as they are. Raises `ValueGone`."""
    number, chunk = LIVE, None
    for of_chunk, at in pieces.places:
        if of_chunk == LIVE:
            yield pieces.objects[at]
            continue
        if chunk is None or of_chunk != number:
            number, chunk = of_chunk, Chunk(pieces.chunks[of_chunk], vault)
        yield chunk.element(at)


class _Pass:
    """One pass through a batch: its elements one after another, *beside* those of other batches or alone."""

    def __init__(self, work: Work, batch: Batch, shared: Shared, resources: Resources, beside: bool = False) -> None:
        self.work, self.batch, self.shared = work, batch, shared
        self.node, self.bodies = work.node, shared.bodies
        self.resources, self.given, self.beside = resources, shared.given, beside
        self.inputs = Inputs(shared.load, work.inputs)
        self.common: dict[str, Any] | None = None
        self.writer = StreamWriter(self.node.definition.codec, None, self.bodies.shelf.vault(work.keeps))
        self.ended: list[Ended] = []
        self.sights: list[Seen] = []
        self.fixed = 0.0
        self.quiet: int | None = None
        """Which of `sights` is that of executions of which nothing was noted."""

    async def done(self) -> Done:
        bodies = self.bodies
        bodies.capture.begin()
        began = time.perf_counter()
        try:
            await self._through()
        except ValueGone as gone:
            bodies.capture.take()
            torn_down(self.resources)
            return Done(self.work.id, "gone", gone=gone)
        except NoTerminal as error:
            bodies.capture.take()
            torn_down(self.resources)
            return Done(self.work.id, "refused", message=str(error))
        standing = standing_of(self.node, self.resources)
        wrong_end = torn_down(self.resources)
        seconds = time.perf_counter() - began
        if wrong_end is not None:
            return bodies.failed(self.work, wrong_end, seconds)
        last = self.ended[-1]  # what the tear-down has written is told with it, as the first is told with the set-up's
        self.ended[-1] = evolve(last, output=joined([last.output, bodies.capture.take()]))
        product = self.writer.value() if any(each.digest for each in self.ended) else None
        return Done(
            self.work.id,
            "ran",
            product,
            seconds,
            standing=standing,
            ended=tuple(self.ended),
            sights=tuple(self.sights),
            fixed=self.fixed,
        )

    async def _through(self) -> None:
        streams = {parameter: _fresh(pieces, self.given) for parameter, pieces in self.batch.given.items()}
        while len(self.ended) < len(self.batch.names):
            first = len(self.ended)
            if self._prepared(streams):
                with Observed(self.bodies.sight, self.node, self.work.facts, self.work.resources) as observed:
                    await self._some(observed, streams)
                self._conclude(observed, first)

    def _prepared(self, streams: dict[str, Iterator[Any]]) -> bool:
        """Have what all elements are given at hand; where that cannot be had, the next element fails."""
        if self.common is not None and not self.shared.afresh:
            return True
        began = time.perf_counter()
        self.bodies.pulse.begin(len(self.ended))
        try:
            self.common = arguments_of(self.work, self.inputs, self.resources)
        except (KeyboardInterrupt, ValueGone):
            raise
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            for each in streams.values():
                next(each)
            self.ended.append(self._wrong(error, 0.0))
            return False
        self.fixed = 0.0 if self.shared.afresh else time.perf_counter() - began
        return True

    async def _some(self, observed: Observed, streams: dict[str, Iterator[Any]]) -> None:
        """Run the body for elements as long as nothing is noted of it."""
        while len(self.ended) < len(self.batch.names):
            observed.renew()
            self.ended.append(await self._tried({parameter: next(each) for parameter, each in streams.items()}))
            if not observed.quiet or self.shared.afresh:
                return

    # --- one element

    async def _tried(self, given: dict[str, Any]) -> Ended:
        """Run the body for an element, again if it fails and may be tried again."""
        self.bodies.pulse.begin(len(self.ended))
        ended = await tried(
            self.node,
            lambda: self._one(given),
            lambda: self._one(self._afresh(len(self.ended))),
            asleep if self.beside else slept,
        )
        self.bodies.pulse.pause()
        return ended

    def _afresh(self, number: int) -> dict[str, Any]:
        """Fresh objects of the element of that number."""
        return {
            parameter: next(_fresh(evolve(pieces, places=(pieces.places[number],)), self.given))
            for parameter, pieces in self.batch.given.items()
        }

    async def _one(self, given: dict[str, Any]) -> Ended:
        bodies = self.bodies
        name = self.batch.names[len(self.ended)]
        built_in = BuiltIns(self.node, name, lambda: bodies.shelf.checkpoint(self.work.key, name))
        began = time.perf_counter()
        try:
            result = await self._called({**(self.common or {}), **given, **built_in.made()})
            if self.given.gone is not None:  # the body has swallowed it
                raise self.given.gone
            ended = self._kept(result, time.perf_counter() - began, built_in)
            built_in.ended_well()
            return ended
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            return self._wrong(error, time.perf_counter() - began)
        finally:
            built_in.close()

    async def _called(self, arguments: dict[str, Any]) -> Any:
        if not self.beside:
            return call(self.node, arguments, list, self.bodies.wait)
        return await self.bodies.together.afresh(lambda: awaited(self.node, arguments, _listed))

    def _kept(self, result: Any, seconds: float, built_in: BuiltIns) -> Ended:
        output = self.bodies.capture.take()
        if self.node.kind == "check":
            return Ended("ran", seconds, output=output)
        try:
            with self.bodies.sight.paused():
                content = self.writer.add(result, built_in.tmp)
        except Unstorable as error:
            built_in.outlive(self.bodies.shelf.scratch.take_over)
            return Ended("ran", seconds, output=output, held=Held(result), unstorable=str(error))
        return Ended("ran", seconds, output=output, digest=content.digest_bytes, classes=content.classes)

    def _wrong(self, error: BaseException, seconds: float) -> Ended:
        gone = error if isinstance(error, ValueGone) else self.given.gone
        if gone is not None:
            raise gone
        if isinstance(error, NoTerminal) or is_interrupted(error):
            raise error
        if is_quit(error):
            raise KeyboardInterrupt("quit in the debugger") from error
        output = self.bodies.capture.take()
        reason = skip_reason(error)
        if reason is not None:
            return Ended("skipped", seconds, output=output, message=reason)
        return Ended("failed", seconds, output=output, failure=self.bodies.told(error, output))

    # --- what was seen

    def _conclude(self, observed: Observed, first: int) -> None:
        """Say of the elements from *first* on what they were seen to read: only the last one saw anything."""
        end = len(self.ended) if observed.quiet else len(self.ended) - 1
        if first < end:
            if self.quiet is None or self.bodies.sight.stains:
                self.quiet = self._seen(observed if observed.quiet else self._nothing())
            self._mark(self.quiet, first, end)
        if end < len(self.ended):
            self._mark(self._seen(observed), end, end + 1)

    def _nothing(self) -> Observed:
        """An execution of which nothing was noted."""
        with Observed(self.bodies.sight, self.node, self.work.facts, self.work.resources) as observed:
            pass
        return observed

    def _seen(self, observed: Observed) -> int:
        self.sights.append(observed.seen())
        return len(self.sights) - 1

    def _mark(self, sight: int, first: int, end: int) -> None:
        for at in range(first, end):
            self.ended[at] = evolve(self.ended[at], seen=sight)


async def _listed(elements: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in elements]
