"""What a mapped step gives: the whole, put together from its elements, and packs of elements that were made together.

    whole  = index, keys of a mapping, chunks       for the steps that take it
    pack   = index, chunks                          for the next run: which elements there are, and what they rest on

An element is a value in a chunk. The whole's digest is made from those of its elements, in order: which chunks they lie
in tells nothing of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import evolve, field

from stepcache.errors import ValueGone
from stepcache.model import Observation, Output
from stepcache.records import frozen
from stepcache.store.chunks import Chunk
from stepcache.store.codecs import Encoded
from stepcache.store.composed import MAPPED, PACK, composed
from stepcache.store.content import measured
from stepcache.store.plain import PlainCodec
from stepcache.variantid import escaped, plain_id, unique

if TYPE_CHECKING:
    from stepcache.model import Value
    from stepcache.store.vault import Vault

_PLAIN = PlainCodec()
_SIZE = 32


class Entry(NamedTuple):
    """A stored element: its digest, and the chunk and place where it lies. A passed check has no chunk."""

    digest: bytes
    classes: tuple[str, ...] = ()
    chunk: Value | None = None
    at: int = -1


@frozen(eq=False)
class Elements:
    """Elements in order.

    `keys` are those of a mapping, None for a sequence. `places` are the numbers that they have in the sequence which
    they go back to, where some of that were skipped, else None.
    """

    entries: Sequence[Entry]
    keys: Sequence[Hashable] | None = None
    places: Sequence[int] | None = None

    def name(self, number: int) -> str:
        """How an element is called: its key in a mapping, else its number in the sequence that it goes back to."""
        if self.keys is not None:
            return self._key_names[number]
        return str(number if self.places is None else self.places[number])

    def find(self, name: str) -> int | None:
        """The number of the element that is so called."""
        if self.keys is not None:
            return self._key_names.index(name) if name in self._key_names else None
        if not (name.isascii() and name.isdigit()):
            return None
        place = int(name)
        if self.places is None:
            return place if place < len(self.entries) else None
        return self.places.index(place) if place in self.places else None

    @cached_property
    def _key_names(self) -> list[str]:
        return unique([_key_name(key) for key in self.keys or ()])


def _key_name(key: Hashable) -> str:
    """A key as a variant's id would be made of it; but a path is told from others of its name."""
    plain = None if isinstance(key, PurePath) else plain_id(key)
    return escaped(str(key)) if plain is None else plain


def whole(elements: Elements, vault: Vault) -> Value:
    """Keep the whole of a mapped step. Raises Unstorable."""
    index, chunks = _columns(elements.entries)
    parts = [vault.keep(_content((index, elements.keys is not None, elements.places)))]
    if elements.keys is not None:
        parts.append(vault.keep(vault.content(list(elements.keys))))
    told: list[bytes | str] = [
        "sequence" if elements.keys is None else f"mapping {parts[1].digest}",
        "" if elements.places is None else repr(list(elements.places)),
        b"".join(entry.digest for entry in elements.entries),
    ]
    value = composed(MAPPED, (*parts, *chunks), told, len(elements.entries))
    return evolve(value, classes=tuple(dict.fromkeys(c for e in _distinct(elements.entries) for c in e)))


def _distinct(entries: Iterable[Entry]) -> set[tuple[str, ...]]:
    return {entry.classes for entry in entries}


def elements_of(value: Value, vault: Vault) -> Elements:
    """The elements of a whole. Raises ValueGone."""
    index, has_keys, places = _decoded(value.parts[0], vault)
    keys: Any = vault.decoded(value.parts[1].codec, vault.data(value.parts[1]), value.digest) if has_keys else None
    return Elements(_entries(index, value.parts[2 if has_keys else 1 :]), keys, places)


def loaded_whole(value: Value, vault: Vault) -> Any:
    """The whole as a list, or as a dict. Raises ValueGone."""
    elements = elements_of(value, vault)
    objects = loaded_elements(elements.entries, vault)
    return objects if elements.keys is None else dict(zip(elements.keys, objects, strict=True))


def loaded_elements(entries: Iterable[Entry], vault: Vault) -> list[Any]:
    """Fresh objects. Raises ValueGone."""
    opened: dict[str, Chunk] = {}
    found = []
    for entry in entries:
        assert entry.chunk is not None
        chunk = opened.get(entry.chunk.digest)
        if chunk is None:
            chunk = opened[entry.chunk.digest] = Chunk(entry.chunk, vault)
        found.append(chunk.element(entry.at))
    return found


