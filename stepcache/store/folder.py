"""The cache folder: opened, made, or refused; and the files in it, which are the user's alone.

It is refused when it is a link, belongs to someone else or can be written by others.
"""

from __future__ import annotations

import contextlib
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stepcache.records import define, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by stepcache.
# For information about cache directory tags see https://bford.info/cachedir/
"""
_IGNORE = b"# Made by stepcache.\n*\n"
_TAG_NAME, _IGNORE_NAME = "CACHEDIR.TAG", ".gitignore"
CHECKPOINTS = "checkpoints"
"""The folder of what unfinished executions keep."""
_OWN_NAMES = (CHECKPOINTS, "blobs", "damaged", "entries-", "lock", ".new-", _IGNORE_NAME)
# Where a folder holds other things too, the cache lies one below: its tag would hide them from backups.
_INNER = ".stepcache"

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


@frozen
class Refused:
    """The folder cannot be used; `reason` says why and what to do."""

    reason: str


def prepare(folder: str, *, make: bool) -> str | Refused:
    """The folder to keep the cache in, made if *make* and it is absent."""
    try:
        return _prepare(os.path.abspath(folder), make)
    except OSError as error:
        return Refused(f"the cache folder {folder} cannot be used: {error.strerror or error}")


def _prepare(folder: str, make: bool) -> str | Refused:
    if refused := _objection(folder):
        return refused
    if os.path.isdir(folder) and not _is_ours(folder):
        folder = os.path.join(folder, _INNER)
        if refused := _objection(folder):
            return refused
    if not make:
        return folder
    make_private(folder)
    status = os.stat(folder)
    try:
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.chmod(folder, 0o700)
        for name, content in ((_TAG_NAME, _TAG), (_IGNORE_NAME, _IGNORE)):
            path = os.path.join(folder, name)
            if not os.path.lexists(path):
                with new_file(path) as fd:
                    write_all(fd, content)
    except OSError:
        # A cache on a read-only disk can still be read.
        if not os.access(folder, os.R_OK | os.X_OK):
            raise
    return folder


def _objection(folder: str) -> Refused | None:
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        return Refused(f"the cache folder {folder} is a link; name the folder that it leads to")
    if not stat.S_ISDIR(status.st_mode):
        return Refused(f"the cache folder {folder} is no folder; name another")
    if status.st_uid != os.geteuid():
        return Refused(f"the cache folder {folder} belongs to another user; name another")
    if status.st_mode & 0o022:
        return Refused(f"the cache folder {folder} can be written by others: chmod go-w {folder}")
    return None


def _is_ours(folder: str) -> bool:
    names = os.listdir(folder)
    return _TAG_NAME in names or all(name.startswith(_OWN_NAMES) for name in names)


def make_private(folder: str) -> None:
    """Make *folder* and those above it, 0700 whatever the umask."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        above = os.path.dirname(folder)
        if os.path.lexists(above):  # a link to nothing, or a place such as /proc where no folder can be made
            raise
        make_private(above)
        with contextlib.suppress(FileExistsError):  # another run was faster
            os.mkdir(folder, 0o700)
    os.chmod(folder, 0o700)


@contextmanager
def new_file(path: str, *, durable: bool = False) -> Iterator[int]:
    """A file descriptor whose content stands under *path* once all of it is written: all of it, or nothing."""
    with unnamed_file(os.path.dirname(path), durable=durable) as new:
        new.path = path
        yield new.fd


@define
class NewFile:
    """A file that is being written. It gets its `path` when all of it is there."""

    fd: int
    path: str = ""


@contextmanager
def unnamed_file(folder: str, *, durable: bool = False) -> Iterator[NewFile]:
    """A file whose name is given while it is written; until then it lies in *folder*, on the same disk."""
    temporary = os.path.join(folder, f".new-{os.getpid()}-{os.urandom(8).hex()}")
    fd = -1
    try:
        try:
            fd = os.open(temporary, _CREATE, 0o600)
            os.fchmod(fd, 0o600)
            new = NewFile(fd)
            yield new
            if durable:
                os.fsync(fd)
        finally:
            if fd >= 0:
                os.close(fd)
        os.rename(temporary, new.path)
    except BaseException:
        remove(temporary)
        raise
    if durable:
        sync_folder(os.path.dirname(new.path))
        sync_folder(folder)  # the name of a folder that was made for it


def lock_file(path: str) -> int:
    """A descriptor of the file at *path*, made if it is absent: whatever the umask, its owner alone can open it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(fd, 0o600)
    return fd


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of *data*."""
    view = memoryview(data)
    while len(view):
        view = view[os.write(fd, view) :]


def sync_folder(folder: str) -> None:
    """Make the names in *folder* last through a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove(path: str) -> bool:
    """Remove the file at *path*; whether it is gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
