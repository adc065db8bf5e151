"""The frame format: the bytes around all values that are stored, in rows and in files alike.

    frame   = header payload
    header  = magic, version, kind, packing, key id, header size, codec size, size, stored, name, digest
              codec  padding  seal

The seal is a keyed hash over the whole header before it, and the header holds the BLAKE3 digest of the payload as
it lies on disk, so a frame cannot be changed, cut short or put under another name without notice. The padding
makes the payload of a file start on a multiple of 64, so that arrays can be mapped.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from blake3 import blake3

from stepcache.store.schema import FORMAT

if TYPE_CHECKING:
    from stepcache.store.seal import Seal

Buffer = bytes | bytearray | memoryview
T = TypeVar("T", bytes, memoryview)

MAGIC = b"stepcach"
VERSION = FORMAT & 0xFFFF
ALIGNMENT = 64

# What is sealed: a value in a frame, all else as `rows` has it.
TRACE, INGREDIENTS, VALUE, MEMO = 1, 2, 3, 4

# How its payload is packed.
RAW, ZSTD = 0, 1

_FIXED = struct.Struct("<8sHBB8sHHQQ32s32s")
_FIXED_SIZE = _FIXED.size
_SEAL_SIZE = 32
_LARGEST_HEADER = 1024


class Damaged(Exception):
    """A frame of ours that is not what was written."""


class Foreign(Exception):
    """A frame that another key sealed, or that has another format."""


class Header(NamedTuple):
    """What a frame says of its payload. `name` is what it was stored under, `digest` that of the stored bytes."""

    kind: int
    codec: str
    packing: int
    size: int
    stored: int
    name: bytes
    digest: bytes
    start: int = 0


def header_size(codec: str, align: int = 1) -> int:
    """The size of a header, a multiple of *align*."""
    size = _FIXED.size + len(codec.encode()) + _SEAL_SIZE
    return -(-size // align) * align


def header_bytes(header: Header, seal: Seal, align: int = 1) -> bytes:
    """The sealed bytes of *header*."""
    codec = header.codec.encode()
    size = header_size(header.codec, align)
    fixed = _FIXED.pack(
        MAGIC,
        VERSION,
        header.kind,
        header.packing,
        seal.id_bytes,
        size,
        len(codec),
        header.size,
        header.stored,
        header.name,
        header.digest,
    )
    body = (fixed + codec).ljust(size - _SEAL_SIZE, b"\0")
    return body + seal.seal(body)


def frame(
    kind: int, name: bytes, payload: bytes, seal: Seal, *, codec: str = "", packing: int = RAW, size: int = -1
) -> bytes:
    """A whole frame in memory. *size* is that of the payload before it was packed."""
    code = codec.encode()
    length = len(payload)
    body = _FIXED.pack(
        MAGIC,
        VERSION,
        kind,
        packing,
        seal.id_bytes,
        _FIXED.size + len(code) + _SEAL_SIZE,
        len(code),
        length if size < 0 else size,
        length,
        name,
        blake3(payload).digest(),
    )
    body += code
    return body + seal.seal(body) + payload


def read_header(data: Buffer, seal: Seal, kind: int, name: bytes) -> Header:
    """The header that *data* begins with, checked to be ours, of that kind and under that name."""
    if len(data) < _FIXED_SIZE:
        raise Damaged("cut short")
    magic, version, its_kind, packing, key, start, codec_size, size, stored, its_name, digest = _FIXED.unpack_from(data)
    if magic != MAGIC:
        raise Damaged("no frame")
    if version != VERSION or key != seal.id_bytes:
        raise Foreign
    sealed = start - _SEAL_SIZE
    if sealed < _FIXED_SIZE + codec_size or start > len(data) or start > _LARGEST_HEADER:
        raise Damaged("cut short")
    body = bytes(data[:sealed])
    if not seal.verify(body, data[sealed:start]):
        raise Damaged("seal")
    if its_kind != kind or its_name != name:
        raise Damaged("under another name")
    codec = body[_FIXED_SIZE : _FIXED_SIZE + codec_size].decode() if codec_size else ""
    return Header(its_kind, codec, packing, size, stored, its_name, digest, start)


def payload_of(data: T, header: Header) -> T:
    """The stored bytes after *header*, checked to be those that were written."""
    payload = data[header.start :]
    if len(payload) != header.stored:
        raise Damaged("size")
    # By one thread: blake3's own pool of threads hangs in a forked child.
    if blake3(payload).digest() != header.digest:
        raise Damaged("content")
    return payload
