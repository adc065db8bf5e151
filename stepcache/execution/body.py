"""A body run in this process: its arguments are loaded, it is watched, and what it returns is stored."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve, field

from stepcache.api import skip_reason
from stepcache.errors import Unstorable, ValueGone, WrongReturn
from stepcache.execution.call import BuiltIns, arguments_of, awaited, call
from stepcache.execution.capture import Capture
from stepcache.execution.debugging import Debugger, NoTerminal, is_quit
from stepcache.execution.observed import Observed
from stepcache.execution.pulse import Pulse
from stepcache.execution.resources import Resources
from stepcache.execution.returned import held, stored, streamed, streamed_together
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.execution.values import Inputs, Product
from stepcache.execution.work import Done, Ended, Work
from stepcache.model import Failure, Node, Observation, Output, Value, class_name, joined
from stepcache.records import define
from stepcache.store.content import Content
from stepcache.store.objects import loaded
from stepcache.store.vault import Vault

if TYPE_CHECKING:
    from stepcache.execution.together import Together

Describe = Callable[[BaseException], Failure]
Called = Callable[[Work, Mapping[str, Any], Path | None], Awaitable[Any]]
Outcome = TypeVar("Outcome", Done, Ended)


@define
class Given:
    """A vault from which bodies are given values, streams as they go through them; nothing of that is seen.

    `gone` is what could not be had since it was last None: a body may have swallowed the exception.
    """

    vault: Vault
    paused: Callable[[], AbstractContextManager[None]]
    gone: ValueGone | None = None

    def load(self, value: Value) -> Any:
        """A fresh copy of a value. Raises `ValueGone`."""
        if value.parts:
            return loaded(value, self)
        with self.paused():
            try:
                return loaded(value, self.vault)
            except ValueGone as gone:
                self.gone = gone
                raise

    def content(self, value: object, codec: str | None = None, tmp: Path | None = None) -> Content:
        return self.vault.content(value, codec, tmp)

    def keep(self, content: Content) -> Value:
        return self.vault.keep(content)

    def data(self, value: Value) -> memoryview:
        with self.paused():
            try:
                return self.vault.data(value)
            except ValueGone as gone:
                self.gone = gone
                raise

    def decoded(self, codec_name: str, data: memoryview, digest: str) -> object:
        with self.paused():
            try:
                return self.vault.decoded(codec_name, data, digest)
            except ValueGone as gone:
                self.gone = gone
                raise


@define
class Bodies:
    """Runs bodies, one at a time, or those that are asynchronous beside one another.

    The resources of scope "run" live as long as this.
    """

    shelf: Shelf
    sight: Sight
    capture: Capture
    describe: Describe
    debugger: Debugger | None = None
    """What is opened where a body fails, under `--pdb`."""
    pulse: Pulse = field(factory=Pulse)
    resources: Resources = field(init=False)
    given: Given = field(init=False)
    _together: Together | None = None

    def __attrs_post_init__(self) -> None:
        self.resources = Resources(self._set_up, self.sight.stains.torn_down)
        self.given = Given(self.shelf.all, self.sight.paused)

    @property
    def together(self) -> Together:
        """Where asynchronous bodies run."""
        if self._together is None:
            from stepcache.execution.together import Together

            self._together = Together(self.capture, self.sight.loaded.importing)
        return self._together

    @property
    def under_way(self) -> int:
        """How many bodies run beside one another."""
        return self._together.count if self._together is not None else 0

    def _set_up(self, resource: str, make: Callable[[], Any]) -> tuple[Any, tuple[Observation, ...]]:
        if self._together is None:
            return self.sight.set_up(resource, make)
        from stepcache.execution.together import outliving

        with outliving():
            return self.sight.set_up(resource, make)

    def wait(self, work: Awaitable[Any]) -> Any:
        """What an awaitable comes to, which nothing runs beside."""
        return self.together.alone(work)

    def load(self, value: Value) -> Any:
        """A fresh copy of a value; that it is read is not seen. Raises `ValueGone`."""
        return self.given.load(value)

    def run(self, work: Work) -> Done:
        """Run the body of a node, again if it fails and may be tried again. A KeyboardInterrupt goes upwards."""
        self.capture.begin()
        self.pulse.begin()

        def once() -> Coroutine[Any, Any, Done]:
            return _Execution(self, work, self.given, self.resources).done(self._called_alone)

        return at_once(tried(work.node, once, once, slept) if work.node.definition.retries.times else once())

    async def run_together(self, work: Work) -> Done:
        """The same of an asynchronous body, beside others."""
        self.capture.begin()

        async def once() -> Done:
            with self.own_resources() as resources:
                return await _Execution(self, work, self.own_given(), resources).done(self._called_together)

        return await tried(work.node, once, once, asleep)

    def own_given(self) -> Given:
        """What bodies are given that run beside others."""
        return Given(self.shelf.all, self.sight.paused)

    @contextmanager
    def own_resources(self) -> Iterator[Resources]:
        """The resources of a body that runs beside others."""
        resources = Resources(self._set_up, self.sight.stains.torn_down, self.resources)
        try:
            yield resources
        finally:
            resources.after_node()  # what is left when it was interrupted

    async def _called_alone(self, work: Work, arguments: Mapping[str, Any], tmp: Path | None) -> Any:
        return call(work.node, arguments, lambda elements: streamed(elements, work, tmp, self), self.wait)

    async def _called_together(self, work: Work, arguments: Mapping[str, Any], tmp: Path | None) -> Any:
        return await awaited(work.node, arguments, lambda elements: streamed_together(elements, work, tmp, self))

    def failed(self, work: Work, error: BaseException, seconds: float) -> Done:
        """What came of a work whose body, or the tear-down after it, raised."""
        output = self.capture.take()
        return Done(work.id, "failed", seconds=seconds, output=output, failure=self.told(error, output))

    def told(self, error: BaseException, output: Output) -> Failure:
        """What is told of an exception of a body; a debugger looks at it first, where there is a frame to look at."""
        if isinstance(error, WrongReturn):
            return Failure(str(error), str(error), error.location, error)
        failure = self.describe(_as_raised(error))
        if self.debugger is not None:
            self.debugger.after(failure, output)
        return failure

    def close(self) -> list[str]:
        """Tear down what is left; what went wrong with it, a line each."""
        try:
            return [
                f"{bound.definition.source}: tear-down of resource '{bound.definition.name}' failed: "
                f"{type(error).__name__}: {error}"
                for bound, error in self.resources.after_run()
            ]
        finally:
            if self._together is not None:
                self._together.close()


@define(eq=False)
class _Execution:
    """One execution of a body, with what it is given."""

    bodies: Bodies
    work: Work
    given: Given
    resources: Resources
    _began: float = 0.0
    _observed: Observed | None = None

    async def done(self, called: Called) -> Done:
        """Run it and take what it comes to; *called* calls the body."""
        self.given.gone = None
        work = self.work
        built_in = BuiltIns(work.node, checkpoint=lambda: self.bodies.shelf.checkpoint(work.key))
        try:
            done = await self._run(built_in, called)
            if done.outcome == "ran":
                built_in.ended_well()
            # What a failed body has read counts too: once that is changed, it may do.
            return evolve(done, seen=self._observed.seen()) if done.outcome == "failed" and self._observed else done
        finally:
            built_in.close()

    async def _run(self, built_in: BuiltIns, called: Called) -> Done:
        work, node, bodies = self.work, self.work.node, self.bodies
        try:
            result, seconds, observed = await self._result(built_in, called)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if is_quit(error):
                raise KeyboardInterrupt("quit in the debugger") from error
            if is_interrupted(error):
                raise
            return self._ended(error)
        seen = observed.seen()
        standing = standing_of(node, self.resources)
        wrong_end = torn_down(self.resources)
        if wrong_end is not None:
            return bodies.failed(work, wrong_end, seconds)
        output = bodies.capture.take()
        product: Product | None = None
        unstorable = ""
        if node.kind != "check":
            try:
                product = stored(result, node, work.keeps and not seen.changed, built_in.tmp, bodies.shelf)
            except Unstorable as error:
                product, unstorable = held(result, node), str(error)
                built_in.outlive(bodies.shelf.scratch.take_over)
            except WrongReturn as error:
                failure = bodies.told(error, output)
                return Done(work.id, "failed", seconds=seconds, output=output, failure=failure)
        return Done(work.id, "ran", product, seconds, seen, standing, output, unstorable=unstorable)

    async def _result(self, built_in: BuiltIns, called: Called) -> tuple[Any, float, Observed]:
        """What the body gives, how long that took, and what was seen meanwhile."""
        self._began = time.perf_counter()
        inputs = Inputs(self.given.load, self.work.inputs)
        arguments = arguments_of(self.work, inputs, self.resources)
        self._began = time.perf_counter()
        with Observed(self.bodies.sight, self.work.node, self.work.facts, self.work.resources) as observed:
            self._observed = observed
            # Seen to be made: what the step finds in its own folder is not read from outside.
            arguments.update(built_in.made())
            result = await called(self.work, arguments, built_in.tmp)
        if self.given.gone is not None:  # the body has swallowed it
            raise self.given.gone
        return result, time.perf_counter() - self._began, observed

    def _ended(self, error: BaseException) -> Done:
        """What came of a body that did not return; a value that it could not be given outweighs all else."""
        seconds = time.perf_counter() - self._began
        gone = error if isinstance(error, ValueGone) else self.given.gone
        capture = self.bodies.capture
        if gone is not None:
            capture.take()
            done = Done(self.work.id, "gone", gone=gone)
        elif isinstance(error, NoTerminal):
            capture.take()
            done = Done(self.work.id, "refused", message=str(error))
        elif (reason := skip_reason(error)) is not None:
            done = Done(self.work.id, "skipped", output=capture.take(), message=reason)
        else:
            done = self.bodies.failed(self.work, error, seconds)
        torn_down(self.resources)
        return done


def _as_raised(error: BaseException) -> BaseException:
    """What a body raised: of a StopIteration that leaves it, Python makes another error in what calls it here."""
    last = error.__traceback__
    if type(error) is not RuntimeError or last is None:
        return error
    while last.tb_next is not None:
        last = last.tb_next
    is_ours = last.tb_frame.f_globals.get("__name__", "").startswith("stepcache.")
    return error.__cause__ if is_ours and isinstance(error.__cause__, StopIteration | StopAsyncIteration) else error


def standing_of(node: Node, resources: Resources) -> tuple[Observation, ...]:
    """What the set-ups of the node's resources read."""
    return tuple(o for n in node.needs if n.resource is not None for o in resources.seen(n.resource))


