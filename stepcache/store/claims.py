"""Who computes: of several processes that need the same result at once, one does and the others wait for it.

A claim is a lock on one byte of one file, at a place given by the key: the system drops it with the process that
holds it, forked children do not inherit it, and nothing is left behind. Correctness never depends on it: where locks
do not work, each process computes for itself.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from stepcache.store.folder import lock_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepcache.store.ledger import Ledger

# One descriptor a file and process, never closed: closing any one would drop every claim of the process on that file.
_descriptors: dict[str, int] = {}
_claimed: set[tuple[str, int, int]] = set()


class Claim:
    """The right to compute one key. A context manager: entered, it gives whether this process is to compute it now.

    It is not where another did, which has been waited for. A claim is let go when the result is written.
    """

    __slots__ = ("_held", "_ledger", "_place", "_waits")

    def __init__(self, ledger: Ledger, key: bytes, waits: Callable[[], object] = lambda: None) -> None:
        self._ledger = ledger
        self._waits = waits
        """Called before another process is waited for."""
        self._place = int.from_bytes(key[:7])
        self._held: tuple[str, int, int] | None = None

    def __enter__(self) -> bool:
        ledger, place = self._ledger, self._place
        if ledger.readonly:
            return True
        path = f"{ledger.folder}/lock"
        held, fd = (path, place, os.getpid()), _descriptor(path)
        if fd is None or held in _claimed:
            return True
        if not _locked(fd, place):
            # Others may wait for what we have. The lock is let go at once, for the caller is to look again.
            ledger.commit()
            self._waits()
            return not _waited(fd, place)
        _claimed.add(held)
        self._held = held
        return True

    def __exit__(self, *_: object) -> None:
        if self._ledger.batch:  # who waits is to find the result
            self._ledger.after_commit.append(self._let_go)
        else:
            self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            _claimed.discard(held)
            _unlock(_descriptors[held[0]], held[1])


def _descriptor(path: str) -> int | None:
    if path not in _descriptors:
        try:
            _descriptors[path] = lock_file(path)
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
