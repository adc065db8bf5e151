"""A chunk: many encoded values in one content, so that a million small ones are neither a million rows nor files.

    chunk  = size of head (8 bytes)  head  values
    head   = the codecs, the classes, and for each value the number of its codec, that of its classes, and its size

Values of some size start on a multiple of 64 within the chunk, so that arrays in a mapped chunk are aligned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

from stepcache.errors import ValueGone
from stepcache.store.codecs import Encoded
from stepcache.store.content import Content, measured, value_digest
from stepcache.store.plain import PlainCodec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepcache.model import Value
    from stepcache.store.frame import Buffer
    from stepcache.store.vault import Vault

NAME = "chunk"
# A chunk is full when it holds so many bytes; where it ends depends on what is in it alone.
FULL = 4 << 20
_OVERHEAD = 16
# Smaller values are copied out of the chunk, so that it can be read from again.
_COPIED = 1 << 16
_ALIGNED, _ALIGNMENT = 4096, 64
_PLAIN = PlainCodec()


class ChunkWriter:
    """Gathers encoded values. Their bytes are copied: whoever gave them may change what they came from."""

    def __init__(self) -> None:
        self._empty()

    def _empty(self) -> None:
        self._codecs: dict[str, int] = {}
        self._classes: dict[tuple[str, ...], int] = {}
        self._rows: list[tuple[int, int, int]] = []
        self._bodies: list[Buffer] = []
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, content: Content) -> int:
        """Add a value; its number in the chunk."""
        body = b"".join(content.parts)
        codec = self._codecs.setdefault(content.codec, len(self._codecs))
        classes = self._classes.setdefault(content.classes, len(self._classes))
        self._rows.append((codec, classes, len(body)))
        self._bodies.append(body)
        self.size += len(body) + _OVERHEAD
        return len(self._rows) - 1

    def content(self) -> Content:
        """All that was added, as one content; the writer is empty afterwards."""
        columns = [list(column) for column in zip(*self._rows, strict=True)] or [[], [], []]
        head = b"".join(_PLAIN.encode((list(self._codecs), list(self._classes), *columns)).parts)
        parts: list[Buffer] = [len(head).to_bytes(8, "little"), head]
        at = 8 + len(head)
        for body in self._bodies:
            if gap := _gap(at, len(body)):
                parts.append(bytes(gap))
            parts.append(body)
            at += gap + len(body)
        classes = tuple(dict.fromkeys(each for one in self._classes for each in one))
        self._empty()
        return measured(NAME, Encoded((b"".join(parts),), classes))


def _gap(at: int, size: int) -> int:
    return -at % _ALIGNMENT if size >= _ALIGNED else 0


class Piece(NamedTuple):
    """One encoded value of a chunk."""

    codec: str
    classes: tuple[str, ...]
    data: memoryview

    @property
    def digest(self) -> bytes:
        """The digest that the value has wherever it is stored."""
        return value_digest(self.codec, blake3(self.data).digest())


class Chunk:
    """A stored chunk, opened. Raises ValueGone where it is not there or not as it was written."""

    def __init__(self, value: Value, vault: Vault) -> None:
        self._value, self._vault = value, vault
        self._taken: set[int] = set()
        self._open()

    def _open(self) -> None:
        self._data = self._vault.data(self._value)
        size = int.from_bytes(self._data[:8], "little")
        try:
            head: Any = _PLAIN.decode(self._data[8 : 8 + size])
            self._codecs, self._classes, self._kinds, self._groups, self._sizes = head
        except Exception as error:
            raise ValueGone(self._value.digest, "damaged") from error
        self._starts: list[int] = []
        at = 8 + size
        for each in self._sizes:
            at += _gap(at, each)
            self._starts.append(at)
            at += each

    def __len__(self) -> int:
        return len(self._sizes)

    def piece(self, number: int) -> Piece:
        """A value as bytes, to be read only."""
        start = self._starts[number]
        data = self._data[start : start + self._sizes[number]]
        return Piece(self._codecs[self._kinds[number]], self._classes[self._groups[number]], data)

    def element(self, number: int) -> object:
        """A value as a fresh object."""
        piece = self.piece(number)
        if len(piece.data) < _COPIED:
            data = memoryview(bytearray(piece.data))
        else:
            if number in self._taken:
                self._taken.clear()
                self._open()
            self._taken.add(number)
            data = self.piece(number).data
        return self._vault.decoded(piece.codec, data, self._value.digest)

    def __iter__(self) -> Iterator[object]:
        return map(self.element, range(len(self)))
