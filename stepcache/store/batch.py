"""What is to be written next, in one transaction."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from attrs import Factory

from stepcache.records import define
from stepcache.store.counters import VOLUME, count

if TYPE_CHECKING:
    import sqlite3

    from stepcache.model import Trace
    from stepcache.store.blobs import Blobs
    from stepcache.store.content import Content

NAME_SIZE = 32
"""The length of the names that contents are stored under."""

_Row = tuple[object, ...]
EntryName = tuple[bytes, bytes]
"""A key's bytes and the variant: what tells the traces under one key apart."""


class TraceRow(NamedTuple):
    """A trace that is to be stored. `value` is the name that its value is stored under.

    A value that is put together from others has `parts` instead: the names of those, one after the other.
    """

    trace: Trace
    value: bytes | None
    parts: bytes | None
    frame: bytes
    ingredients: bytes


class ValueRow(NamedTuple):
    """A small value that is to be stored. Its bytes are kept in case it cannot be."""

    content: Content
    frame: bytes


@define
class Batch:
    """Rows by name: what is put twice is written once."""

    traces: dict[EntryName, TraceRow] = Factory(dict)
    keys: set[bytes] = Factory(set)
    """The keys of the traces."""
    values: dict[bytes, ValueRow] = Factory(dict)
    blobs: dict[bytes, int] = Factory(dict)
    records: dict[tuple[bytes, bytes, bytes, bytes], bytes] = Factory(dict)
    used: set[EntryName] = Factory(set)
    changed: set[bytes] = Factory(set)
    """Names of counters: of projects whose last run came out otherwise than the one before."""
    memos: dict[bytes, bytes] = Factory(dict)
    size: int = 0

    def __bool__(self) -> bool:
        rows = (self.traces, self.values, self.blobs, self.records, self.used, self.memos, self.changed)
        return any(rows)

    def under(self, key: bytes) -> dict[EntryName, Trace]:
        """The traces under a key, the newest first."""
        return {entry: row.trace for entry, row in reversed(self.traces.items()) if entry[0] == key}

    def write(self, connection: sqlite3.Connection, blobs: Blobs) -> None:
        """Write all rows. A trace whose value is not there (any more) is left out: none refers to nothing."""
        now = int(time.time())
        contents: list[_Row] = [(name, now, len(row.frame), row.frame) for name, row in self.values.items()]
        contents += [(name, now, stored, None) for name, stored in self.blobs.items()]
        _many(connection, "INSERT OR REPLACE INTO contents(name, made, stored, frame) VALUES (?, ?, ?, ?)", contents)
        rows: list[_Row] = [
            (*name, row.value, row.parts, now, row.trace.seconds, row.frame, row.ingredients)
            for name, row in self.traces.items()
            if all(each in self.values or is_stored(connection, blobs, each) for each in names_in(row.value, row.parts))
        ]
        _many(
            connection,
            "INSERT OR REPLACE INTO traces(key, variant, value, parts, used, seconds, frame, ingredients) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        _many(connection, "DELETE FROM gone WHERE key = ?", [(row[0],) for row in rows])
        _many(
            connection,
            "INSERT OR REPLACE INTO records(project, node, key, variant, used, seal) VALUES (?, ?, ?, ?, ?, ?)",
            [(*name, now, seal) for name, seal in self.records.items()],
        )
        for project in self.changed | {name[0] for name in self.records}:
            count(connection, project)
        _many(connection, "UPDATE traces SET used = ? WHERE key = ? AND variant = ?", [(now, *n) for n in self.used])
        _many(
            connection,
            "INSERT OR REPLACE INTO memos(name, used, frame) VALUES (?, ?, ?)",
            [(name, now, frame) for name, frame in self.memos.items()],
        )
        grown = self.size + sum(self.blobs.values())
        connection.execute("UPDATE counters SET number = number + ? WHERE name = ?", (grown, VOLUME))


def names_in(value: bytes | None, parts: bytes | None) -> list[bytes]:
    """The names of the contents that an entry refers to."""
    named = [] if value is None else [value]
    return named + [parts[at : at + NAME_SIZE] for at in range(0, len(parts or b""), NAME_SIZE)] if parts else named


def is_stored(connection: sqlite3.Connection, blobs: Blobs, name: bytes) -> bool:
    """Whether a value is stored under *name*, in a row or as a blob."""
    found = connection.execute("SELECT 1 FROM contents WHERE name = ? AND frame IS NOT NULL", (name,)).fetchone()
    return found is not None or blobs.size(name) is not None


def _many(connection: sqlite3.Connection, sql: str, rows: list[_Row]) -> None:
    if rows:
        connection.executemany(sql, rows)
