"""The elements of a value that a mapped step runs over: each with its digest, wherever it lies."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from attrs import evolve
from blake3 import blake3

from stepcache.errors import NoElements, Unstorable
from stepcache.execution.values import Held, Product
from stepcache.execution.work import LIVE, Pieces
from stepcache.model import Need, Node, Value
from stepcache.records import frozen
from stepcache.store.chunks import Chunk
from stepcache.store.composed import MAPPED, STREAM
from stepcache.store.mapped import Elements, Entry, elements_of
from stepcache.store.objects import loaded
from stepcache.store.streams import StreamWriter
from stepcache.store.vault import Vault

# No more bytes than that of values that are stored as a whole are handed on at once.
_MOST_BYTES = 32 << 20


@frozen(eq=False)
class Source:
    """The elements that one parameter goes through. `objects` are those of a value that is stored as a whole."""

    elements: Elements
    objects: Sequence[Any] | None = None

    @property
    def ids(self) -> Sequence[Hashable]:
        """What tells which elements of two sources belong together."""
        elements = self.elements
        if elements.keys is not None:
            return elements.keys
        return range(len(elements.entries)) if elements.places is None else elements.places

    def only(self, numbers: Sequence[int]) -> Source:
        """Some of the elements, in that order."""
        elements, ids = self.elements, self.ids
        keyed = elements.keys is not None
        chosen = Elements(
            [elements.entries[n] for n in numbers],
            [ids[n] for n in numbers] if keyed else None,
            None if keyed else [int(str(ids[n])) for n in numbers],
        )
        return evolve(self, elements=chosen, objects=self.objects and [self.objects[n] for n in numbers])

    def pieces(self, numbers: Sequence[int], vault: Vault) -> Pieces:
        """Some of the elements for an execution; as many as fit, but one at least. Objects are kept in *vault*."""
        if self.objects is not None:
            return _written(self.objects, numbers, vault)
        chunks: dict[str, int] = {}
        values: list[Value] = []
        places = []
        for number in numbers:
            entry = self.elements.entries[number]
            assert entry.chunk is not None
            at = chunks.setdefault(entry.chunk.digest, len(values))
            if at == len(values):
                values.append(entry.chunk)
            places.append((at, entry.at))
        return Pieces(tuple(values), tuple(places))


def _written(objects: Sequence[Any], numbers: Sequence[int], vault: Vault) -> Pieces:
    writer, size = StreamWriter(None, None, vault), 0
    live: list[Any] = []
    stored: list[bool] = []
    for number in numbers:
        try:
            size += writer.add(objects[number]).size
            stored.append(True)
        except Unstorable:
            live.append(objects[number])
            stored.append(False)
        if size > _MOST_BYTES:
            break
    chunks = writer.value().parts
    in_chunks = ((at, each) for at, chunk in enumerate(chunks) for each in range(chunk.count or 0))
    alive = ((LIVE, each) for each in range(len(live)))
    return Pieces(chunks, tuple(next(in_chunks if each else alive) for each in stored), tuple(live))


def together(sources: Mapping[str, Source]) -> dict[str, Source]:
    """The sources of all parameters, those elements of each that all have, in one order."""
    first, *others = sources.values()
    if all(list(other.ids) == list(first.ids) for other in others):
        return dict(sources)
    also = [set(other.ids) for other in others]
    shared = [each for each in first.ids if all(each in ids for ids in also)]
    found = {}
    for parameter, source in sources.items():
        numbers = {each: number for number, each in enumerate(source.ids)}
        found[parameter] = source.only([numbers[each] for each in shared])
    return found


def source_of(product: Product, node: Node, need: Need, vault: Vault) -> Source:
    """The elements of what a node was given for *need*.

    Raises `NoElements`, or `ValueGone`.
    """
    element = need.element
    if isinstance(product, Held):
        value = product.object if need.output is None else product.object[need.output]
    else:
        stored = product.output(need.output)
        if element is not None:
            entry = Entry(bytes.fromhex(stored.digest), stored.classes)
            return Source(Elements([entry], [element]), [loaded(stored, vault)])
        if stored.codec == MAPPED:
            return Source(elements_of(stored, vault))
        if stored.codec == STREAM:
            return Source(Elements(_of_stream(stored, vault)))
        value = loaded(stored, vault)
    if element is not None:
        return _of_objects([value], [element], vault)
    if isinstance(value, Mapping):
        return _of_objects(list(value.values()), list(value), vault)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        return _of_objects(value, None, vault)
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


def _of_objects(objects: Sequence[Any], keys: list[Any] | None, vault: Vault) -> Source:
    entries = []
    for number, value in enumerate(objects):
        try:
            content = vault.content(value)
        except Unstorable:
            # Of a value that could not be stored either: nothing is stored under what it is called by.
            entries.append(Entry(blake3(b"live %d" % number).digest()))
            continue
        entries.append(Entry(content.digest_bytes, content.classes))
    return Source(Elements(entries, keys), objects)
