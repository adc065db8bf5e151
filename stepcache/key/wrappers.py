"""Stand-ins for what raises no audit event: tests of paths, `os.open` in a folder, the environment, SQLite's ATTACH.

They are in place while something is watched, and can all that what they stand for can.
"""

from __future__ import annotations

import _posixsubprocess
import functools
import glob
import importlib.util
import os
import re
import sqlite3
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import PurePath
from types import FrameType, ModuleType
from typing import Any

from stepcache.key.files import access_kind
from stepcache.key.listen import TRANSPARENT, listening, tell
from stepcache.key.watch import PAUSED, Watch, current_watch, paused

_CAPABILITIES = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids)
_ORIGINALS: dict[str, Callable[..., Any]] = {
    name: getattr(os, name) for name in ("stat", "lstat", "access", "readlink")
}
_open_file = os.open
_connect: Callable[..., Any] = sqlite3.connect
_fork_exec: Callable[..., Any] = _posixsubprocess.fork_exec
_import_module = importlib.import_module


def _wrapper(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A stand-in for a function of `os` that tests a path; it can all that the original can."""

    @functools.wraps(original)
    def wrapper(path: Any, *args: Any, **options: Any) -> Any:
        current = current_watch.get()
        if current is PAUSED or not listening():
            return original(path, *args, **options)
        frame = sys._getframe(1)
        flavour = name
        if name == "stat" and not options.get("follow_symlinks", True):
            flavour = "lstat"
        elif name == "access" and (mode := args[0] if args else options.get("mode")):
            flavour = access_kind(mode)
        known: Collection[object] = ()
        if isinstance(current, Watch) and isinstance(path, (str, PurePath)) and not options:
            known = current.known_tests
        if known and (path, f"{flavour} {frame.f_code.co_name}") in known:
            return original(path, *args, **options)
        try:
            result = original(path, *args, **options)
        except (OSError, ValueError):
            tell("tested", flavour, path, options.get("dir_fd"), None, frame)
            raise
        tell("tested", flavour, path, options.get("dir_fd"), result if flavour == "stat" else None, frame)
        return result

    wrapper.__module__ = "os"
    for capability in _CAPABILITIES:
        if original in capability:
            capability.add(wrapper)
    return wrapper


def _opened_in(path: Any, flags: int, *args: Any, dir_fd: int | None = None, **options: Any) -> int:
    """`os.open`: its audit event does not tell the folder that a path is relative to."""
    if dir_fd is None:
        return _open_file(path, flags, *args, **options)
    frame = sys._getframe(1)
    watches = listening()
    if watches and (place := watches[0].place(path, dir_fd)):
        tell("opened", place[0], flags, frame)
    with paused():
        return _open_file(path, flags, *args, dir_fd=dir_fd, **options)


@functools.wraps(_connect)
def _connected(*args: Any, **options: Any) -> Any:
    """`sqlite3.connect`: no audit event tells of a database that is attached."""
    connection = _connect(*args, **options)
    if isinstance(connection, sqlite3.Connection) and listening():
        try:
            _tell_attached(connection)
        except sqlite3.ProgrammingError:
            return connection  # its factory closed it, or keeps it for another thread
    return connection


def _tell_attached(connection: sqlite3.Connection) -> None:
    """Has SQLite tell which databases are attached; the name of one given as a parameter stands in the statement."""

    def authorize(action: int, name: str | None, *_: Any) -> int:
        if action == sqlite3.SQLITE_ATTACH and listening():
            if name:
                tell("database", name, None)
            else:
                connection.set_trace_callback(trace)
        return sqlite3.SQLITE_OK

    def trace(statement: str) -> None:
        connection.set_trace_callback(None)
        if found := _ATTACHED.match(statement):
            tell("database", found.group(1).replace("''", "'"), None)

    connection.set_authorizer(authorize)


_ATTACHED = re.compile(r"\s*attach\s+(?:database\s+)?'((?:[^']|'')*)'", re.IGNORECASE)


def _spawned(argv: Any, *args: Any) -> Any:
    """`_posixsubprocess.fork_exec`, by which multiprocessing starts its children that are not forked."""
    caller = sys._getframe(1)
    if caller.f_globals.get("__name__") != "subprocess":  # which says more of its children, by an event of its own
        tell("child", None, argv, None, None, caller)
    return _fork_exec(argv, *args)


def _imported(name: str, package: str | None = None) -> ModuleType:
    """`importlib.import_module`: no event tells of a module that is there already."""
    frame = sys._getframe(1)
    try:
        return _import_module(name, package)
    finally:
        if listening() and current_watch.get() is not PAUSED:
            full = importlib.util.resolve_name(name, package) if name.startswith(".") and package else name
            tell("module_asked", full, frame)


TRANSPARENT.update(function.__code__ for function in (_opened_in, _connected, _imported))  # type: ignore[union-attr]


# Functions outside `os`: where they are, the original, what stands in for it.
_ELSEWHERE = (
    (sqlite3, "connect", _connect, _connected),
    (sqlite3.dbapi2, "connect", _connect, _connected),
    (_posixsubprocess, "fork_exec", _fork_exec, _spawned),
    (importlib, "import_module", _import_module, _imported),
)


@functools.cache
def _wrappers() -> dict[str, Callable[..., Any]]:
    wrappers = {name: _wrapper(name, original) for name, original in _ORIGINALS.items()}
    functools.update_wrapper(_opened_in, _open_file).__module__ = "os"
    os.supports_dir_fd.add(_opened_in)
    return {**wrappers, "open": _opened_in}


_OS = vars(os)
# From Python 3.13 on, `Path.glob` tests by a function of `os` that this class took when it was made.
_GLOBBER: Any = getattr(glob, "_StringGlobber", None)


def wrap() -> None:
    _OS.update(_wrappers())
    for module, name, _, wrapper in _ELSEWHERE:
        setattr(module, name, wrapper)
    if _GLOBBER is not None:
        _GLOBBER.lstat = staticmethod(_wrappers()["lstat"])
    for environ in (os.environ, os.environb):
        if environ.__class__ is _Environ:
            environ.__class__ = _WatchedEnviron


def unwrap() -> None:
    for name, wrapper in _wrappers().items():
        if _OS.get(name) is wrapper:
            _OS[name] = _ORIGINALS.get(name, _open_file)
    for module, name, original, wrapper in _ELSEWHERE:
        if getattr(module, name) is wrapper:
            setattr(module, name, original)
    if _GLOBBER is not None:
        _GLOBBER.lstat = staticmethod(_ORIGINALS["lstat"])
    for environ in (os.environ, os.environb):
        if environ.__class__ is _WatchedEnviron:
            environ.__class__ = _Environ


_Environ: Any = type(os.environ)


class _WatchedEnviron(_Environ):  # type: ignore[misc]
    """`os.environ` while something is watched. `get`, `in`, `os.getenv` and `expandvars` come through `__getitem__`."""

    def __getitem__(self, key: Any) -> Any:
        current = current_watch.get()
        if current is PAUSED or (isinstance(current, Watch) and key in current.known_names):
            return super().__getitem__(key)
        frame = sys._getframe(1)
        value = self._data.get(self.encodekey(key))
        if not _in_sweep(frame):
            text = None if value is None else os.fsdecode(value)
            tell("looked_up", os.fsdecode(key), text, frame)
        if value is None:
            raise KeyError(key)
        return self.decodevalue(value)

    def __iter__(self) -> Iterator[Any]:
        tell("environment_read", sys._getframe(1))
        return super().__iter__()  # type: ignore[no-any-return]

    def keys(self) -> Any:
        frame = sys._getframe(1)
        tell("environment_read", frame)
        _sweep.at = (id(frame), frame.f_code, frame.f_lasti)
        return super().keys()

    def __repr__(self) -> str:
        tell("environment_read", sys._getframe(1))
        return super().__repr__()  # type: ignore[no-any-return]


_WatchedEnviron.__module__, _WatchedEnviron.__qualname__ = _Environ.__module__, _Environ.__qualname__

_sweep = threading.local()


def _in_sweep(frame: FrameType) -> bool:
    """Whether a look-up is part of a copy of the whole environment: one instruction asks for the keys and each value,
    or a view yields them."""
    if getattr(_sweep, "at", None) == (id(frame), frame.f_code, frame.f_lasti):
        return True
    code = frame.f_code
    return code.co_name == "__iter__" and "_collections_abc" in code.co_filename
