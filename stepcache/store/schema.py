"""The tables, and the number of the format that all stored bytes are of.

The number is made of the tables, so that it cannot be forgotten when they change. Files of another format have other
names and their frames another version: neither is read, replaced or removed.
"""

from __future__ import annotations

from _blake2 import blake2b

# Raise it when frames or documents change their form and the tables do not.
_EDITION = 4

SCHEMA = """
CREATE TABLE traces(id INTEGER PRIMARY KEY, key BLOB NOT NULL, variant BLOB NOT NULL, value BLOB, parts BLOB,
    used INTEGER NOT NULL, seconds REAL NOT NULL, frame BLOB NOT NULL, ingredients BLOB NOT NULL,
    UNIQUE(key, variant));
CREATE INDEX traces_by_value ON traces(value) WHERE value IS NOT NULL;
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
STATEMENTS = [statement.strip().encode() for statement in SCHEMA.split(";") if statement.strip()]
"""The tables as SQLite keeps them in a file, in that order."""
# The columns that are copied from a damaged file: of counters and stamps, which rest on one another, none.
TABLES = {
    "traces": "key, variant, value, parts, used, seconds, frame, ingredients",
    "contents": "name, made, stored, frame",
    "records": "project, node, key, variant, used, seal",
    "memos": "name, used, frame",
    "gone": "key, reason",
}

FORMAT = int.from_bytes(blake2b(f"{_EDITION} {SCHEMA}".encode(), digest_size=4).digest()) >> 1
"""The format's number, of 31 bits."""
FORMAT_NAME = f"{FORMAT:08x}"
"""The format's number as file names hold it."""
