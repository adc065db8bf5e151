"""What a body returned, as a stored value: a whole, several outputs, or the elements of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen

from stepcache.errors import Unstorable, WrongReturn
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.execution.values import Held, Product
from stepcache.execution.work import Work
from stepcache.model import Node, Value
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
    if work.node.kind == "check":
        return list(elements)
    writer = StreamWriter(work.node.definition.codec, tmp, eyes.shelf.vault(work.keeps))
    for element in elements:
        try:
            with eyes.sight.paused():
                writer.add(element)
        except Unstorable as error:
            with eyes.sight.paused():
                before = list(writer.so_far())
            return Unstored([*before, element, *elements], error)
    with eyes.sight.paused():
        return Streamed(writer.value())


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


def _named(result: Any, node: Node) -> dict[str, Any]:
    """The outputs by their names. Raises `WrongReturn`."""
    names = node.definition.outputs
    if isinstance(result, Mapping):
        if set(result) == set(names):
            return {name: result[name] for name in names}
        raise _wrong(node, f"a dict of {', '.join(map(repr, result)) or 'nothing'}")
    if isinstance(result, (tuple, list)):
        if len(result) == len(names):
            return dict(zip(names, result, strict=True))
        raise _wrong(node, f"a {type(result).__name__} of {len(result)}")
    raise _wrong(node, f"a {type(result).__name__}" if result is not None else "None")


def _wrong(node: Node, got: str) -> WrongReturn:
    names, source = node.definition.outputs, node.definition.source
    return WrongReturn(
        f"{source}: {node.id} returned {got}, and its outputs are {', '.join(names)}: "
        f"return a tuple of {len(names)} values in that order, or a dict of those names",
        str(source),
    )
