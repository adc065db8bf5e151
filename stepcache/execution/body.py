"""A body run in this process: its arguments are loaded, it is watched, and what it returns is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, evolve, field

from stepcache.api import skip_reason
from stepcache.errors import Unstorable, ValueGone, WrongReturn
from stepcache.execution.call import BuiltIns, arguments_of, call
from stepcache.execution.capture import Capture
from stepcache.execution.debugging import Debugger, is_quit
from stepcache.execution.mapped import joined
from stepcache.execution.resources import Resources
from stepcache.execution.returned import held, stored, streamed
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight, Watching
from stepcache.execution.values import Inputs, Product
from stepcache.execution.work import Done, Ended, Work
from stepcache.model import Failure, Node, Observation, Output, Value, class_name
from stepcache.store.content import Content
from stepcache.store.objects import loaded
from stepcache.store.vault import Vault

Describe = Callable[[BaseException], Failure]
Outcome = TypeVar("Outcome", Done, Ended)


@define
class Given:
    """A vault from which bodies are given values, streams as they go through them; nothing of that is seen.

    `gone` is what could not be had since it was last None: a body may have swallowed the exception.
    """

    vault: Vault
    paused: Callable[[], AbstractContextManager[None]]
    gone: ValueGone | None = None

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
    """Runs bodies, one at a time. The resources of scope "run" live as long as this."""

    shelf: Shelf
    sight: Sight
    capture: Capture
    describe: Describe
    debugger: Debugger | None = None
    """What is opened where a body fails, under `--pdb`."""
    began_with: Callable[[int], object] = lambda number: None
    """Called before each body: that of the element of a batch with its number there, of others with 0."""
    resources: Resources = field(init=False)
    given: Given = field(init=False)
    _began: float = 0.0
    _watching: Watching | None = None

    def __attrs_post_init__(self) -> None:
        self.resources = Resources(self.sight.set_up)
        self.given = Given(self.shelf.all, self.sight.paused)

    def load(self, value: Value) -> Any:
        """A fresh copy of a value; that it is read is not seen. Raises `ValueGone`."""
        return loaded(value, self.given)

    def run(self, work: Work) -> Done:
        """Run the body of a node, again if it fails and may be tried again. A KeyboardInterrupt goes upwards."""
        self.capture.begin()
        self.began_with(0)
        return tried(work.node, lambda: self._once(work), lambda: self._once(work))

    def _once(self, work: Work) -> Done:
        self.given.gone = None
        built_in = BuiltIns(work.node, checkpoint=lambda: self.shelf.checkpoint(work.key))
        try:
            done = self._run(work, built_in)
            if done.outcome == "ran":
                built_in.ended_well()
            # What a failed body has read counts too: once that is changed, it may do.
            return evolve(done, seen=self._watching.seen()) if done.outcome == "failed" and self._watching else done
        finally:
            built_in.close()

    def _run(self, work: Work, built_in: BuiltIns) -> Done:
        node = work.node
        try:
            result, seconds, watching = self._called(work, built_in)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if is_quit(error):
                raise KeyboardInterrupt("quit in the debugger") from error
            return self._ended(work, error)
        seen = watching.seen()
        standing = self.standing(node)
        wrong_end = self.tear_down()
        if wrong_end is not None:
            return self.failed(work, wrong_end, seconds)
        output = self.capture.take()
        product: Product | None = None
        unstorable = ""
        if node.kind != "check":
            try:
                product = stored(result, node, work.keeps and not seen.changed, built_in.tmp, self.shelf)
            except Unstorable as error:
                product, unstorable = held(result, node), str(error)
            except WrongReturn as error:
                failure = self.told(error, output)
                return Done(work.id, "failed", seconds=seconds, output=output, failure=failure)
        return Done(work.id, "ran", product, seconds, seen, standing, output, unstorable=unstorable)

    def _called(self, work: Work, built_in: BuiltIns) -> tuple[Any, float, Watching]:
        """What the body gives, how long that took, and what was seen meanwhile."""
        self._watching = None
        self._began = time.perf_counter()
        arguments = arguments_of(work, Inputs(self.load, work.inputs), self.resources)
        self._began = time.perf_counter()
        with self.sight.watching(work.node, work.facts) as watching:
            self._watching = watching
            # Seen to be made: what the step finds in its own folder is not read from outside.
            arguments.update(built_in.made())
            result = call(work.node, arguments, lambda elements: streamed(elements, work, built_in.tmp, self))
        if self.given.gone is not None:  # the body has swallowed it
            raise self.given.gone
        return result, time.perf_counter() - self._began, watching

    def _ended(self, work: Work, error: BaseException) -> Done:
        """What came of a body that did not return; a value that it could not be given outweighs all else."""
        seconds = time.perf_counter() - self._began
        gone = error if isinstance(error, ValueGone) else self.given.gone
        if gone is not None:
            self.capture.take()
            done = Done(work.id, "gone", gone=gone)
        elif (reason := skip_reason(error)) is not None:
            done = Done(work.id, "skipped", output=self.capture.take(), message=reason)
        else:
            done = self.failed(work, error, seconds)
        self.tear_down()
        return done

    def failed(self, work: Work, error: BaseException, seconds: float) -> Done:
        """What came of a work whose body, or the tear-down after it, raised."""
        output = self.capture.take()
        return Done(work.id, "failed", seconds=seconds, output=output, failure=self.told(error, output))

    def told(self, error: BaseException, output: Output) -> Failure:
        """What is told of an exception of a body; a debugger looks at it first, where there is a frame to look at."""
        if isinstance(error, WrongReturn):
            return Failure(str(error), str(error), error.location, error)
        failure = self.describe(error)
        if self.debugger is not None:
            self.debugger.after(failure, output)
        return failure

    def standing(self, node: Node) -> tuple[Observation, ...]:
        """What the set-ups of the node's resources read."""
        return tuple(o for n in node.needs if n.resource is not None for o in self.resources.seen(n.resource))

    def tear_down(self) -> BaseException | None:
        """Tear down the resources of scope "node"; what went wrong first."""
        wrong = self.resources.after_node()
        return wrong[0][1] if wrong else None

    def close(self) -> list[str]:
        """Tear down what is left; what went wrong with it, a line each."""
        return [
            f"{bound.definition.source}: tear-down of resource '{bound.definition.name}' failed: "
            f"{type(error).__name__}: {error}"
            for bound, error in self.resources.after_run()
        ]


def tried(node: Node, first: Callable[[], Outcome], again: Callable[[], Outcome]) -> Outcome:
    """What *first* comes to, or *again* where that fails and the node may be tried again; with the output of all."""
    retries = node.definition.retries
    ended = first()
    for _ in range(retries.times):
        if ended.failure is None or not _may_be_tried_again(node, ended.failure):
            break
        time.sleep(retries.delay)
        before = ended.output
        ended = again()
        ended = evolve(ended, output=joined([before, ended.output]))
    return ended


def _may_be_tried_again(node: Node, failure: Failure) -> bool:
    """Is that a failure for which the node has `retries`? Running out of time, which is one for all tries, is not."""
    error = failure.exception
    if error is None or (node.definition.timeout is not None and isinstance(error, TimeoutError)):
        return False
    return any(class_name(cls) in node.definition.retries.on for cls in type(error).__mro__)
