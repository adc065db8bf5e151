"""What is dropped: entries that a project clears, those used least when room is short, and what nothing refers to.

All of it happens in one transaction, files included, and entries are committed only where their value is there: so a
committed entry refers to a stored value whatever else goes on. Where this is killed before it commits, entries that it
was dropping may be left without one: they are found to be evicted, and made again.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from stepcache.records import frozen
from stepcache.store.batch import names_in
from stepcache.store.counters import VOLUME, count_removal
from stepcache.store.evict import Candidate, chosen
from stepcache.store.folder import remove
from stepcache.store.frame import MAGIC, VERSION
from stepcache.store.rows import is_foreign

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

    from stepcache.store.batch import EntryName
    from stepcache.store.blobs import Blobs
    from stepcache.store.evict import Order
    from stepcache.store.seal import Seal

# What nothing refers to may be about to be referred to, by a process that has not committed yet.
_GRACE_SECONDS = 3600
_MEMO_SECONDS = 60 * 24 * 3600
_MOST_GONE = 100_000
# What is damaged may have any type.
_CANDIDATES = (
    "SELECT key, variant, coalesce(CAST(seconds AS REAL), 0), coalesce(CAST(used AS INTEGER), 0), value, "
    "CAST(parts AS BLOB), coalesce(length(frame) + length(ingredients), 0), "
    "coalesce(CAST(substr(frame, 1, 12) AS BLOB), x'') FROM traces ORDER BY id"
)


@frozen
class Dropped:
    """What was dropped: entries, and bytes on disk; and the bytes of all that is left, other projects' included."""

    count: int = 0
    stored: int = 0
    left: int = 0


def total(connection: sqlite3.Connection) -> int:
    """The stored bytes of all entries, values, memos and stamps."""
    size = 0.0
    for sql in (
        "SELECT total(length(frame) + length(ingredients)) FROM traces",
        "SELECT total(coalesce(length(frame), stored)) FROM contents",
        "SELECT total(length(frame)) FROM memos",
        "SELECT total(length(head) + length(rest)) FROM stamps",
    ):
        size += connection.execute(sql).fetchone()[0]
    return int(size)


def collect(
    connection: sqlite3.Connection,
    blobs: Blobs,
    seal: Seal,
    limit: int | None,
    order: Order,
    spared: Collection[EntryName] = (),
) -> Dropped:
    """Drop what nothing refers to; then, where *limit* is given, entries in that order until the rest fits into it."""
    freed = _drop_unreferenced(connection, blobs) + _drop_files(connection, blobs, seal)
    connection.execute("DELETE FROM memos WHERE used < ?", (int(time.time()) - _MEMO_SECONDS,))
    connection.execute("DELETE FROM stamps WHERE used < ?", (int(time.time()) - _MEMO_SECONDS,))
    connection.execute("DELETE FROM gone WHERE id <= (SELECT max(id) FROM gone) - ?", (_MOST_GONE,))
    evicted = Dropped()
    if limit is not None:
        evicted = _evict(connection, blobs, seal, limit, order, spared)
    if freed:
        count_removal(connection)
    left = total(connection)
    connection.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (VOLUME, left))
    return Dropped(evicted.count, evicted.stored + freed, left)


def drop_entries(connection: sqlite3.Connection, blobs: Blobs, names: Iterable[EntryName], reason: bytes | None) -> int:
    """Drop entries with the records of them and the values that none other refers to; the bytes that they took."""
    freed, values = 0, set()
    for key, variant in names:
        found = connection.execute(
            "SELECT value, parts, length(frame) + length(ingredients) FROM traces WHERE key = ? AND variant = ?",
            (key, variant),
        ).fetchone()
        connection.execute("DELETE FROM records WHERE key = ? AND variant = ?", (key, variant))
        if found is None:
            continue
        connection.execute("DELETE FROM traces WHERE key = ? AND variant = ?", (key, variant))
        if reason is not None:
            connection.execute("INSERT OR REPLACE INTO gone(key, reason) VALUES (?, ?)", (key, reason))
        freed += found[2]
        values.update(names_in(found[0], found[1]))
    count_removal(connection)
    for value in values - _parts(connection) if values else ():
        if connection.execute("SELECT 1 FROM traces WHERE value = ?", (value,)).fetchone() is None:
            freed += drop_value(connection, blobs, value)
    count_removal(connection)
    return freed


