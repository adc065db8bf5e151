"""Digests of files and folders as they are now.

A file's content is hashed once and remembered by its stamp (size, times, inode, device). As git does with its index, a
stamp that is not older than the hashing by more than the clock's coarseness is not trusted later: the file could have
been written again within the same tick. The content decides, never the stamp.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from blake3 import blake3

from stepcache.digest import digest, digest_all
from stepcache.key.matching import fitting

Stamp = tuple[int, int, int, int, int]
Reading = Callable[[memoryview], None]

ABSENT = "absent"
FOLDER = "dir"
FILE = "file"
OTHER = "other"
UNREADABLE = "unreadable"

# A stamp younger than this when its file was hashed is racy: file systems keep times as coarse as two seconds (FAT).
RACY_NS = 2_000_000_000
# Smaller files are hashed faster than they are looked up in a store.
REMEMBERED_SIZE = 1 << 18
# From here on the hash uses several threads.
THREADED_SIZE = 1 << 22
CHUNK = 1 << 23

# The system's own functions: those in `os` may be wrapped while a step is watched.
_stat, _lstat, _access, readlink, _scandir = os.stat, os.lstat, os.access, os.readlink, os.scandir

_RIGHTS = ((os.R_OK, "r"), (os.W_OK, "w"), (os.X_OK, "x"))


class Memo(Protocol):
    """Where small derived facts are remembered between runs."""

    def get(self, kind: str, name: bytes) -> bytes | None: ...

    def put(self, kind: str, name: bytes, data: bytes) -> None: ...


def access_kind(mode: int) -> str:
    """The kind of observation that tells whether this process may do with a file what *mode* says."""
    return "access " + "".join(letter for right, letter in _RIGHTS if mode & right)


# Each such kind, with its mode.
ACCESS_KINDS = {access_kind(mode): mode for mode in range(1, 8)}


def stamp_of(path: str) -> tuple[int, Stamp] | None:
    """The mode and stamp of *path*, links followed; None if there is nothing or it may not be asked."""
    try:
        status = _stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mode, _stamp(status)


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def racy(stamp: Stamp, at: int, margin: int = RACY_NS) -> bool:
    """Whether what bears *stamp* could have changed after *at* (nanoseconds since the epoch) without showing it."""
    return at - max(stamp[1], stamp[2]) < margin


def links_to(path: str) -> Iterator[str]:
    """The symbolic links on the way to what the absolute *path* leads to."""
    seen: set[str] = set()
    done, todo = "/", path.split("/")
    while todo:
        place = os.path.normpath(os.path.join(done, todo.pop(0)))
        try:
            target = readlink(place)
        except OSError:
            done = place
            continue
        if place in seen:
            return
        seen.add(place)
        yield place
        done, todo = ("/" if target.startswith("/") else done), target.split("/") + todo


def kind_of(mode: int) -> str:
    if stat.S_ISREG(mode):
        return FILE
    return FOLDER if stat.S_ISDIR(mode) else OTHER


def _mark(entry: os.DirEntry[str]) -> str:
    if entry.is_dir(follow_symlinks=False):
        return "/"
    try:
        return "//" if entry.is_dir() else ""
    except OSError:  # a link that leads in a circle, or where this user may not look
        return ""


class FileDigests:
    """Digests of files and folders, remembered by stamp in this process and, for large files, in *memo*.

    *hidden* are absolute paths that no listing shows (the cache folder, if it lies in a project).
    """

    def __init__(self, memo: Memo | None = None, hidden: tuple[str, ...] = ()) -> None:
        self._memo = memo
        self._hidden = frozenset(hidden)
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._process = os.getpid()

    def exists(self, path: str) -> str:
        """What is there: "absent", "file", "dir" or "other"; links are followed."""
        found = stamp_of(path)
        return kind_of(found[0]) if found else ABSENT

    def size(self, path: str) -> str:
        """As `exists`, with the size of a file."""
        found = stamp_of(path)
        return described(found[0], found[1][0]) if found else ABSENT

    def access(self, path: str, mode: int) -> str:
        """As `exists`, with whether this process may do with it what *mode* says."""
        found = self.exists(path)
        return found if found == ABSENT else f"{found}:{_access(path, mode)}"

    def link(self, path: str) -> str:
        """As `exists` without following a link, whose target it names by digest."""
        try:
            mode = _lstat(path).st_mode
            return digest("link", os.fsencode(readlink(path))) if stat.S_ISLNK(mode) else kind_of(mode)
        except (OSError, ValueError):
            return ABSENT

    def listing(self, path: str, leave_out: frozenset[str] = frozenset(), pattern: str = "") -> str:
        """The digest of the names in a folder, with those of folders marked, save for *leave_out*.

        Of all of them, or of those that *pattern* is for (see matching.py).
        """
        names = self.names(path)
        if names is not None and pattern:
            names = tuple(fitting(names, pattern, path))
        return ABSENT if names is None else names_digest(names, leave_out)

    def names(self, path: str) -> tuple[str, ...] | None:
        """The names in a folder, sorted, a "/" after those of folders, and two after those of links to some.

        Bytecode folders are the interpreter's own.
        """
        try:
            with _scandir(path) as entries:
                return tuple(
                    sorted(
                        entry.name + _mark(entry)
                        for entry in entries
                        if entry.name != "__pycache__" and entry.path not in self._hidden
                    )
                )
        except (OSError, ValueError):
            return None

    def database(self, path: str) -> str:
        """The digest of an SQLite file, without its change counters, with what its write-ahead log holds."""
        content = self.content(path, _without_counters)
        log = stamp_of(path + "-wal")
        return digest("sqlite", content, self.content(path + "-wal")) if log and log[1][0] else content

    def content(self, path: str, reading: Reading | None = None) -> str:
        """The digest of a file's content, links followed; else "absent", "dir", "other" or "unreadable".

        *reading* says how the first block is read, where not as it is.
        """
        found = stamp_of(path)
        if found is None:
            return UNREADABLE if os.path.lexists(path) and not _dangling(path) else ABSENT
        mode, stamp = found
        if not stat.S_ISREG(mode):
            return kind_of(mode)
        name = f"{path}\0{reading.__name__}" if reading else path
        known = self._known.get(name)
        if known and known[0] == stamp:
            return known[1]
        return self._recall(name, stamp) or self._hash(path, name, reading)

    def prefix(self, path: str, size: int) -> str:
        """The digest of the first *size* bytes: of a file as it was before something was added to its end."""
        hasher = blake3()
        try:
            with open(path, "rb") as file:
                while size > 0 and (block := file.read(min(size, CHUNK))):
                    hasher.update(block)
                    size -= len(block)
        except OSError:
            return UNREADABLE
        return hasher.hexdigest()

    def _recall(self, name: str, stamp: Stamp) -> str | None:
        memo = self._store(stamp)
        data = memo.get("file", os.fsencode(name)) if memo else None
        if data is None:
            return None
        written, _, content = data.decode("ascii", "replace").partition(" ")
        if written != _spelled(stamp) or len(content) != 64:
            return None
        self._known[name] = (stamp, content)
        return content

    def _hash(self, path: str, name: str, reading: Reading | None) -> str:
        """Hashes a file, again if it changes meanwhile; the last try stands and is not remembered."""
        content = UNREADABLE
        for _ in range(3):
            try:
                with open(path, "rb", buffering=0) as file:
                    before = _stamp(os.fstat(file.fileno()))
                    started = time.time_ns()
                    content = _hash_stream(file.fileno(), before[0], reading)
                    after = _stamp(os.fstat(file.fileno()))
            except OSError:
                return UNREADABLE if os.path.lexists(path) else ABSENT
            if before == after:
                self._keep(name, before, content, started)
                break
        return content

    def _keep(self, name: str, stamp: Stamp, content: str, started: int) -> None:
        if racy(stamp, started):
            self._known.pop(name, None)
            return
        self._known[name] = (stamp, content)
        memo = self._store(stamp)
        if memo:
            memo.put("file", os.fsencode(name), f"{_spelled(stamp)} {content}".encode("ascii"))

    def _store(self, stamp: Stamp) -> Memo | None:
        """The memo, for a large file; a forked child leaves its parent's alone."""
        return self._memo if stamp[0] >= REMEMBERED_SIZE and os.getpid() == self._process else None


