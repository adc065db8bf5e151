"""Who computes: of several processes that need the same result at once, one does and the others wait for it.

A claim is a lock on one byte of one file, at a place given by the key: the system drops it with the process that
holds it, forked children do not inherit it, and nothing is left behind. Correctness never depends on it: where locks
do not work, each process computes for itself.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# One descriptor a file and process, never closed: closing any one would drop every claim of the process on that file.
_descriptors: dict[str, int] = {}
_claimed: set[tuple[str, int, int]] = set()


@contextmanager
def claim(folder: str, key: bytes, before_waiting: Callable[[], None]) -> Iterator[bool]:
    """True where this process is to compute *key* now, False after having waited for another that did.

    *before_waiting* lets go of what others may be waiting for.
    """
    path = os.path.join(folder, "lock")
    place = int.from_bytes(key[:7])
    held = (path, place, os.getpid())
    fd = _descriptor(path)
    if fd is None or held in _claimed:
        yield True
        return
    if not _locked(fd, place):
        # To be told apart from computing: the lock is let go at once, and the caller looks again.
        before_waiting()
        waited = _waited(fd, place)
        yield not waited
        return
    _claimed.add(held)
    try:
        yield True
    finally:
        _claimed.discard(held)
        _unlock(fd, place)


def _descriptor(path: str) -> int | None:
    if path not in _descriptors:
        try:
            _descriptors[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
    return _descriptors[path]


def _locked(fd: int, place: int) -> bool:
    """Whether the lock was free; also where there are no locks, since then nobody is to be waited for."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def _waited(fd: int, place: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX, 1, place)
    except OSError:
        return False  # each of two waits for the other, or there are no locks after all
    _unlock(fd, place)
    return True


def _unlock(fd: int, place: int) -> None:
    try:
        fcntl.lockf(fd, fcntl.LOCK_UN, 1, place)
    except OSError:
        pass  # there are no locks
