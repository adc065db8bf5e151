"""What can still be read of a damaged database."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepcache.store.connection import ERRORS, connect
from stepcache.store.folder import remove
from stepcache.store.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE = 4096
# Parts of the file header: the file's size in pages holds only if the second is as expected.
_FREE_PAGES, _SIZE_VALID = slice(32, 40), slice(92, 100)


def salvage(damaged: str, target: sqlite3.Connection, target_path: str) -> int:
    """Copy what can be read from *damaged*; the number of rows."""
    if _tables_of(damaged) == _tables_of(target_path):
        return _copy_tables(damaged, target)
    # The first page says where all others belong, and is the same in every file of ours.
    restored = f"{target_path}-restored"
    try:
        first = bytearray(Path(target_path).read_bytes()[:_PAGE])
        first[_SIZE_VALID] = first[_FREE_PAGES] = bytes(8)
        Path(restored).touch(mode=0o600, exist_ok=False)
        Path(restored).write_bytes(first + Path(damaged).read_bytes()[_PAGE:])
        return _copy_tables(restored, target)
    finally:
        remove(restored)


def _tables_of(path: str) -> object:
    source = connect(path)
    try:
        return source.execute("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master").fetchall()
    except ERRORS:
        return None
    finally:
        source.close()


def _copy_tables(damaged: str, target: sqlite3.Connection) -> int:
    source = connect(damaged)
    try:
        source.execute("PRAGMA writable_schema=ON")
        target.execute("BEGIN")
        saved = sum(_copy_table(source, target, table, columns) for table, columns in TABLES.items())
        target.execute("COMMIT")
    finally:
        source.close()
    return saved


def _copy_table(source: sqlite3.Connection, target: sqlite3.Connection, table: str, columns: str) -> int:
    """Copy a table's rows: from its beginning, and where that does not get through, from its end and one by one."""
    marks = ", ".join("?" * (columns.count(",") + 1))
    insert = f"INSERT OR IGNORE INTO {table}({columns}) VALUES ({marks})"
    select = f"SELECT {columns} FROM {table} NOT INDEXED"
    rows = _Reading(source, f"{select} ORDER BY id ASC")
    saved = _copy(rows, target, insert)
    if rows.failed:
        saved += _copy(_Reading(source, f"{select} ORDER BY id DESC"), target, insert)
        for (number,) in _Reading(source, f"SELECT id FROM {table} INDEXED BY sqlite_autoindex_{table}_1"):
            if type(number) is int:
                saved += _copy(_Reading(source, f"{select} WHERE id = {number}"), target, insert)
    return saved


def _copy(rows: _Reading, target: sqlite3.Connection, insert: str) -> int:
    saved = 0
    for row in rows:
        try:
            saved += target.execute(insert, row).rowcount
        except sqlite3.IntegrityError:
            continue  # a row that lost what it must have
    return saved


class _Reading:
    """Rows as far as they can be read."""

    def __init__(self, source: sqlite3.Connection, select: str) -> None:
        self.source = source
        self.select = select
        self.failed = False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self.source.execute(self.select)
        except ERRORS:
            self.failed = True
