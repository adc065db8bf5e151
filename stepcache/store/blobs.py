"""Large values: one file each, named by content, written aside and renamed.

A blob's name is the keyed digest of its value's digest, so those of several keys lie side by side, and a name tells
nothing of what it holds.
"""

from __future__ import annotations

import mmap
import os
import stat
import time
from typing import TYPE_CHECKING

from blake3 import blake3

from stepcache.errors import Unstorable
from stepcache.store import compression
from stepcache.store.folder import make_private, new_file, remove, write_all
from stepcache.store.frame import (
    ALIGNMENT,
    RAW,
    VALUE,
    ZSTD,
    Damaged,
    Foreign,
    Header,
    header_bytes,
    header_size,
    payload_of,
    read_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepcache.store.content import Content
    from stepcache.store.seal import Seal

_MAPPED = 1 << 18
_MOST_DAMAGED = 10
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Blobs:
    """The blobs of one cache folder."""

    def __init__(self, folder: str, seal: Seal, *, level: int, durable: bool) -> None:
        self._folder = folder
        self._seal = seal
        self._level = level
        self._durable = durable

    def path(self, name: bytes) -> str:
        """Where the blob of that name lies."""
        text = name.hex()
        return f"{self._folder}/blobs/{text[:2]}/{text[2:]}"

    def size(self, name: bytes) -> int | None:
        """The size of the blob, None if there is none."""
        try:
            status = os.lstat(self.path(name))
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def stored(self, name: bytes, digest: bytes) -> int | None:
        """The stored size of a blob that is there and whole: any other is written again. It counts as used now."""
        path = self.path(name)
        try:
            data = _contents(path)
            header = read_header(data, self._seal, VALUE, digest)
            payload_of(data, header)
            # A blob that was touched of late is not taken for one that nothing refers to.
            os.utime(path, follow_symlinks=False)
        except (OSError, Damaged, Foreign):
            return None
        return header.stored

    def write(self, name: bytes, content: Content) -> int:
        """Write the blob; its stored size."""
        path = self.path(name)
        make_private(os.path.dirname(path))
        packing = ZSTD if compression.pays(content.parts, content.size, self._level) else RAW
        start = header_size(content.codec, ALIGNMENT)
        with new_file(path, durable=self._durable) as fd:
            write_all(fd, bytes(start))
            raw, stored, size = blake3(), blake3(), 0
            pieces = _hashed(compression.chunks(content.parts), raw)
            if packing == RAW:
                for piece in pieces:
                    write_all(fd, piece)
                stored, size = raw, content.size
            else:
                for packed in compression.packed_stream(pieces, content.size, self._level):
                    stored.update(packed)
                    size += len(packed)
                    write_all(fd, packed)
            if raw.digest() != content.hash:
                raise Unstorable("value", "", "it changed while it was being stored")
            header = Header(VALUE, content.codec, packing, content.size, size, content.digest_bytes, stored.digest())
            os.pwrite(fd, header_bytes(header, self._seal, ALIGNMENT), 0)
        return size

    def read(self, name: bytes, digest: bytes) -> memoryview:
        """The raw bytes, writable and the caller's own. Raises Damaged, Foreign or OSError."""
        data = _contents(self.path(name))
        header = read_header(data, self._seal, VALUE, digest)
        payload = payload_of(data, header)
        if header.packing == RAW:
            return payload
        return memoryview(compression.unpack(payload, header.size))

    def set_aside(self, name: bytes) -> None:
        """Keep a damaged blob for whoever wants to look, but only a few of them; it is never read again."""
        aside = f"{self._folder}/damaged"
        make_private(aside)
        kept = sorted(os.listdir(aside))
        for old in kept[: max(0, len(kept) - _MOST_DAMAGED + 1)]:
            remove(f"{aside}/{old}")
        os.rename(self.path(name), f"{aside}/{int(time.time())}-{name.hex()}")

    def remove(self, name: bytes) -> bool:
        """Remove the blob; whether it is gone."""
        return remove(self.path(name))

    def all(self) -> Iterator[tuple[str, bytes | None, os.stat_result]]:
        """Each file: its path, its name (None if it is half a blob that a killed process left), its status."""
        top = f"{self._folder}/blobs"
        for shard in _names(top):
            for file in _names(f"{top}/{shard}"):
                path = f"{top}/{shard}/{file}"
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                yield path, _name(shard + file), status


def _hashed(pieces: Iterator[memoryview], hasher: blake3) -> Iterator[memoryview]:
    for piece in pieces:
        hasher.update(piece)
        yield piece


def _name(text: str) -> bytes | None:
    if len(text) != 64:
        return None
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _contents(path: str) -> memoryview:
    """The bytes of a file: read if it is small, else mapped so that a change to them stays in memory."""
    try:
        fd = os.open(path, _READ)
    except OSError as error:
        if os.path.islink(path):
            raise Damaged("a link") from error
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise Damaged("no file of ours")
        if status.st_size >= _MAPPED:
            return memoryview(mmap.mmap(fd, status.st_size, access=mmap.ACCESS_COPY))
        data = bytearray()
        while piece := os.read(fd, _MAPPED):
            data += piece
        return memoryview(data)
    finally:
        os.close(fd)
