"""The tables of format 1, and how any file of them is opened."""

from __future__ import annotations

import sqlite3

FORMAT = 1
_BUSY_SECONDS = 10.0

SCHEMA = """
CREATE TABLE traces(id INTEGER PRIMARY KEY, key BLOB NOT NULL, variant BLOB NOT NULL, value BLOB, parts BLOB,
    used INTEGER NOT NULL, seconds REAL NOT NULL, frame BLOB NOT NULL, ingredients BLOB NOT NULL,
    UNIQUE(key, variant));
CREATE INDEX traces_by_value ON traces(value);
CREATE TABLE contents(id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, made INTEGER NOT NULL,
    stored INTEGER NOT NULL, frame BLOB);
CREATE TABLE records(id INTEGER PRIMARY KEY, project BLOB NOT NULL, node BLOB NOT NULL, key BLOB NOT NULL,
    variant BLOB NOT NULL, used INTEGER NOT NULL, seal BLOB NOT NULL, UNIQUE(project, node, key, variant));
CREATE INDEX records_by_entry ON records(key, variant);
CREATE TABLE memos(id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, used INTEGER NOT NULL, frame BLOB NOT NULL);
CREATE TABLE gone(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, reason BLOB NOT NULL);
CREATE TABLE counters(name BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE stamps(id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, project BLOB NOT NULL, used INTEGER NOT NULL,
    head BLOB NOT NULL, rest BLOB NOT NULL);
"""
# The columns that are copied from a damaged file: of counters and stamps, which rest on one another, none.
TABLES = {
    "traces": "key, variant, value, parts, used, seconds, frame, ingredients",
    "contents": "name, made, stored, frame",
    "records": "project, node, key, variant, used, seal",
    "memos": "name, used, frame",
    "gone": "key, reason",
}

# A damaged size asks for too much memory, and a damaged schema cannot be told of in UTF-8.
ERRORS = (sqlite3.Error, MemoryError, UnicodeDecodeError)


def connect(path: str, *, uri: bool = False) -> sqlite3.Connection:
    """A connection that any thread may use, in which a transaction begins when it is told to."""
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64, uri=uri
    )
    # A damaged type makes text of bytes.
    connection.text_factory = bytes
    return connection
