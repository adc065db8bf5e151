"""What a body returned, as a stored value: a whole, several outputs, or the elements of a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from types import GeneratorType
from typing import Any, Protocol

from stepcache.errors import Unstorable, WrongReturn
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.execution.values import Held, Product
from stepcache.execution.work import Work
from stepcache.model import Node, Value
from stepcache.records import frozen
from stepcache.store.composed import outputs
from stepcache.store.streams import StreamWriter


@frozen(eq=False)
class Streamed:
    """The elements of a generator, stored while it ran."""

    value: Value


class Eyes(Protocol):
    """What stores and what watches."""

    shelf: Shelf
    sight: Sight


def streamed(elements: Iterator[Any], work: Work, tmp: Path | None, eyes: Eyes) -> Any:
    """Go through a generator's elements and store each as it comes; a list of them all where one cannot be stored."""
    _refuse_outputs(work.node)
    if work.node.kind == "check":
        return list(elements)
    kept = _Keeping(StreamWriter(work.node.definition.codec, tmp, eyes.shelf.vault(work.keeps)), eyes.sight)
    for element in elements:
        kept.add(element)
    return kept.value()


async def streamed_together(elements: AsyncIterator[Any], work: Work, tmp: Path | None, eyes: Eyes) -> Any:
    """The same of an asynchronous generator, beside others."""
    _refuse_outputs(work.node)
    if work.node.kind == "check":
        return [each async for each in elements]
    kept = _Keeping(StreamWriter(work.node.definition.codec, tmp, eyes.shelf.vault(work.keeps)), eyes.sight)
    async for element in elements:
        kept.add(element)
    return kept.value()


class _Keeping:
    """Elements as they come: stored, until one of them cannot be; then they are held, those before it too."""

    def __init__(self, writer: StreamWriter, sight: Sight) -> None:
        self._writer = writer
        self._sight = sight
        self._held: list[Any] = []
        self._error: Unstorable | None = None

    def add(self, element: Any) -> None:
        if self._error is not None:
            self._held.append(element)
            return
        with self._sight.paused():
            try:
                self._writer.add(element)
            except Unstorable as error:
                self._error = error
                self._held = [*self._writer.so_far(), element]

    def value(self) -> Any:
        if self._error is not None:
            return Unstored(self._held, self._error)
        with self._sight.paused():
            return Streamed(self._writer.value())


@frozen(eq=False)
class Unstored:
    """The elements of a generator of which one cannot be stored."""

    elements: list[Any]
    error: Unstorable


def stored(result: Any, node: Node, keep: bool, tmp: Path | None, shelf: Shelf) -> Value:
    """Store what the node's body returned. Raises `Unstorable`, or `WrongReturn`."""
    if isinstance(result, Streamed):
        return result.value
    if isinstance(result, Unstored):
        raise result.error
    codec = node.definition.codec
    if not node.definition.outputs:
        return shelf.save(result, keep=keep, codec=codec, tmp=tmp)
    named = _named(result, node)
    return outputs({name: shelf.save(each, keep=keep, codec=codec, tmp=tmp) for name, each in named.items()})


def held(result: Any, node: Node) -> Product:
    """What the node's body returned as it is handed on where it cannot be stored."""
    if isinstance(result, Unstored):
        return Held(result.elements)
    return Held(_named(result, node) if node.definition.outputs else result)


def given_product(value: Any, names: Sequence[str], shelf: Shelf) -> Product:
    """What a caller gave in the place of a node's value, with the names of its outputs, as nodes are handed it.

    A generator can be gone through once, and several nodes may take it: it is a list from then on.
    """
    whole: Any = [*value] if isinstance(value, GeneratorType) else value
    if names:
        whole = by_output(value, names)
    try:
        if names:
            return outputs({name: shelf.save(each, keep=False, codec=None, tmp=None) for name, each in whole.items()})
        return shelf.save(whole, keep=False, codec=None, tmp=None)
    except Unstorable:
        return Held(whole)


def _refuse_outputs(node: Node) -> None:
    """A stream is one value. Raises `WrongReturn` where the node has several."""
    if node.definition.outputs:
        raise _wrong(node, "a generator")


def by_output(result: Any, names: Sequence[str]) -> dict[str, Any]:
    """The outputs by their *names*. Raises `ValueError` that says what *result* is instead, and what is wanted."""
    if isinstance(result, Mapping):
        if set(result) == set(names):
            return {name: result[name] for name in names}
        got = f"a dict of {', '.join(map(repr, result)) or 'nothing'}"
    elif isinstance(result, (tuple, list)):
        if len(result) == len(names):
            return dict(zip(names, result, strict=True))
        got = f"a {type(result).__name__} of {len(result)}"
    else:
        got = f"a {type(result).__name__}" if result is not None else "None"
    raise ValueError(got, _wanted(names))


def _wanted(names: Sequence[str]) -> str:
    return f"a tuple of {len(names)} values in that order, or a dict of those names"


def _named(result: Any, node: Node) -> dict[str, Any]:
    """The outputs by their names. Raises `WrongReturn`."""
    try:
        return by_output(result, node.definition.outputs)
    except ValueError as error:
        raise _wrong(node, error.args[0]) from None


def _wrong(node: Node, got: str) -> WrongReturn:
    names, source = node.definition.outputs, node.definition.source
    told = f"{source}: {node.id} returned {got}, and its outputs are {', '.join(names)}: return {_wanted(names)}"
    return WrongReturn(told, str(source))
