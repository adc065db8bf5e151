"""The elements of a value that a mapped step runs over: each with its digest, wherever it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from stepcache.errors import NoElements, Unstorable
from stepcache.execution.values import Held, Product
from stepcache.model import Need, Node, Value
from stepcache.store.chunks import Chunk
from stepcache.store.composed import MAPPED, STREAM
from stepcache.store.content import Content
from stepcache.store.mapped import Elements, Entry, elements_of
from stepcache.store.objects import loaded
from stepcache.store.vault import Vault


@frozen(eq=False)
class Source:
    """The elements that one parameter goes through. `objects` are those of a value that is stored as one."""

    elements: Elements
    vault: Vault
    objects: Sequence[Any] | None = None

    def contents(self, numbers: Sequence[int]) -> list[Content]:
        """Some of the elements as bytes. Raises `ValueGone`."""
        if self.objects is not None:
            return [self.vault.content(self.objects[number]) for number in numbers]
        opened: dict[str, Chunk] = {}
        found = []
        for number in numbers:
            entry = self.elements.entries[number]
            assert entry.chunk is not None
            chunk = opened.get(entry.chunk.digest)
            if chunk is None:
                opened.clear()
                chunk = opened[entry.chunk.digest] = Chunk(entry.chunk, self.vault)
            piece = chunk.piece(entry.at)
            found.append(Content(piece.codec, (piece.data,), piece.classes, len(piece.data)))
        return found

    def only(self, number: int) -> Source:
        """One of the elements."""
        keys, places = self.elements.keys, self.elements.places
        one = Elements(
            [self.elements.entries[number]],
            None if keys is None else [keys[number]],
            [number if places is None else places[number]] if keys is None else None,
        )
        return evolve(self, elements=one, objects=None if self.objects is None else [self.objects[number]])


def source_of(product: Product, node: Node, need: Need, vault: Vault) -> Source:
    """The elements of what a node was given for *need*. Raises `NoElements`, or `ValueGone`."""
    if isinstance(product, Held):
        value = product.object if need.output is None else product.object[need.output]
    else:
        stored = product.output(need.output)
        if stored.codec == MAPPED:
            return Source(elements_of(stored, vault), vault)
        if stored.codec == STREAM:
            return Source(Elements(_of_stream(stored, vault)), vault)
        value = loaded(stored, vault)
    if isinstance(value, Mapping):
        return _of_objects(list(value.values()), list(value), node, need, vault)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        return _of_objects(value, None, node, need, vault)
    kind = type(value).__name__
    hint = ", which has no order: return sorted(…) or list(…) of it" if isinstance(value, (set, frozenset)) else ""
    raise NoElements(
        f"{node.definition.source}: {node.id} takes each element of '{need.step}', whose value is a {kind}, and not a "
        f"sequence, mapping or stream{hint}"
    )


def _of_stream(value: Value, vault: Vault) -> list[Entry]:
    found = []
    for part in value.parts:
        chunk = Chunk(part, vault)
        for at in range(len(chunk)):
            piece = chunk.piece(at)
            found.append(Entry(piece.digest, piece.classes, part, at))
    return found


def _of_objects(objects: Sequence[Any], keys: list[Any] | None, node: Node, need: Need, vault: Vault) -> Source:
    entries = []
    for number, value in enumerate(objects):
        try:
            content = vault.content(value)
        except Unstorable as error:
            name = number if keys is None else keys[number]
            raise NoElements(
                f"{node.definition.source}: {node.id} takes each element of '{need.step}', and element {name} cannot be "
                f"stored ({error})"
            ) from error
        entries.append(Entry(content.digest_bytes, content.classes))
    return Source(Elements(entries, keys), vault, objects)
