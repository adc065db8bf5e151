"""Frames in memory, as rows hold them: packed if they are long, sealed, and opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepcache.store import compression
from stepcache.store.frame import RAW, ZSTD, Damaged, frame, payload_of, read_header

if TYPE_CHECKING:
    from stepcache.store.seal import Seal

_PACKER = compression.Packer()


def sealed(kind: int, name: bytes, document: bytes, seal: Seal, *, long: int) -> bytes:
    """*document* as a row, packed if it is longer than *long*: zstd is not imported to read the others."""
    packed = _PACKER.pack(document) if len(document) > long else None
    payload, packing = (document, RAW) if packed is None else (packed, ZSTD)
    return frame(kind, name, payload, seal, packing=packing, size=len(document))


def opened(row: object, kind: int, name: bytes, seal: Seal) -> bytes | memoryview:
    """What was sealed into *row*. Raises Damaged or Foreign."""
    if not isinstance(row, bytes):
        raise Damaged("no bytes")
    header = read_header(row, seal, kind, name)
    payload = payload_of(row, header)
    return payload if header.packing == RAW else compression.unpack(payload, header.size)