def described(mode: int, size: int) -> str:
    """What `FileDigests.size` says of something with this mode and size."""
    return f"{FILE}:{size}" if stat.S_ISREG(mode) else kind_of(mode)


def names_digest(names: tuple[str, ...], leave_out: frozenset[str] = frozenset()) -> str:
    """The digest of a listing; *leave_out* holds names without the mark of a folder."""
    return digest_all("names", (name for name in names if name.rstrip("/") not in leave_out))


def _without_counters(block: memoryview) -> None:
    """Blanks the counters in an SQLite file's header that grow with each change, even one to the same content."""
    if bytes(block[:16]) == b"SQLite format 3\0" and len(block) >= 100:
        for start, end in ((24, 28), (40, 44), (92, 100)):
            block[start:end] = bytes(end - start)


def _spelled(stamp: Stamp) -> str:
    return ",".join(map(str, stamp))


def _dangling(path: str) -> bool:
    """Whether *path* is a link to nothing: as absent as no link at all."""
    try:
        _stat(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


# The process whose threads hash: a forked child has none of them, and would wait for them for ever.
_threads_of: int | None = None


def _hash_stream(descriptor: int, size: int, reading: Reading | None) -> str:
    """The digest of all that can be read. It is not mapped: a mapped file that is cut short kills the process."""
    global _threads_of
    threaded = size >= THREADED_SIZE and _threads_of in (None, os.getpid())
    if threaded:
        _threads_of = os.getpid()
    hasher = blake3(max_threads=blake3.AUTO if threaded else 1)
    buffer = memoryview(bytearray(min(max(size + 1, 1 << 12), CHUNK)))
    while count := os.readv(descriptor, [buffer]):
        if reading:
            reading(buffer[:count])
            reading = None
        hasher.update(buffer[:count])
    return hasher.hexdigest()