def _parts(connection: sqlite3.Connection) -> set[bytes]:
    """The names of all contents that values are put together from."""
    rows = connection.execute("SELECT parts FROM traces WHERE parts IS NOT NULL")
    return {name for (parts,) in rows for name in names_in(None, parts)}


def drop_value(connection: sqlite3.Connection, blobs: Blobs, name: bytes) -> int:
    """Drop a stored value; the bytes that it took."""
    size = connection.execute("SELECT length(frame) FROM contents WHERE name = ?", (name,)).fetchone()
    connection.execute("DELETE FROM contents WHERE name = ?", (name,))
    freed = blobs.size(name) or 0
    if freed:
        blobs.remove(name)
    return freed + ((size and size[0]) or 0)


def _evict(
    connection: sqlite3.Connection, blobs: Blobs, seal: Seal, limit: int, order: Order, spared: Collection[EntryName]
) -> Dropped:
    """Drop entries of this key until what is of this key fits into *limit*; those of others are theirs to drop."""
    if total(connection) <= limit:
        return Dropped()
    sizes = dict(connection.execute("SELECT name, CAST(coalesce(length(frame), stored) AS INTEGER) FROM contents"))
    candidates, foreign = [], 0
    foreign_contents: set[bytes] = set()
    for key, variant, seconds, used, value, parts, size, head in connection.execute(_CANDIDATES):
        contents = tuple(set(names_in(value, parts)))
        if is_foreign(head, seal):
            foreign += size
            foreign_contents.update(contents)
        else:
            candidates.append(Candidate((key, variant), seconds, used, size, contents))
    foreign += sum(sizes.get(content, 0) for content in foreign_contents)
    excess = total(connection) - foreign - limit
    names = chosen(candidates, sizes, excess, order=order, spared=spared, now=time.time())
    return Dropped(len(names), drop_entries(connection, blobs, names, b"evicted") if names else 0)


def _drop_unreferenced(connection: sqlite3.Connection, blobs: Blobs) -> int:
    names = connection.execute(
        "SELECT name FROM contents WHERE made < ? AND NOT EXISTS (SELECT 1 FROM traces WHERE value = name)",
        (int(time.time()) - _GRACE_SECONDS,),
    ).fetchall()
    parts = _parts(connection) if names else set()
    return sum(drop_value(connection, blobs, name) for (name,) in names if name not in parts)


def _drop_files(connection: sqlite3.Connection, blobs: Blobs, seal: Seal) -> int:
    """Drop half blobs that killed processes left, and whole ones of ours that no row names."""
    latest = time.time() - _GRACE_SECONDS
    named = {name for (name,) in connection.execute("SELECT name FROM contents WHERE frame IS NULL")}
    referred = {name for (name,) in connection.execute("SELECT value FROM traces WHERE value IS NOT NULL")}
    referred |= _parts(connection)
    freed = 0
    for path, name, status in blobs.all():
        if status.st_mtime > latest or name in named or name in referred:
            continue
        half = name is None and os.path.basename(path).startswith(".new-")
        if (half or (name is not None and _is_our_file(path, seal))) and remove(path):
            freed += status.st_size
    return freed


def _is_our_file(path: str, seal: Seal) -> bool:
    """Whether the file is sealed with our key in our format; what cannot be read is not."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            head = os.read(fd, 64)
            return head.startswith(MAGIC + VERSION.to_bytes(2, "little")) and head[12:20] == seal.id_bytes
        finally:
            os.close(fd)
    except OSError:
        return False