@frozen(eq=False)
class Pack:
    """Elements that were made together, each under the name of what it was made from.

    What each run of theirs was seen to read is one of `seen`, by its number in `seen_of`. `made` is when, in seconds
    since the epoch. `outputs` are those of the elements that wrote something. `skipped` says why those have no value
    whose body left them out. `covers` are the digests of the packs whose elements are all in this one.
    """

    names: Sequence[bytes]
    entries: Sequence[Entry]
    seconds: Sequence[float]
    made: Sequence[float]
    seen_of: Sequence[int]
    seen: Sequence[tuple[Observation, ...]]
    outputs: Mapping[int, Output] = field(factory=dict)
    skipped: Mapping[int, str] = field(factory=dict)
    covers: Sequence[str] = ()


def keep_pack(pack: Pack, vault: Vault) -> Value:
    """Keep a pack."""
    index, chunks = _columns(pack.entries)
    rows = (
        index,
        b"".join(pack.names),
        list(pack.seconds),
        list(pack.made),
        list(pack.seen_of),
        [[(o.kind, o.name, o.digest, o.label) for o in each] for each in pack.seen],
        {number: (o.stdout, o.stderr, o.log, o.warnings) for number, o in pack.outputs.items()},
        dict(pack.skipped),
        list(pack.covers),
    )
    part = vault.keep(_content(rows))
    return composed(PACK, (part, *chunks), [part.digest], len(pack.names))


def read_pack(value: Value, vault: Vault) -> Pack:
    """The pack that was kept. Raises ValueGone."""
    index, names, seconds, made, seen_of, seen, outputs, skipped, covers = _decoded(value.parts[0], vault)
    return Pack(
        [names[at : at + _SIZE] for at in range(0, len(names), _SIZE)],
        _entries(index, value.parts[1:]),
        seconds,
        made,
        seen_of,
        [tuple(Observation(*o) for o in each) for each in seen],
        {number: Output(*o) for number, o in outputs.items()},
        skipped,
        covers,
    )


def covering(packs: Sequence[tuple[str, Pack]]) -> Pack:
    """One pack with the elements of *packs*, each given with its digest; where several have one, the first counts."""
    rows: dict[bytes, tuple[Pack, int]] = {}
    for _, pack in packs:
        for at, name in enumerate(pack.names):
            rows.setdefault(name, (pack, at))
    seen: dict[tuple[Observation, ...], int] = {}
    for pack, at in rows.values():
        seen.setdefault(pack.seen[pack.seen_of[at]], len(seen))
    return Pack(
        names=list(rows),
        entries=[pack.entries[at] for pack, at in rows.values()],
        seconds=[pack.seconds[at] for pack, at in rows.values()],
        made=[pack.made[at] for pack, at in rows.values()],
        seen_of=[seen[pack.seen[pack.seen_of[at]]] for pack, at in rows.values()],
        seen=list(seen),
        outputs={number: pack.outputs[at] for number, (pack, at) in enumerate(rows.values()) if at in pack.outputs},
        skipped={number: pack.skipped[at] for number, (pack, at) in enumerate(rows.values()) if at in pack.skipped},
        covers=[each for digest, pack in packs for each in (digest, *pack.covers)],
    )


def _columns(entries: Sequence[Entry]) -> tuple[Any, list[Value]]:
    """Entries as columns, and the chunks that they lie in."""
    chunks: dict[str, int] = {}
    values: list[Value] = []
    groups: dict[tuple[str, ...], int] = {}
    numbers = []
    for entry in entries:
        if entry.chunk is None:
            numbers.append(-1)
            continue
        number = chunks.setdefault(entry.chunk.digest, len(chunks))
        if number == len(values):
            values.append(entry.chunk)
        numbers.append(number)
    kinds = [groups.setdefault(entry.classes, len(groups)) for entry in entries]
    digests = b"".join(entry.digest for entry in entries)
    return (list(groups), kinds, numbers, [entry.at for entry in entries], digests), values


def _entries(index: Any, chunks: Sequence[Value]) -> list[Entry]:
    groups, kinds, numbers, ats, digests = index
    places = (*chunks, None)  # -1 is no chunk
    return [
        Entry(digests[start : start + _SIZE], groups[kind], places[number], at)
        for start, kind, number, at in zip(range(0, len(digests), _SIZE), kinds, numbers, ats, strict=True)
    ]


def _content(rows: Any) -> Any:
    return measured(_PLAIN.name, Encoded(_PLAIN.encode(rows).parts))


def _decoded(value: Value, vault: Vault) -> Any:
    try:
        return _PLAIN.decode(vault.data(value))
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise ValueGone(value.digest, "damaged") from error