def torn_down(resources: Resources) -> BaseException | None:
    """Tear down the resources of scope "node"; what went wrong first."""
    wrong = resources.after_node()
    return wrong[0][1] if wrong else None


def at_once(coroutine: Coroutine[Any, Any, Outcome]) -> Outcome:
    """What a coroutine comes to that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    raise AssertionError("it waits for something, and nothing runs beside it")


async def slept(seconds: float) -> None:
    """Wait, and have nothing run beside it."""
    time.sleep(seconds)


async def asleep(seconds: float) -> None:
    """Wait, and have others go on."""
    import asyncio

    await asyncio.sleep(seconds)


def is_interrupted(error: BaseException) -> bool:
    """Is a body that runs beside others ended from outside?"""
    module = sys.modules.get("asyncio")
    if module is None or not isinstance(error, module.CancelledError):
        return False
    try:
        task = module.current_task()
    except RuntimeError:  # no loop runs
        return False
    return task is not None and task.cancelling() > 0


async def tried(
    node: Node,
    first: Callable[[], Awaitable[Outcome]],
    again: Callable[[], Awaitable[Outcome]],
    delayed: Callable[[float], Awaitable[None]],
) -> Outcome:
    """What *first* comes to, or *again* where that fails and the node may be tried again; with the output of all."""
    retries = node.definition.retries
    ended = await first()
    for _ in range(retries.times):
        if ended.failure is None or not may_be_tried_again(node, ended.failure):
            break
        await delayed(retries.delay)
        before = ended.output
        ended = await again()
        ended = evolve(ended, output=joined([before, ended.output]))
    return ended


def may_be_tried_again(node: Node, failure: Failure) -> bool:
    """Is that a failure for which the node has `retries`? Running out of time, which is one for all tries, is not."""
    error = failure.exception
    if error is None or (node.definition.timeout is not None and isinstance(error, TimeoutError)):
        return False
    return any(class_name(cls) in node.definition.retries.on for cls in type(error).__mro__)
