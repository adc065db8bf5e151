"""The SQLite file: opened, made, replaced when it is damaged, and closed around every fork.

`entries-FORMAT.N.db` holds a format in its N-th generation: a damaged file is left as it is and its readable rows are
copied into the next generation. A name is never used twice, because a process that still has the old file open
removes that name's write-ahead log when it closes.
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import stat
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from stepcache.store.connection import ERRORS, connect
from stepcache.store.counters import REMOVALS
from stepcache.store.folder import lock_file, make_private, remove
from stepcache.store.schema import FORMAT, FORMAT_NAME, SCHEMA, STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
Row = tuple[Any, ...]

_NAME = re.compile(rf"entries-{FORMAT_NAME}\.(\d+)\.db")

_TABLES = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
# Errors that no undamaged database of ours gives, whatever the disk does.
_DAMAGE = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_NOTADB,
}
# Errors of a disk that may let a file be read all the same.
_DISK = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}
_ROOM = 64 << 20
_MOVED = sqlite3.SQLITE_READONLY_DBMOVED


class Unusable(Exception):
    """The database cannot be read or written now; the message says why."""


class Database:
    """The rows of one cache folder. `lock` guards it, and what its user keeps to write."""

    def __init__(self, folder: str, *, readonly: bool, durable: bool, note: Callable[[str, str], None]) -> None:
        self.lock = RLock()
        self._folder = folder
        self._readonly = readonly
        self._synchronous = "FULL" if durable else "NORMAL"
        self._note = note
        self._connection: sqlite3.Connection | None = None
        self._path = ""
        self._inode = 0
        self.changes = 0
        """How often this object has written: what was read before may be otherwise by now."""
        self._checked = self._replaced = self._fixed = self._interrupted = False
        _databases.add(self)

    # --- reading and writing

    def rows(self, sql: str, arguments: tuple[Any, ...] = ()) -> list[Row]:
        """The rows that *sql* selects. Raises Unusable."""
        with self.lock:
            connection = self._connection
            if connection is not None and not connection.in_transaction and not self._interrupted:
                try:
                    return connection.execute(sql, arguments).fetchall()
                except ERRORS:
                    pass  # which is met again, and seen to
            return self._guarded(lambda connection: connection.execute(sql, arguments).fetchall())

    def work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What *work* gives, which only reads. Raises Unusable."""
        return self._guarded(work)

    def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What *work* gives, all that it writes in one transaction. Raises Unusable, or what *work* raises."""
        if self._readonly:
            raise Unusable("it is opened for reading only")

        def transaction(connection: sqlite3.Connection) -> T:
            self.changes += 1
            try:
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.rollback()
                raise
            return result

        self._follow()
        return self._guarded(transaction)

    def suspect(self) -> None:
        """A row is not there or not as it was written: look through the whole file, once, and replace it if need be."""
        with self.lock:
            if self._checked or self._readonly:
                return
            self._checked = True
            if self.rows("PRAGMA integrity_check(1)") != [(b"ok",)]:
                self._replace()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                try:
                    connection.close()
                except sqlite3.Error as error:
                    self._note("write", str(error))

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self.lock:
            for attempt in (1, 2):
                try:
                    return work(self._opened())
                except ERRORS as error:
                    if attempt == 2 or not self._recovered(error):
                        raise Unusable(str(error) or "out of memory") from error
                except OSError as error:
                    raise Unusable(error.strerror or str(error)) from error
        raise AssertionError("two attempts end in a result or an error")

    def _recovered(self, error: Exception) -> bool:
        """Whether it is worth trying again after *error*."""
        code = getattr(error, "sqlite_errorcode", None)
        if code == _MOVED:
            self.close()
            return True
        if isinstance(error, MemoryError) and _is_memory_short():
            return False
        damaged = not isinstance(error, sqlite3.Error) or (code is not None and code & 0xFF in _DAMAGE)
        if code is not None and code & 0xFF == sqlite3.SQLITE_READONLY and not self._fixed:
            # A damaged header can say that the file is of a later version, to be read only.
            damaged = os.access(self._path, os.W_OK) and os.access(self._folder, os.W_OK)
        if not damaged or self._readonly:
            return False
        return self._replace()

    # --- opening

    def _opened(self) -> sqlite3.Connection:
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt
        if self._connection is None:
            self._connection = self._open()
        elif self._connection.in_transaction:
            # An interrupt came between an error and its rollback.
            self._connection.rollback()
        return self._connection

    def _follow(self) -> None:
        """Open the file anew if the one that is open has been removed or replaced meanwhile."""
        with self.lock:
            if self._connection is not None:
                try:
                    if os.stat(self._path).st_ino == self._inode:
                        return
                except OSError:
                    pass  # it is gone
                self.close()

    def _open(self) -> sqlite3.Connection:
        if self._readonly:
            self._path = self._current()
            return self._connected_readonly()
        make_private(self._folder)
        self._path = self._current()
        if not _is_there(self._path):
            with self._exclusive():
                self._path = self._current()
                if not _is_there(self._path):
                    self._make(self._path, None)
        status = os.lstat(self._path)
        self._inode = status.st_ino
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise sqlite3.DatabaseError(f"{self._path} is no file of ours")
        try:
            return self._connected()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _DISK:
                raise
            self._fixed = True
            return self._connected_readonly()

    def _current(self) -> str:
        """The path of the newest generation, of the first if there is none."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            names = []
        generation = max((int(found[1]) for name in names if (found := _NAME.fullmatch(name))), default=0)
        return self._generation(generation)

    def _generation(self, number: int) -> str:
        return f"{self._folder}/entries-{FORMAT_NAME}.{number}.db"

    def _connected(self) -> sqlite3.Connection:
        connection = connect(self._path)
        try:
            if not _has_wal(connection):
                # A file system without shared memory or locks of its kind.
                connection.execute("PRAGMA locking_mode=EXCLUSIVE")
                connection.execute("PRAGMA journal_mode=TRUNCATE")
                connection.execute("PRAGMA locking_mode=NORMAL")
            if (version := connection.execute("PRAGMA user_version").fetchone()) != (FORMAT,):
                raise _damage(f"its format is {version}")
            # A damaged letter of theirs can leave tables in which nothing that is stored is found again.
            if [sql for (sql,) in connection.execute(_TABLES)] != STATEMENTS:
                raise _damage("its tables are others")
            connection.execute(f"PRAGMA synchronous={self._synchronous}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected_readonly(self) -> sqlite3.Connection:
        """A connection that writes nothing; where even a log cannot be made, to the file as it is."""
        from urllib.parse import quote

        for mode in ("mode=ro", "mode=ro&immutable=1"):
            connection = connect(f"file:{quote(self._path)}?{mode}", uri=True)
            try:
                connection.execute("PRAGMA user_version").fetchone()
            except sqlite3.OperationalError:
                connection.close()
                continue
            return connection
        raise sqlite3.OperationalError("unable to open database file")

    # --- making

    def _make(self, path: str, damaged: str | None) -> int:
        """Make the file at *path*, whole before it has its name; the number of rows saved from *damaged*."""
        temporary = f"{self._folder}/.new-{os.getpid()}-{os.path.basename(path)}"
        remove(temporary)
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        os.chmod(temporary, 0o600)
        saved = 0
        try:
            connection = connect(temporary)
            try:
                connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
                connection.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version={FORMAT};COMMIT;")
                # Whoever rests on the counter of an earlier file is not to find its number here.
                beginning = int.from_bytes(os.urandom(7))
                connection.execute("INSERT INTO counters VALUES (?, ?)", (REMOVALS, beginning))
                if damaged is not None:
                    from stepcache.store.salvage import salvage

                    saved = salvage(damaged, connection, temporary)
                connection.execute("PRAGMA journal_mode=WAL")
            finally:
                connection.close()
            os.rename(temporary, path)
        except BaseException:
            for suffix in ("", "-journal", "-wal", "-shm"):
                remove(temporary + suffix)
            raise
        return saved

    def _replace(self) -> bool:
        """Go on with the next generation; whether there is one."""
        if self._replaced:
            return False
        self._replaced = True
        damaged = self._path
        self.close()
        try:
            self._make_next(damaged)
        except (OSError, *ERRORS) as error:
            self._note("write", f"its damaged database could not be replaced: {error}")
            return False
        return True

    def _make_next(self, damaged: str) -> None:
        with self._exclusive():
            newest = self._current()
            if newest == damaged:
                number = int(_NAME.fullmatch(os.path.basename(damaged))[1])  # type: ignore[index]
                newest = self._generation(number + 1)
                saved = self._make(newest, damaged)
                self._note("damaged", f"its database was damaged; {saved} rows of it were saved")
                for suffix in ("", "-wal", "-shm"):
                    remove(self._generation(number - 1) + suffix)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One process at a time makes or replaces the file; where locks do not work, the last rename wins."""
        fd = lock_file(f"{self._folder}/entries-{FORMAT_NAME}.lock")
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError:
                pass  # a file system without locks
            yield
        finally:
            os.close(fd)

    # --- forks

    def before_fork(self) -> None:
        """Close the file: a connection must not be carried into a child, not even to be closed there."""
        try:
            self.lock.acquire()
            self.close()
        except KeyboardInterrupt:
            # Python swallows what a fork hook raises; the next use raises it.
            self._interrupted = True

    def after_fork(self) -> None:
        try:
            self.lock.release()
        except RuntimeError:
            pass  # the interrupt came before it was taken


def _is_there(path: str) -> bool:
    """Whether there is something; not being able to tell is no leave to put a new file in its place."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _is_memory_short() -> bool:
    """Whether there is less than any sound row takes: then a want of memory says nothing of the file."""
    try:
        bytearray(_ROOM)
    except MemoryError:
        return True
    return False


def _has_wal(connection: sqlite3.Connection) -> bool:
    """Whether the write-ahead log works here. That of a file without one is turned on by who makes it."""
    try:
        connection.execute("SELECT count(*) FROM counters").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL):
            return False
        raise
    return True


def _damage(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


_databases: WeakSet[Database] = WeakSet()
_held: list[Database] = []


def _before_fork() -> None:
    for database in list(_databases):
        database.before_fork()
        _held.append(database)


def _after_fork() -> None:
    while _held:
        _held.pop().after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
