"""zstd behind one small module: when it pays, how it is streamed, and how far it is trusted.

zstandard is imported when a frame is packed or a packed frame is met, never before.
"""

from __future__ import annotations

import os
from threading import local
from typing import TYPE_CHECKING, Any

from stepcache.store.frame import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stepcache.store.frame import Buffer

# Raw bytes can be mapped and cost no time: packing must save a tenth.
_WORTH = 0.9
_PIECES, _PIECE = 16, 64 * 1024
_CHUNK = 4 << 20
_THREADED = 8 << 20
_LARGEST_WINDOW = 1 << 27

_kept = local()


def pack(data: bytes, level: int) -> bytes | None:
    """*data* packed, or None where that saves less than a tenth."""
    packed: bytes = _packer(level).compress(data)
    return packed if len(packed) <= _WORTH * len(data) else None


def _packer(level: int) -> Any:
    """A compressor of this thread: making one takes six times as long as using it."""
    packers = _kept.__dict__.setdefault("packers", {})
    if level not in packers:
        import zstandard

        packers[level] = zstandard.ZstdCompressor(level=level)
    return packers[level]


def pays(parts: Iterable[Buffer], size: int, level: int) -> bool:
    """Whether a sample of the bytes, taken from all over them, shrinks by a tenth."""
    return pack(b"".join(_sample(parts, size)), level) is not None


def _sample(parts: Iterable[Buffer], size: int) -> Iterator[bytes]:
    stride = max(size // _PIECES, _PIECE)
    position, wanted = 0, 0
    for part in parts:
        view = memoryview(part)
        while wanted < position + len(view):
            at = wanted - position
            yield bytes(view[at : at + _PIECE])
            wanted += stride
        position += len(view)


def chunks(parts: Iterable[Buffer]) -> Iterator[memoryview]:
    """The bytes of *parts* in pieces that fit the processor's cache."""
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), _CHUNK):
            yield view[start : start + _CHUNK]


def packed_stream(pieces: Iterable[memoryview], size: int, level: int) -> Iterator[bytes]:
    """The packed bytes of *pieces*, *size* bytes in all, as they come."""
    import zstandard

    threads = min(os.cpu_count() or 1, 8) if size >= _THREADED else 0
    packer = zstandard.ZstdCompressor(level=level, threads=threads).compressobj(size=size)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def unpack(data: Buffer, size: int) -> bytearray:
    """The *size* bytes that *data* is the packed form of, exactly one frame and no byte more.

    zstd believes the size that a frame states, so that must be the sealed one; a window is bounded because it is
    allocated before anything is seen.
    """
    import zstandard

    try:
        stated = zstandard.get_frame_parameters(data)
        if stated.content_size != size or stated.window_size > _LARGEST_WINDOW:
            raise Damaged("packed size")
        raw = bytearray(size)
        view, filled = memoryview(raw), 0
        unpacker = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        with unpacker.stream_reader(data) as reader:
            while filled < size and (got := reader.readinto(view[filled:])):
                filled += got
            if filled != size or reader.read(1):
                raise Damaged("packed size")
    except (zstandard.ZstdError, MemoryError) as error:
        raise Damaged("packed") from error
    return raw
