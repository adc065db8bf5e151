"""Streams: the elements of a generator step, stored as they come, in chunks, and read again as they are asked for.

Where a chunk ends depends on the elements alone, so equal streams have equal chunks, and equal digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from attrs import evolve

from stepcache.store.chunks import FULL, Chunk, ChunkWriter
from stepcache.store.composed import STREAM, composed

if TYPE_CHECKING:
    from pathlib import Path

    from stepcache.model import Value
    from stepcache.store.content import Content
    from stepcache.store.vault import Vault

# Elements of that size have a chunk of their own.
_LARGE = 1 << 20


class Stream(Iterable[Any]):
    """What a step that takes a generator step is given: its elements, each time anew, none kept in memory.

    It has a length, and can be gone through as often as one likes.
    """

    def __init__(self, value: Value, vault: Vault, owner: object = None) -> None:
        self._value = value
        self._vault = vault
        self._owner = owner
        """Kept alive as long as the stream: what the vault lives in."""

    def __iter__(self) -> Iterator[Any]:
        for part in self._value.parts:
            yield from Chunk(part, self._vault)

    def __len__(self) -> int:
        return self._value.count or 0

    def __repr__(self) -> str:
        return f"<stream of {len(self)} elements>"

    def __reduce__(self) -> Any:
        raise TypeError("a stream is stored only as the whole value of a step: hand on list(stream) inside of others")

    def kept_by(self, owner: object) -> Stream:
        """The same stream, which keeps *owner* alive."""
        return Stream(self._value, self._vault, owner)


class StreamWriter:
    """Keeps the elements of one stream in *vault*. What was kept is part of nothing until `value` is."""

    def __init__(self, codec: str | None, tmp: Path | None, vault: Vault) -> None:
        self._codec, self._tmp, self._vault = codec, tmp, vault
        self._chunk = ChunkWriter()
        self._parts: list[Value] = []
        self._count = 0

    def add(self, element: object, tmp: Path | None = None) -> Content:
        """Keep the next element, which may hold paths inside *tmp*. Raises Unstorable."""
        content = self._vault.content(element, self._codec, tmp or self._tmp)
        self.put(content)
        return content

    def put(self, content: Content) -> None:
        """Keep the next element, which is encoded already."""
        if content.size >= _LARGE and len(self._chunk):
            self._flush()
        self._chunk.add(content)
        self._count += 1
        if self._chunk.size >= FULL or content.size >= _LARGE:
            self._flush()

    def _flush(self) -> None:
        count = len(self._chunk)
        self._parts.append(evolve(self._vault.keep(self._chunk.content()), count=count))

    def value(self) -> Value:
        """The whole stream."""
        if len(self._chunk) or not self._parts:
            self._flush()
        return composed(STREAM, tuple(self._parts), [part.digest for part in self._parts], self._count)

    def so_far(self) -> Stream:
        """The elements kept up to now, to be read."""
        return Stream(self.value(), self._vault)


def stream_of(elements: Iterable[object], codec: str | None, tmp: Path | None, vault: Vault) -> Value:
    """Keep all *elements* as a stream. Raises Unstorable."""
    writer = StreamWriter(codec, tmp, vault)
    for each in elements:
        writer.add(each)
    return writer.value()
