"""zstd behind one small module: when it pays, how it is streamed, and how far it is trusted.

zstandard is imported when a frame is packed or a packed frame is met, never before.
"""

from __future__ import annotations

import mmap
import os
from contextlib import contextmanager
from threading import local
from typing import TYPE_CHECKING, Any, Literal

from stepcache.records import frozen
from stepcache.store.frame import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stepcache.store.frame import Buffer

Policy = Literal["adaptive", "always", "never"]

# Raw bytes can be mapped and cost no time: packing must save a tenth.
_WORTH = 0.9
_PIECES, _PIECE = 16, 64 * 1024
# What is hashed, packed and written at a time: it stays in the processor's cache meanwhile.
_CHUNK = 1 << 20
_THREADED = 8 << 20
# What shrinks to less than this part is packed sooner than it is handed to threads, and unpacked at once, straight to
# where it is to lie: its packed form takes no room to speak of.
_LITTLE = 50
_LARGEST_WINDOW = 1 << 27
# From here on, memory is had from the system as it is touched, and given back as it is used up.
_PAGED = 4 << 20

_kept = local()


@frozen
class Packer:
    """How values are packed: at which level of zstd, and which of them."""

    level: int = 1
    policy: Policy = "adaptive"

    def pack(self, data: bytes) -> bytes | None:
        """*data* packed, or None where it is to stay as it is."""
        if self.policy == "never":
            return None
        with _memory_told():
            packed: bytes = _packer(self.level).compress(data)
        return packed if len(packed) <= (_WORTH if self.policy == "adaptive" else 1) * len(data) else None

    def threads(self, parts: Iterable[Buffer], size: int) -> int | None:
        """How many threads are to pack a value beside this one; None where it is to stay as it is.

        A sample taken from all over it decides: it must shrink by a tenth, unless the policy is another.
        """
        if self.policy == "never":
            return None
        sample = b"".join(_sample(parts, size))
        packed = self.pack(sample)
        if packed is None and self.policy == "adaptive":
            return None
        few = size < _THREADED or (packed is not None and len(packed) * _LITTLE < len(sample))
        return 0 if few else min(os.cpu_count() or 1, 8)

    def stream(self, pieces: Iterable[memoryview], size: int, threads: int = 0) -> Iterator[bytes]:
        """The packed bytes of *pieces*, *size* bytes in all, as they come."""
        with _memory_told():
            packer = (_threaded_packer(self.level, threads) if threads else _packer(self.level)).compressobj(size=size)
        for piece in pieces:
            with _memory_told():
                packed = packer.compress(piece)
            if packed:
                yield packed
        with _memory_told():
            packed = packer.flush()
        yield packed


@contextmanager
def _memory_told() -> Iterator[None]:
    """Packing fails for want of memory alone, and zstd has an error of its own for that."""
    import zstandard

    try:
        yield
    except zstandard.ZstdError as error:
        raise MemoryError(str(error)) from error


def _threaded_packer(level: int, threads: int) -> Any:
    import zstandard

    parameters = zstandard.ZstdCompressionParameters
    # What a thread takes at a time is a quarter of what zstd would choose: it packs as well, in less memory.
    piece = 1 << parameters.from_level(level).window_log
    return zstandard.ZstdCompressor(compression_params=parameters.from_level(level, threads=threads, job_size=piece))


def _packer(level: int) -> Any:
    """A compressor of this thread: making one takes six times as long as using it."""
    packers = _kept.__dict__.setdefault("packers", {})
    if level not in packers:
        import zstandard

        packers[level] = zstandard.ZstdCompressor(level=level)
    return packers[level]


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


def unpack(data: Buffer, size: int, whole: mmap.mmap | None = None) -> memoryview:
    """The *size* bytes that *data* is the packed form of, exactly one frame and no byte more; writable.

    zstd believes the size that a frame states, so that must be the sealed one; a window is bounded because it is
    allocated before anything is seen. Where *data* is the end of the map *whole*, its pages are let go as they have
    been read.
    """
    import zstandard

    try:
        stated = zstandard.get_frame_parameters(data)
        if stated.content_size != size or stated.window_size > _LARGEST_WINDOW:
            raise Damaged("packed size")
        view, filled = _room(size), 0
        unpacker = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        source, piece = data, size
        if whole is not None and len(data) * _LITTLE > size:
            source, piece = _Draining(whole, len(whole) - len(data)), _CHUNK  # type: ignore[assignment]
        with unpacker.stream_reader(source, read_size=_CHUNK) as reader:
            while filled < size and (got := reader.readinto(view[filled : filled + piece])):
                filled += got
            if filled != size or reader.read(1):
                raise Damaged("packed size")
    except (zstandard.ZstdError, MemoryError) as error:
        raise Damaged("packed") from error
    return view


def _room(size: int) -> memoryview:
    if size < _PAGED:
        return memoryview(bytearray(size))
    # A large bytearray is filled with zeros first. Private, since forked children could change what is shared.
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class _Draining:
    """What is left of a mapped file from *position* on; pages that were read are taken out of memory again."""

    def __init__(self, whole: mmap.mmap, position: int) -> None:
        self.whole = whole
        self.position = self.left = position

    def read(self, size: int) -> bytes:
        data = self.whole[self.position : self.position + size]
        self.position += len(data)
        done = self.position - self.position % mmap.PAGESIZE
        start = self.left - self.left % mmap.PAGESIZE
        if done > start and hasattr(mmap, "MADV_DONTNEED"):
            self.whole.madvise(mmap.MADV_DONTNEED, start, done - start)
            self.left = done
        return data
