"""What the parts of a store share: the database, the blobs, the key, what is still to be written, and what went wrong.

Writes are gathered while results come thick and fast, and committed as soon as they do not: a killed process loses
the results of its last twentieth of a second at most. Nobody knows when the next result comes, so what waits is written
before each wait for one too, as long as that takes little of the time there is.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

from stepcache.store.batch import Batch
from stepcache.store.blobs import Blobs
from stepcache.store.database import Database, Unusable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from stepcache.store.content import Content
    from stepcache.store.database import Row
    from stepcache.store.seal import Seal
    from stepcache.store.settings import StoreSettings

T = TypeVar("T")

COMMIT_SECONDS = 0.05
_COMMIT_BYTES = 8 << 20
# What commits before waits may take of the time that the store is open, and in seconds however short that is.
_WAITS_SHARE = 0.02
_WAITS_SECONDS = 0.005
_MOST_FAILURES = 3

_TROUBLES = {
    "read": "the cache in {folder} cannot be read: {text}; what it holds is made again",
    "write": "the cache in {folder} cannot be written: {text}; values are kept for this run only",
    "damaged": "the cache in {folder} was damaged: {text}; what is missing is made again",
    "large": "the cache in {folder} takes no more than {text}; larger values are kept for this run only",
}


class Ledger:
    """The state of one open store, shared by its parts."""

    def __init__(self, folder: str, seal: Seal, settings: StoreSettings, *, readonly: bool) -> None:
        durable = settings.durability == "fsync"
        self.folder = folder
        self.seal = seal
        self.readonly = readonly
        self.problems: list[str] = []
        self.database = Database(folder, readonly=readonly, durable=durable, note=self.note)
        self.lock = self.database.lock
        self.blobs = Blobs(folder, seal, packer=settings.packer, durable=durable)
        self.batch = Batch()
        self.abandoned: Callable[[Content], object] = lambda _: None
        self.after_commit: list[Callable[[], object]] = []
        """Called once what waits now is written, or given up."""
        self._noted: set[str] = set()
        self._opened = time.monotonic()
        self._committed = 0.0
        self._waits = 0.0
        """What commits before waits have taken, in seconds."""
        self._failures = 0

    def note(self, kind: str, text: str) -> None:
        """Remember trouble, once a kind."""
        if kind not in self._noted:
            self._noted.add(kind)
            self.problems.append(_TROUBLES[kind].format(folder=self.folder, text=text))

    def rows(self, sql: str, arguments: tuple[Any, ...] = ()) -> list[Row]:
        """The rows that *sql* selects, none where the database is in trouble."""
        try:
            return self.database.rows(sql, arguments)
        except Unusable as error:
            if not (self.readonly and not os.path.lexists(self.folder)):
                self.note("read", str(error))
            return []

    def change(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What *work* gives, after all that waits to be written; None where the database is in trouble."""
        self.commit()
        try:
            return self.database.change(work)
        except Unusable as error:
            self.note("write", str(error))
            return None

    def change_outside(self, sql: str) -> None:
        """Run *sql*, which works only outside of a transaction."""
        if not self.readonly:
            self.rows(sql)

    def suspect(self) -> None:
        """Something is not there or not as it was written: see whether the database is damaged."""
        try:
            self.database.suspect()
        except Unusable as error:
            self.note("read", str(error))

    def added(self, size: int) -> None:
        """Something was added to the batch: commit it if it has grown large."""
        self.batch.size += size
        if self.batch.size >= _COMMIT_BYTES:
            self.commit()

    def finished(self, seconds: float) -> None:
        """A result that took *seconds* is complete: commit it unless results come faster than that is worth."""
        if seconds >= COMMIT_SECONDS or time.monotonic() - self._committed >= COMMIT_SECONDS:
            self.commit()

    def before_wait(self) -> None:
        """The next result may come at once or tomorrow: commit, unless such commits have taken too large a share."""
        began = time.monotonic()
        if self.batch and self._waits <= _WAITS_SECONDS + _WAITS_SHARE * (began - self._opened):
            self.commit()
            self._waits += time.monotonic() - began

    def commit(self) -> None:
        """Write what waits to be written."""
        with self.lock:
            self._commit()
            while self.after_commit:
                self.after_commit.pop()()

    def _commit(self) -> None:
        batch = self.batch
        if not batch or self.readonly:
            return
        if self._failures < _MOST_FAILURES:
            try:
                self.database.change(lambda connection: batch.write(connection, self.blobs))
            except Unusable as error:
                self._failures += 1
                self.note("write", str(error))
            else:
                self.batch = Batch()
                self._committed = time.monotonic()
                return
        self._abandon()

    def _abandon(self) -> None:
        """Give up what was to be written; its values stay for this run."""
        batch, self.batch = self.batch, Batch()
        for row in batch.values.values():
            self.abandoned(row.content)
