"""Stamps: answers to "is there anything to do?", each sealed, which a run reads before it imports anything else.

What a stamp says is `stepcache.stamp`'s affair. Here it is bytes under a name, that hold as long as two counters stay
as they are: that of removals, and that of the project's own changes. Whatever is wrong with the folder, the database
or the seal, there is no stamp: the run then goes its long way, and tells of it.
"""

from __future__ import annotations

import os
import sqlite3

from stepcache.store.connection import ERRORS, connect
from stepcache.store.counters import REMOVALS, counted
from stepcache.store.schema import FORMAT_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from stepcache.store.ledger import Ledger
    from stepcache.store.seal import Seal

_TAG = 32
# A root has as many stamps as it is asked different things; those made first go.
_MOST = 64


_SELECT = (
    "SELECT head, project, coalesce((SELECT number FROM counters WHERE name = ?), 0), "
    "coalesce((SELECT number FROM counters WHERE name = project), 0) FROM stamps WHERE name = ?"
)


class Found:
    """A stamp that is ours, with the project and the counters as they stand today."""

    __slots__ = ("_name", "_path", "_seal", "changes", "head", "project", "removals")

    def __init__(self, place: tuple[str, bytes, Seal], head: bytes, project: object, *counters: object) -> None:
        self.head = head
        self.project = project
        self.removals, self.changes = counters
        self._path, self._name, self._seal = place

    def rest(self) -> bytes | None:
        """The other part; None if it is gone or damaged by now."""
        rows = _rows(self._path, "SELECT rest FROM stamps WHERE name = ?", self._name)
        return _opened(self._seal, self._name, b"rest", rows[0][0]) if rows else None


def find(folder: str, name: bytes, seal: Seal) -> Found | None:
    """The stamp of that name in a cache folder, if there is one that we sealed; nothing is written."""
    path = _database(folder)
    rows = _rows(path, _SELECT, REMOVALS, name) if path is not None else None
    if path is None or not rows:
        return None
    head = _opened(seal, name, b"head", rows[0][0])
    return None if head is None else Found((path, name, seal), head, *rows[0][1:])


def _database(folder: str) -> str | None:
    """The newest generation of the database in a folder that is the user's alone."""
    try:
        status = os.lstat(folder)
        if status.st_mode != 0o40700 or status.st_uid != os.geteuid():
            return None
        start, end = f"entries-{FORMAT_NAME}.", ".db"
        numbers = [n[len(start) : -len(end)] for n in os.listdir(folder) if n.startswith(start) and n.endswith(end)]
    except OSError:
        return None
    newest = max((int(number) for number in numbers if number.isdigit()), default=None)
    return None if newest is None else f"{folder}/{start}{newest}{end}"


def _rows(path: str, sql: str, *names: bytes) -> list[tuple[object, ...]] | None:
    """The rows that *sql* selects; None where they cannot be read.

    Where no log waits beside the file, it is read without one being made.
    """
    try:
        if _waits(path + "-journal"):
            return None
        connection = connect(f"file:{_quoted(path)}?mode=ro{'' if _waits(path + '-wal') else '&immutable=1'}", uri=True)
        try:
            return connection.execute(sql, names).fetchall()
        finally:
            connection.close()
    except (*ERRORS, OSError):
        return None


def _waits(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _sealed(seal: Seal, name: bytes, part: bytes, data: bytes) -> bytes:
    return seal.seal(b"stamp:%b:%b" % (part, name) + data) + data


def _opened(seal: Seal, name: bytes, part: bytes, row: object) -> bytes | None:
    if not isinstance(row, bytes):
        return None
    data = row[_TAG:]
    return data if seal.verify(b"stamp:%b:%b" % (part, name) + data, row[:_TAG]) else None


class Stamps:
    """The stamps of one root in an open store."""

    def __init__(self, ledger: Ledger, project: bytes) -> None:
        self._ledger = ledger
        self._project = project

    def name(self, what: bytes) -> bytes:
        """The name of the stamp for what was asked for."""
        return stamp_name(self._ledger.seal, what)

    def keep(self, name: bytes, head: Callable[[bytes, int, int], bytes], rest: bytes, removals: int) -> None:
        """Keep a stamp, unless something was removed since *removals* were counted.

        *head* makes its first part from the project's name and both counters as they stand in the same transaction.
        """
        ledger, project = self._ledger, self._project

        def write(connection: sqlite3.Connection) -> None:
            if counted(connection, REMOVALS) != removals:
                return
            first = head(project, removals, counted(connection, project))
            row = [_sealed(ledger.seal, name, part, data) for part, data in ((b"head", first), (b"rest", rest))]
            connection.execute(
                "INSERT OR REPLACE INTO stamps(name, project, used, head, rest) "
                "VALUES (?, ?, CAST(strftime('%s', 'now') AS INTEGER), ?, ?)",
                (name, project, *row),
            )
            connection.execute(
                "DELETE FROM stamps WHERE project = ? AND id NOT IN "
                "(SELECT id FROM stamps WHERE project = ? ORDER BY id DESC LIMIT ?)",
                (project, project, _MOST),
            )

        if ledger.readonly:
            return
        ledger.commit()
        if not ledger.problems:  # what it says is in the cache is there
            ledger.change(write)


def stamp_name(seal: Seal, what: bytes) -> bytes:
    """The name of the stamp for what was asked for: only who has the key can tell what that was."""
    return seal.name(b"stamp", what)
