"""Documents in memory, as rows hold them: packed if they are long, sealed, and opened again.

    row  = magic (4 bytes)  key id (8)  packing (1)  payload  seal (32)

The seal is a keyed hash over the kind, the name and all before it: a frame would take two hashes and a
header for what is as small as one. A packed payload begins with the document's size in 4 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepcache.store import compression
from stepcache.store.frame import INGREDIENTS, MEMO, RAW, TRACE, ZSTD, Damaged, Foreign

if TYPE_CHECKING:
    from stepcache.store.seal import Seal

_PACKER = compression.Packer()
_MAGIC = b"step"
_PACKING, _PAYLOAD, _SEAL_SIZE = 12, 13, 32
_PREFIXES = {kind: b"row:%c" % kind for kind in (TRACE, INGREDIENTS, MEMO)}


def sealed(kind: int, name: bytes, document: bytes, seal: Seal, *, long: int) -> bytes:
    """*document* as a row, packed if it is longer than *long*: zstd is not imported to read the others.

    The names of a kind are all of one length.
    """
    packed = _PACKER.pack(document) if len(document) > long else None
    if packed is None:
        packing, payload = RAW, document
    else:
        packing, payload = ZSTD, len(document).to_bytes(4, "little") + packed
    body = b"%b%b%c%b" % (_MAGIC, seal.id_bytes, packing, payload)
    return body + seal.seal(_PREFIXES[kind] + name + body)


def opened(row: object, kind: int, name: bytes, seal: Seal) -> bytes:
    """What was sealed into *row*. Raises Damaged or Foreign."""
    if not isinstance(row, bytes) or len(row) < _PAYLOAD + _SEAL_SIZE:
        raise Damaged("cut short")
    if row[:_PACKING] != _MAGIC + seal.id_bytes:
        raise Foreign if row.startswith(_MAGIC) else Damaged("no row")
    body = row[:-_SEAL_SIZE]
    if not seal.verify(_PREFIXES[kind] + name + body, row[-_SEAL_SIZE:]):
        raise Damaged("seal")
    payload = body[_PAYLOAD:]
    if body[_PACKING] == RAW:
        return payload
    return bytes(compression.unpack(payload[4:], int.from_bytes(payload[:4], "little")))


def is_foreign(head: bytes, seal: Seal) -> bool:
    """Whether the row that begins with *head* says that it was sealed with another key."""
    return head.startswith(_MAGIC) and head[:_PACKING] != _MAGIC + seal.id_bytes
