"""A body run in this process: its arguments are loaded, it is watched, and what it returns is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from attrs import define, field

from stepcache.api import Skipped
from stepcache.errors import Unstorable, ValueGone
from stepcache.execution.call import BuiltIns, arguments_of, call
from stepcache.execution.capture import Capture
from stepcache.execution.resources import Resources
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.execution.values import Held, Inputs
from stepcache.execution.work import Done, Work
from stepcache.model import Failure, Node, Observation, Value

Describe = Callable[[BaseException], Failure]


@define
class Bodies:
    """Runs bodies, one at a time. The resources of scope "run" live as long as this."""

    shelf: Shelf
    sight: Sight
    capture: Capture
    describe: Describe
    resources: Resources = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.resources = Resources(self.sight.set_up)

    def load(self, value: Value) -> Any:
        """A fresh copy of a value; that it is read is not seen. Raises `ValueGone`."""
        with self.sight.paused():
            return self.shelf.load(value)

    def run(self, work: Work) -> Done:
        """Run the body of a node. A KeyboardInterrupt goes upwards."""
        self.capture.begin()
        built_in = BuiltIns(work.node)
        try:
            return self._run(work, built_in)
        finally:
            built_in.close()

    def _run(self, work: Work, built_in: BuiltIns) -> Done:
        node = work.node
        began = time.perf_counter()
        try:
            arguments = arguments_of(work, Inputs(self.load, work.inputs), self.resources)
            began = time.perf_counter()
            with self.sight.watching(node, work.facts) as watching:
                # Seen to be made: what the step finds in its own folder is not read from outside.
                arguments.update(built_in.made())
                result = call(node, arguments)
            seconds = time.perf_counter() - began
            del arguments
        except ValueGone as gone:
            self.capture.take()
            self._tear_down()
            return Done(node.id, "gone", gone=gone)
        except Skipped as skipped:
            self._tear_down()
            return Done(node.id, "skipped", output=self.capture.take(), message=skipped.reason)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            failed = self._failed(node, error, time.perf_counter() - began)
            self._tear_down()
            return failed
        seen = watching.seen()
        standing = self._standing(node)
        wrong_end = self._tear_down()
        if wrong_end is not None:
            return self._failed(node, wrong_end, seconds)
        output = self.capture.take()
        keeps = work.keeps and not seen.changed
        if node.kind == "check":
            return Done(node.id, "ran", None, seconds, seen, standing, output)
        try:
            value = self.shelf.save(result, keep=keeps, codec=node.definition.codec, tmp=built_in.tmp)
        except Unstorable as error:
            return Done(node.id, "ran", Held(result), seconds, seen, standing, output, unstorable=str(error))
        return Done(node.id, "ran", value, seconds, seen, standing, output)

    def _failed(self, node: Node, error: BaseException, seconds: float) -> Done:
        output = self.capture.take()
        return Done(node.id, "failed", seconds=seconds, output=output, failure=self.describe(error))

    def _standing(self, node: Node) -> tuple[Observation, ...]:
        """What the set-ups of the node's resources read."""
        return tuple(o for n in node.needs if n.resource is not None for o in self.resources.seen(n.resource))

    def _tear_down(self) -> BaseException | None:
        wrong = self.resources.after_node()
        return wrong[0][1] if wrong else None

    def close(self) -> list[str]:
        """Tear down what is left; what went wrong with it, a line each."""
        return [
            f"{bound.definition.source}: tear-down of resource '{bound.definition.name}' failed: "
            f"{type(error).__name__}: {error}"
            for bound, error in self.resources.after_run()
        ]
