"""How any database file is opened, and what a damaged one may raise."""

from __future__ import annotations

import sqlite3

_BUSY_SECONDS = 10.0

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
