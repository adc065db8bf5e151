"""One execution of a node's body."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import traceback
from _signal import getsignal  # type: ignore[import-not-found]  # that of `signal` looks each answer up in an Enum
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import Any

from stepcache.api import running_node
from stepcache.digest import digest
from stepcache.errors import WrongReturn
from stepcache.execution.forks import keep_interrupts
from stepcache.execution.resources import Resources
from stepcache.execution.values import Inputs, own_settings
from stepcache.execution.work import Work
from stepcache.key.ingredients import settings_digest
from stepcache.model import Node
from stepcache.records import frozen

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@frozen
class Request:
    """The built-in resource `request`: which node this is."""

    name: str
    variant: str | None
    settings: Mapping[str, Any]


def seed_of(node: Node, settings_digest: str, element: bytes = b"") -> int:
    """The built-in resource `rng_seed`: 32 bits from the step's name, variant and settings, and from the element."""
    more = (element,) if element else ()
    return int(digest("rng_seed", node.name, node.variant or "", settings_digest, *more)[:8], 16)


class BuiltIns:
    """The built-in resources of one execution, of an element's if it is named. `tmp` is the step's own folder.

    *checkpoint* gives the folder that outlives an execution that does not end well, None where none can.
    """

    def __init__(self, node: Node, element: bytes = b"", checkpoint: Callable[[], Path | None] = lambda: None) -> None:
        self._node = node
        self._element = element
        self._checkpoint_of = checkpoint
        self._checkpoint: Path | None = None
        self._own: list[Path] = []
        self.tmp: Path | None = None

    def made(self) -> dict[str, Any]:
        """What the node's parameters of those names get."""
        node = self._node
        found: dict[str, Any] = {}
        for name in node.builtins:
            if name == "tmp_path":
                found[name] = self.tmp = self._temporary()
            elif name == "checkpoint_path":
                found[name] = self._checkpoint = self._checkpoint_of() or self._temporary()
                self._checkpoint.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif name == "request":
                found[name] = Request(node.name, node.variant, own_settings(node.settings))
            else:
                found[name] = seed_of(node, settings_digest(node), self._element)
        return found

    def ended_well(self) -> None:
        """Nobody needs the checkpoint any more."""
        if self._checkpoint is not None:
            shutil.rmtree(self._checkpoint, ignore_errors=True)

    def outlive(self, take_over: Callable[[Path], None]) -> None:
        """The value is handed on as it is, and may name the step's folder: somebody else removes that."""
        if self.tmp is not None:
            self._own.remove(self.tmp)
            take_over(self.tmp)

    def close(self) -> None:
        """Remove the temporary folders."""
        for folder in self._own:
            shutil.rmtree(folder, ignore_errors=True)

    def _temporary(self) -> Path:
        self._own.append(Path(tempfile.mkdtemp(prefix="stepcache-")))
        return self._own[-1]


def arguments_of(work: Work, inputs: Inputs, resources: Resources) -> dict[str, Any]:
    """What the node's parameters get, but for settings, the built-in resources and the elements of a mapped step."""
    node = work.node
    arguments: dict[str, Any] = {}
    for need in node.needs:
        if need.each:
            continue
        if need.resource is not None:
            arguments[need.parameter] = resources.get(need.resource, work.resources, inputs)
        else:
            arguments[need.parameter] = inputs.given(need)
    return arguments


Wait = Callable[[Awaitable[Any]], Any]


def call(node: Node, arguments: Mapping[str, Any], drained: Callable[[Iterator[Any]], Any], wait: Wait) -> Any:
    """Run the body, alone: *wait* awaits it where it is asynchronous; *drained* goes through a generator's elements.

    Raises `WrongReturn` for a check that returns something: it might be meant to fail.

    Afterwards the working directory is what it was: no node depends on where another has gone. So is what Ctrl-C and
    SIGTERM do.
    """
    token = running_node.set(node.id)
    folder = working_directory()
    handlers = [(each, getsignal(each)) for each in _INTERRUPTS]
    try:
        with _EndsInChildren():
            result = node.definition.function(**arguments, **own_settings(node.settings, arguments))
            if isinstance(result, CoroutineType):
                result = wait(result)
            if node.kind == "check" and result is not None:
                raise _returned(node, result)
            if isinstance(result, GeneratorType):
                return drained(_each(result))
            if isinstance(result, AsyncGeneratorType):
                return drained(_elements(result, wait))
            return result
    finally:
        running_node.reset(token)
        if folder is not None and working_directory() != folder:
            with suppress(OSError):  # the body has removed it
                os.chdir(folder)
        for each, handler in handlers:
            if getsignal(each) is not handler:
                # In another thread than the first; a handler that Python cannot set.
                with suppress(ValueError, TypeError):
                    signal.signal(each, handler)


def _returned(check: Node, result: object) -> WrongReturn:
    source = check.definition.source
    return WrongReturn(
        f"{source}: {check.id} returned a {type(result).__name__}, and a check asserts and returns nothing: "
        "did you mean `assert` instead of `return`?",
        str(source),
    )


async def awaited(
    node: Node, arguments: Mapping[str, Any], drained: Callable[[AsyncIterator[Any]], Awaitable[Any]]
) -> Any:
    """Run an asynchronous body beside others; *drained* goes through the elements of an asynchronous generator."""
    token = running_node.set(node.id)
    try:
        with _EndsInChildren():
            result = node.definition.function(**arguments, **own_settings(node.settings, arguments))
            if not isinstance(result, AsyncGeneratorType):
                result = await result
            if node.kind == "check" and result is not None:
                raise _returned(node, result)
            return await drained(result) if isinstance(result, AsyncGeneratorType) else result
    finally:
        running_node.reset(token)


class _EndsInChildren:
    """A child that the body has forked ends where it leaves the body, as a process ends: it is no second run."""

    __slots__ = ("_process",)

    def __enter__(self) -> None:
        keep_interrupts()
        self._process = os.getpid()

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if os.getpid() == self._process:
            return
        status = 0
        if isinstance(error, SystemExit):
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        elif error is not None:
            traceback.print_exception(error.with_traceback(trace and trace.tb_next))
            status = 1
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status & 0xFF)


def _each(generator: Iterator[Any]) -> Iterator[Any]:
    """The elements of a generator, asked for from here: it may be the standard library's, and reads for the step."""
    yield from generator


def _elements(generator: AsyncGenerator[Any, None], wait: Wait) -> Iterator[Any]:
    """The elements of an asynchronous generator as they are asked for."""
    end = object()
    while (element := wait(anext(generator, end))) is not end:
        yield element


def working_directory() -> str | None:
    """None where it was removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None
