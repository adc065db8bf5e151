"""Counters in the database: what an earlier answer rests on holds while they stay as they are."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

# Changes whenever something is removed; a new file begins with a number of its own.
# A project's counter goes by its name: how often it used another entry than before.
REMOVALS = b"removals"
# How many bytes there were when they were last added up, and were written since.
VOLUME = b"volume"


def count(connection: sqlite3.Connection, name: bytes) -> None:
    """Tell those who rest on an earlier answer that what goes by *name* has changed."""
    connection.execute(
        "INSERT INTO counters VALUES (?, 1) ON CONFLICT(name) DO UPDATE SET number = number + 1", (name,)
    )


def counted(connection: sqlite3.Connection, name: bytes) -> int:
    """How often what goes by *name* has changed."""
    return _number(connection, name) or 0


def count_removal(connection: sqlite3.Connection) -> None:
    """Tell those who rest on an earlier answer that something was removed."""
    count(connection, REMOVALS)


def volume(connection: sqlite3.Connection) -> int | None:
    """No less bytes than all that is stored has, at no cost; None if they were never added up."""
    return _number(connection, VOLUME)


def _number(connection: sqlite3.Connection, name: bytes) -> int | None:
    found = connection.execute("SELECT number FROM counters WHERE name = ?", (name,)).fetchone()
    return found[0] if found else None
