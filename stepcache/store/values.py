"""Stored values: small ones as rows, large ones as blobs, each once, whoever stores it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepcache.errors import ValueGone
from stepcache.model import Value
from stepcache.store.batch import ValueRow
from stepcache.store.blobs import VALUE_NAMES
from stepcache.store.compression import unpack
from stepcache.store.counters import count_removal
from stepcache.store.frame import RAW, VALUE, ZSTD, Damaged, Foreign, frame, payload_of, read_header

if TYPE_CHECKING:
    import sqlite3

    from stepcache.store.compression import Packer
    from stepcache.store.content import Content
    from stepcache.store.ledger import Ledger
    from stepcache.store.seal import Seal

# Below the first, values are kept as they are; up to the second they are packed in memory, and are rows if less than
# the third is left of them.
_TINY, _MEDIUM, _ROW = 2048, 256 * 1024, 8192
_SELECT = "SELECT frame FROM contents WHERE name = ? AND frame IS NOT NULL"


class Values:
    """The values of one cache folder."""

    def __init__(self, ledger: Ledger, *, packer: Packer, max_size: int) -> None:
        self._ledger = ledger
        self._packer = packer
        self._max_size = max_size

    def name(self, digest: str) -> bytes:
        """What the value of that digest is stored under."""
        return self._ledger.seal.name(VALUE_NAMES, bytes.fromhex(digest))

    def keep(self, content: Content) -> Value:
        """Store a value. Raises OSError, or TooLarge."""
        stored = self._stored(content)
        return Value(content.digest, content.codec, content.size, stored, content.classes)

    def _stored(self, content: Content) -> int:
        if content.size <= _MEDIUM:
            data = b"".join(content.parts)
            content.parts = (data,)
            packed = self._packer.pack(data) if len(data) > _TINY else None
            payload = data if packed is None else packed
            if len(payload) <= _ROW:
                return self._keep_row(content, payload, RAW if packed is None else ZSTD)
        name, stored = self._ledger.blobs.write(content, self._max_size)
        self.enter_blob(name, stored)
        return stored

    def keep_aside(self, content: Content) -> Value:
        """Write a value as a blob that another process enters. Raises OSError, or TooLarge."""
        _, stored = self._ledger.blobs.write(content, self._max_size)
        return Value(content.digest, content.codec, content.size, stored, content.classes)

    def enter_blob(self, name: bytes, stored: int) -> None:
        """Note that a blob of that name is written."""
        with self._ledger.lock:
            self._ledger.batch.blobs[name] = stored

    def pending(self, value: Value) -> bytes | None:
        """The bytes of a value that only waits to be written: no other process can see it yet."""
        with self._ledger.lock:
            row = self._ledger.batch.values.get(self.name(value.digest))
        return b"".join(row.content.parts) if row is not None else None

    def _keep_row(self, content: Content, payload: bytes, packing: int) -> int:
        ledger = self._ledger
        name = ledger.seal.name(VALUE_NAMES, content.digest_bytes)
        with ledger.lock:
            batch = ledger.batch
            if name not in batch.values and not self._is_sound(name, content.digest_bytes):
                row = frame(
                    VALUE,
                    content.digest_bytes,
                    payload,
                    ledger.seal,
                    codec=content.codec,
                    packing=packing,
                    size=content.size,
                )
                batch.values[name] = ValueRow(content, row)
                ledger.added(len(row))
        return len(payload)

    def _is_sound(self, name: bytes, digest: bytes) -> bool:
        """Whether the row is there and undamaged: a damaged one is written again."""
        for (row,) in self._ledger.rows(_SELECT, (name,)):
            try:
                _opened(row, digest, self._ledger.seal)
            except (Damaged, Foreign):
                return False
            return True
        return False

    def holds(self, value: Value) -> bool:
        """Whether the value is stored, as far as can be told without reading it."""
        return all(self._has(each) for each in value.contents)

    def _has(self, value: Value) -> bool:
        if value.inline is not None:
            return True
        ledger, name = self._ledger, self.name(value.digest)
        with ledger.lock:
            if name in ledger.batch.values:
                return True
            if value.stored > _ROW:
                return ledger.blobs.size(name) is not None
            return bool(ledger.rows(_SELECT, (name,))) or ledger.blobs.size(name) is not None

    def load(self, value: Value) -> memoryview:
        """The value's bytes, checked, writable and the caller's own. Raises ValueGone."""
        name, digest = self.name(value.digest), bytes.fromhex(value.digest)
        try:
            if value.stored > _ROW:
                data = self._from_blob(name, digest)
            else:
                data = self._from_row(name, digest)
                if data is None:
                    data = self._from_blob(name, digest)
                if data is None:
                    self._ledger.suspect()
                    data = self._from_row(name, digest)
        except Foreign as error:
            raise ValueGone(value.digest, "foreign") from error
        except Damaged as error:
            self.drop(name)
            raise ValueGone(value.digest, "damaged") from error
        except OSError as error:
            self._ledger.note("read", error.strerror or str(error))
            raise ValueGone(value.digest, "damaged") from error
        if data is None:
            raise ValueGone(value.digest, "evicted")
        return data

    def _from_row(self, name: bytes, digest: bytes) -> memoryview | None:
        ledger = self._ledger
        with ledger.lock:
            if (pending := ledger.batch.values.get(name)) is not None:
                row = pending.frame
            elif found := ledger.rows(_SELECT, (name,)):
                row = found[0][0]
            else:
                return None
        return _opened(row, digest, ledger.seal)

    def _from_blob(self, name: bytes, digest: bytes) -> memoryview | None:
        try:
            return self._ledger.blobs.read(name, digest)
        except FileNotFoundError:
            return None

    def drop(self, name: bytes) -> None:
        """Remove a damaged value; its blob is set aside."""
        ledger = self._ledger
        with ledger.lock:
            ledger.batch.values.pop(name, None)
            if ledger.readonly:
                return
            ledger.suspect()
            try:
                ledger.blobs.set_aside(name)
            except OSError as error:
                if ledger.blobs.size(name) is not None:
                    ledger.note("write", error.strerror or str(error))
            ledger.change(lambda connection: _forget(connection, name))


def _opened(row: object, digest: bytes, seal: Seal) -> memoryview:
    """The value's bytes in *row*. Raises Damaged or Foreign."""
    if not isinstance(row, bytes):
        raise Damaged("no bytes")
    header = read_header(row, seal, VALUE, digest)
    payload = payload_of(memoryview(row), header)
    return memoryview(bytearray(payload)) if header.packing == RAW else unpack(payload, header.size)


def _forget(connection: sqlite3.Connection, name: bytes) -> None:
    connection.execute("DELETE FROM contents WHERE name = ?", (name,))
    count_removal(connection)
