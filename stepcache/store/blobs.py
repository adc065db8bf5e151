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
from stepcache.store.folder import make_private, remove, unnamed_file, write_all
from stepcache.store.frame import (
    ALIGNMENT,
    RAW,
    VALUE,
    ZSTD,
    Damaged,
    Header,
    header_bytes,
    header_size,
    payload_of,
    read_header,
)
from stepcache.store.schema import FORMAT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepcache.store.compression import Packer
    from stepcache.store.content import Content
    from stepcache.store.seal import Seal

VALUE_NAMES = f"value {FORMAT_NAME}".encode()
"""What the names of values are made with: those of another format have other names."""
_MAPPED = 1 << 18
_MOST_DAMAGED = 10
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class TooLarge(Exception):
    """A value is larger than the cache may become."""


class Blobs:
    """The blobs of one cache folder."""

    def __init__(self, folder: str, seal: Seal, *, packer: Packer, durable: bool) -> None:
        self._folder = folder
        self._seal = seal
        self._packer = packer
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

    def write(self, content: Content, most: int) -> tuple[bytes, int]:
        """Write the blob, in place of one that is there; its name and its stored size. Raises TooLarge.

        The bytes are gone through once: what is hashed is what is written, and only then has it a name.
        """
        top = f"{self._folder}/blobs"
        make_private(top)
        threads = self._packer.threads(content.parts, content.size)
        packing = RAW if threads is None else ZSTD
        if threads is None and content.size > most:
            raise TooLarge
        with unnamed_file(top, durable=self._durable) as new:
            write_all(new.fd, bytes(header_size(content.codec, ALIGNMENT)))
            raw, stored, size, went = blake3(), blake3(), 0, 0
            pieces = compression.chunks(content.parts)
            if threads is None:
                for piece in pieces:
                    raw.update(piece)
                    write_all(new.fd, piece)
                    went += len(piece)
                stored, size = raw, went
            else:
                for packed in self._packer.stream(_hashed(pieces, raw), content.size, threads):
                    stored.update(packed)
                    size += len(packed)
                    if size > most:
                        raise TooLarge
                    write_all(new.fd, packed)
                went = content.size  # which zstd makes sure of
            if went != content.size or content.hashed not in (None, raw.digest()):
                raise Unstorable("value", "", "it changed while it was being stored")
            content.hashed = raw.digest()
            header = Header(VALUE, content.codec, packing, content.size, size, content.digest_bytes, stored.digest())
            os.pwrite(new.fd, header_bytes(header, self._seal, ALIGNMENT), 0)
            name = self._seal.name(VALUE_NAMES, content.digest_bytes)
            new.path = self.path(name)
            make_private(os.path.dirname(new.path))
        return name, size

    def read(self, name: bytes, digest: bytes) -> memoryview:
        """The raw bytes, writable and the caller's own. Raises Damaged, Foreign or OSError."""
        data = _contents(self.path(name))
        header = read_header(data, self._seal, VALUE, digest)
        payload = payload_of(data, header)
        if header.packing == RAW:
            return payload
        whole = data.obj if isinstance(data.obj, mmap.mmap) else None
        return compression.unpack(payload, header.size, whole)

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
            within = [f"/{file}" for file in _names(f"{top}/{shard}")] if len(shard) == 2 else [""]
            for file in within:
                path = f"{top}/{shard}{file}"
                try:
                    status = os.lstat(path)
                except OSError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    yield path, _name(shard + file[1:]), status


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
