"""A watch: what one node (or one module's import) is seen to do, noted as it happens.

Whatever can wait until the node has ended waits: a note is a tuple appended to a list, once for each path. Only what
would be lost is kept at once: the content of a file that was read and is about to be changed.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Any

from stepcache.key.bytecode import bytecode_names
from stepcache.key.callers import NOBODY, PROJECT, Callers
from stepcache.key.children import command_of
from stepcache.key.conclude import Context, Seen, conclude
from stepcache.key.environment import below
from stepcache.key.events import Event, Sink
from stepcache.key.files import ACCESS_KINDS, FOLDER, FileDigests, described, kind_of, links_to, racy, stamp_of
from stepcache.key.look import Look
from stepcache.key.matching import wanted
from stepcache.key.mentions import files_of
from stepcache.key.places import Places
from stepcache.key.rules import Rules

_CHANGES = os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WRITES = os.O_ACCMODE | _CHANGES
_monotonic = time.monotonic_ns
_beginning = threading.RLock()
_now = time.time_ns
_event: Any = tuple.__new__
# How far the clock that stamps files may lag behind the one that is read.
_TICK_NS = 30_000_000


class Paused:
    """Stands for a watch where nothing is to be noted."""

    open = True


PAUSED = Paused()

current_watch: ContextVar[Watch | Paused | None] = ContextVar("stepcache_watch", default=None)


class _Pause:
    """See `paused`. A class of its own: a step is paused several times, and a generator takes three times as long."""

    __slots__ = ("_token",)
    _token: Token[Watch | Paused | None]

    def __enter__(self) -> None:
        self._token = current_watch.set(PAUSED)

    def __exit__(self, *raised: object) -> None:
        current_watch.reset(self._token)


def paused() -> AbstractContextManager[None]:
    """Notes nothing of what runs in this block: stepcache's own doings while a step runs."""
    return _Pause()


class Watch:
    """Everything that was noted between its opening and its end. Its methods are called by the observer."""

    def __init__(self, callers: Callers, files: FileDigests) -> None:
        self.open = True
        self.started = time.time_ns()
        self.known: dict[object, int] = {}
        """Paths as given, with the flags they were opened with: nothing new to note of them."""
        self.known_tests: set[tuple[object, str]] = set()
        """Paths as given, and who of the standard library tested them for project code."""
        self.known_names: set[object] = set()
        """Variables that project code looked up."""
        self.variables_before: dict[str, str | None] = {}
        """The variables that project code has set or removed, with what they were."""
        self.imported_for: tuple[Watch, ...] = ()
        """Where a module's import is watched: the steps that import it without an import statement."""
        self.around: tuple[Watch, ...] = ()
        """Where a module's import is watched: those that it happens in."""
        self.of_import = False
        """Is a module's import watched?"""
        self.before_first: Callable[[], None] | None = None
        """Called before anything is noted."""
        self._callers = callers
        self._files = files
        self._events: list[Event] = []
        self._sink: Sink | None = None
        self._forked = False
        self._places = Places()
        self._asked: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._kept: set[tuple[str, str]] = set()
        self._made: set[str] = set()
        self._listed: set[str] = set()

    @property
    def cwd(self) -> str:
        """The working directory that the watch began in."""
        return self._places.cwd

    def place(self, path: object, descriptor: int | None = None) -> tuple[str, str] | None:
        """See places.py."""
        return self._places.place(path, descriptor)

    def moved(self) -> None:
        """The working directory is about to change."""
        self._places.moved()
        self.known.clear()
        self.known_tests.clear()

    # --- notes ---

    def _note(self, kind: str, path: str, asked: str = "", who: int = NOBODY, what: Any = None) -> None:
        if self.before_first is not None:
            self._begin()
        event = Event(_monotonic(), kind, path, asked, who, what)
        if self._forked and self._sink:
            self._sink.write(event)
        else:
            self._events.append(event)

    def _begin(self) -> None:
        """The first thing is about to be noted; threads that are about to note another one wait."""
        with _beginning:
            if self.before_first is not None and not self._forked:
                with paused():
                    self.before_first()
            self.before_first = None

    def _first(self, kind: str, path: str, who: int) -> bool:
        """Whether nobody of that weight was noted for this kind and path before."""
        asked = self._asked[kind]
        if asked.get(path, -1) >= who:
            return False
        asked[path] = who
        return True

    def opened(self, path: object, flags: int, frame: FrameType) -> None:
        """A file is about to be opened."""
        if isinstance(path, int) or (place := self.place(_source_of(path))) is None:
            return
        who = self._callers.asked(frame)
        access = flags & os.O_ACCMODE
        if access == os.O_RDONLY and not flags & _CHANGES:
            self._read(*place, who)
        elif access == os.O_WRONLY or flags & os.O_TRUNC:
            self._change(place[0], added=bool(flags & os.O_APPEND))
        else:
            self._read(*place, who)
            self._change(place[0])
        if who == PROJECT or (who and below(place[0], self.cwd)):
            self.known[os.fspath(path)] = flags  # type: ignore[call-overload]

    def opened_to_read(self, path: Any, flags: int, frame: FrameType) -> bool:
        """What `opened` does where project code itself opens a file to read it, in fewer steps; False elsewhere.

        What it does raises no event that would have to be left out.
        """
        if path.__class__ is not str or flags & _WRITES or self._forked or not self.open or path.endswith(".pyc"):
            return False
        if not self._callers.is_project_code(frame):
            return False
        name, asked = self._places.spelled(path)
        if self._first("read", name, PROJECT):
            if self.before_first is not None:
                self._begin()
            found = stamp_of(name)
            self._events.append(_event(Event, (_monotonic(), "read", name, asked, PROJECT, found)))
            if found and racy(found[1], _now(), _TICK_NS):
                with paused():
                    self._keep(name)
        self.known[path] = flags
        return True

    def _read(self, name: str, asked: str, who: int) -> None:
        if who == NOBODY or not self._first("read", name, who):
            return
        found = stamp_of(name)
        self._note("read", name, asked, who, found)
        if found and racy(found[1], time.time_ns(), _TICK_NS):
            self._keep(name)

    def _keep(self, name: str) -> None:
        """Keeps the digest of what was read, and the names in what was listed, just before it is changed."""
        if name in self._listed and ("list", name) not in self._kept:
            self._kept.add(("list", name))
            names = self._files.names(name)
            self._note("names", name, what=None if names is None else list(names))
        if name in self._asked["read"] and ("read", name) not in self._kept and name not in self._made:
            self._kept.add(("read", name))
            self._note("before", name, what=self._files.content(name))

    def _change(self, name: str, added: bool = False) -> None:
        """The step is about to write, create or remove *name*."""
        if name in self._made:
            return
        found = stamp_of(name)
        if found and kind_of(found[0]) == FOLDER:
            return  # an unnamed temporary file is made by opening its folder
        self._keep(os.path.dirname(name))
        if added and found and name not in self._asked["read"]:
            if self._first("grown", name, PROJECT):
                self._note("grown", name, what=found[1][0])
            return
        self._keep(name)
        self._made.add(name)
        self._note("made", name, what=found is not None)

    def listed(self, path: object, frame: FrameType) -> None:
        """A folder is about to be listed."""
        if (place := self.place(path)) is None:
            return
        who = self._callers.asked(frame)
        pattern = wanted(frame) if who != NOBODY else None
        if who != NOBODY and self._first("list", place[0] if pattern is None else f"{place[0]}\0{pattern}", who):
            found = stamp_of(place[0])
            self._listed.add(place[0])
            self._note("list", *place, who, found and (*found, pattern))
            if found and racy(found[1], time.time_ns(), _TICK_NS):
                self._keep(place[0])
        if who == PROJECT and "stat" in bytecode_names(frame.f_code):
            self._sized(place[0], who)

    def _sized(self, folder: str, who: int) -> None:
        """The entries of a listing are asked for their status, which no event tells of: their sizes count."""
        for name in self._files.names(folder) or ():
            path = os.path.join(folder, name.rstrip("/"))
            if self._first("size", path, who):
                self._note("test", path, "", who, ("size", self._files.size(path)))

    def removed(self, path: object, descriptor: int) -> None:
        """A file or folder is about to be removed, or cut short."""
        if place := self.place(path, descriptor):
            self._keep(place[0])
            self._change(place[0])

    def folder_made(self, path: object, descriptor: int = -1) -> None:
        """A folder is about to be made, if there is none."""
        place = self.place(path, descriptor)
        if place and not os.path.lexists(place[0]):
            self._keep(os.path.dirname(place[0]))
            self._made.add(place[0])
            self._note("folder", place[0])

    def tree_removed(self, path: object) -> None:
        """A folder is about to be removed with all below it."""
        if (place := self.place(path)) and os.path.lexists(place[0]):
            self._keep(os.path.dirname(place[0]))
            self._keep(place[0])
            self._note("folder", place[0])

    def renamed(self, source: object, target: object, frame: FrameType, descriptors: tuple[int, int]) -> None:
        """Something is about to get another name: its content is read, unless the step made it."""
        old, new = self.place(source, descriptors[0]), self.place(target, descriptors[1])
        if old is None or new is None:
            return
        if os.path.isdir(old[0]):
            self._keep(os.path.dirname(old[0]))
            self._keep(os.path.dirname(new[0]))
            self._note("folder", old[0])
            self._note("folder", new[0])
            return
        if old[0] not in self._made:
            self._read(*old, self._callers.asked(frame))
        self._change(old[0])
        self._change(new[0])

    def linked(self, source: object, target: object, descriptor: int) -> None:
        """A link named *target* is about to be made to *source*."""
        new = self.place(target, descriptor)
        if new is None:
            return
        text = os.fsdecode(source)  # type: ignore[arg-type]
        self._change(new[0])
        self._note("alias", new[0], what=os.path.normpath(os.path.join(os.path.dirname(new[0]), text)))

    def tested(
        self, flavour: str, path: object, descriptor: int | None, status: os.stat_result | None, frame: FrameType
    ) -> None:
        """A path was tested: *flavour* is "stat", "lstat", "access", one of ACCESS_KINDS, or "readlink"."""
        if isinstance(path, int) or (place := self.place(path, descriptor)) is None:
            return
        kind = "link" if flavour in ("lstat", "readlink") else flavour if flavour in ACCESS_KINDS else "exists"
        who = self._callers.tested(frame)
        if flavour == "stat" and who == PROJECT and self._callers.wants_size(frame):
            kind = "size"
        if who == PROJECT and descriptor is None and isinstance(path, (str, PurePath)):
            self.known_tests.add((path, f"{flavour} {frame.f_code.co_name}"))
        if who == NOBODY:
            return
        if flavour == "stat" and self._callers.compares(frame):
            for link in links_to(place[0]):
                if self._first("link", link, who):
                    self._note("test", link, "", who, ("link", self._files.link(link)))
        if self._first(kind, place[0], who):
            self._note("test", *place, who, (kind, self._answer(kind, place[0], status)))

    def _answer(self, kind: str, path: str, status: os.stat_result | None) -> str:
        if kind == "link":
            return self._files.link(path)
        if kind in ACCESS_KINDS:
            return self._files.access(path, ACCESS_KINDS[kind])
        if status is None:
            return self._files.exists(path)
        return described(status.st_mode, status.st_size) if kind == "size" else kind_of(status.st_mode)

    def database(self, database: object, frame: FrameType | None) -> None:
        """An SQLite database is about to be opened or attached."""
        path = os.fsdecode(database) if isinstance(database, (str, bytes, os.PathLike)) else ""
        if path.startswith("file:"):
            path = _path_of_uri(path)
        if not path or path == ":memory:" or (place := self.place(path)) is None:
            return
        who = self._callers.asked(frame) if frame else PROJECT
        name = place[0]
        if who == NOBODY or name in self._made or not self._first("sqlite", name, who):
            return
        there = stamp_of(name) is not None
        self._note("sqlite", *place, who, self._files.database(name) if there else None)
        for suffix in ("", "-wal", "-shm", "-journal"):
            self._keep(os.path.dirname(name))
            self._kept.add(("read", name + suffix))
            self._made.add(name + suffix)
            self._note("made", name + suffix, what=there)

    def loaded(self, path: object, frame: FrameType) -> None:
        """A shared library is about to be loaded."""
        if isinstance(path, str) and "/" in path and (place := self.place(path)):
            who = self._callers.asked(frame)
            if who:
                self._read(*place, who)

    def reader_given(self, text: str, frame: FrameType) -> None:
        """A reader that opens files without Python was given *text*."""
        if text in self.known or "\0" in text:
            return
        who = self._callers.asked(frame)
        for kind, path in files_of(text) if who else ():
            if kind == "listed":
                self.listed(path, frame)
            elif (place := self.place(path)) and place[0] not in self._made and self._first("read", place[0], who):
                self._note("native", *place, who, stamp_of(place[0]))

    def looked_up(self, name: str, value: str | None, frame: FrameType) -> None:
        """A variable of the environment was looked up."""
        who = self._callers.looked_up(frame)
        if (who == PROJECT or (who and self.of_import)) and self._first("env", name, who):
            if who == PROJECT:
                self.known_names.add(name)
            self._note("env", name, frame.f_code.co_filename, who, value)

    def environment_read(self, frame: FrameType) -> None:
        """The names of all variables were asked for."""
        who = self._callers.asked(frame)
        if who != NOBODY and self._first("environ", code := frame.f_code.co_filename, who):
            self._note("environ", code, who=who)

    def variable_set(self, name: object, frame: FrameType) -> None:
        """A variable of the environment is about to be set or removed."""
        name = os.fsdecode(name)  # type: ignore[arg-type]
        was = os.environ.get(name)
        if self._callers.looked_up(frame) == PROJECT:
            self.variables_before.setdefault(name, was)
        for watch in (self, *self.around):
            if watch._first("set", name, PROJECT):
                watch._note("set", name, what=was)

    def child(self, executable: object, argv: object, cwd: object, env: object, frame: FrameType) -> None:
        """A child process that is another program is about to be started."""
        who = self._callers.asked(frame)
        here = self.place(cwd)
        if who == NOBODY or here is None:
            return
        command = command_of(executable, argv, here[0], env)
        program = command.program()
        for kind, paths in (
            ("before-child", (*command.files(), *program.files)),
            ("named-by-child", program.named),
        ):
            for path in paths:
                if path not in self._made and self._first(kind, path, PROJECT):
                    asked = "" if here[0] != self.cwd else os.path.relpath(path, self.cwd)
                    self._note(kind, path, asked, who, self._files.content(path))
        for path in command.folders():
            if self._first("list", path, PROJECT):
                found = stamp_of(path)
                self._listed.add(path)
                self._note("list", path, os.path.relpath(path, self.cwd), who, found and (*found, None))
                self._keep(path)
        self._note("child", command.executable, who=who, what=command)

    def network(self, address: object, frame: FrameType) -> None:
        """Something is about to be asked of another machine, or of another program through a socket."""
        local = isinstance(address, (str, bytes))
        who = self._callers.looked_up(frame) if local else self._callers.asked(frame)
        if who == NOBODY or (local and who != PROJECT) or address in ((None,), ("",)):
            return  # multiprocessing's own sockets, and a library's to its own programs
        place = str(address[0]) if isinstance(address, tuple) and address else os.fsdecode(str(address))
        if self._first("network", place, who):
            self._note("network", place, who=who)

    def imported(self, module: str) -> None:
        """A project module is about to be imported other than by an import statement."""
        if module and self._first("import", module, PROJECT):
            self._note("import", module)

    def found(self, module: str) -> None:
        """A library has looked a module up by its name: an unpickled class's, one that a configuration names."""
        if module and self._first("found", module, PROJECT):
            self._note("found", module)

    def executed(self, code: object, frame: FrameType) -> None:
        """Code is about to be executed: what it imports counts where it is no module's."""
        if isinstance(code, CodeType) and self._callers.runs_unknown(frame):
            names = bytecode_names(code)
            for name in names:
                self.found(name)
                for inner in names:
                    self.found(f"{name}.{inner}")

    def module_asked(self, module: str, frame: FrameType) -> None:
        """A module is asked for by its name, in `importlib.import_module`."""
        if self._callers.by_library(frame):
            self.found(module)

    def module_sought(self, module: str, folders: Iterable[str], frame: FrameType) -> None:
        """Code asks in `importlib.util.find_spec` whether there is a module, which is not imported for that."""
        if self._callers.tested(frame) != PROJECT:
            return
        for folder in folders:
            base = os.path.join(os.path.abspath(folder or self.cwd), module.rpartition(".")[2])
            for path in (base, base + ".py"):
                if self._first("exists", path, PROJECT):
                    self._note("test", path, "", PROJECT, ("exists", self._files.exists(path)))

    # --- forks ---

    def before_fork(self) -> None:
        """Makes ready for a child to report."""
        if self._sink is None:
            self._sink = Sink()

    def in_child(self) -> None:
        """From now on this process is a forked child, which reports to its parent."""
        self._forked = True
        self._files = FileDigests()

    # --- the end ---

    @property
    def quiet(self) -> bool:
        """Whether nothing was noted so far, by forked children neither."""
        return not self._events and self._sink is None

    def variables_set(self) -> dict[str, str | None]:
        """The variables that were set or removed, by whomever, with what they were before."""
        return {event.path: event.what for event in reversed(self._events) if event.kind == "set"}

    def renew(self) -> None:
        """What runs from now on is another run: only a watch that is quiet may go on."""
        self.started = time.time_ns()

    def end(self) -> None:
        """Nothing more is noted; what children saw takes its place among the events."""
        self.open = False
        if self._sink and not self._forked:
            self._events = sorted([*self._events, *self._sink.read()], key=lambda event: event.at)
            self._sink.close()
            self._sink = None

    def conclude(
        self,
        look: Look,
        rules: Rules,
        *,
        literals: Iterable[tuple[str, str]] = (),
        env_names: Collection[str] = (),
        settings: Mapping[str, object] | None = None,
        reached: Collection[str] = (),
        whole: Collection[str] = (),
        ambient: tuple[str, ...] = (),
        libraries: Iterable[str] = (),
        is_project: Callable[[str], bool] = lambda _: True,
        closure: Callable[[Iterable[str]], set[str]] = set,
    ) -> Seen:
        """What the watch saw, as observations, after its end.

        *literals* are texts of the reached code, each with the folder of its file, *env_names* those that may name
        variables, *reached* the modules with code in the key, *whole* those that are in it as a whole, *ambient* the
        variables that the C library looks up for it, *libraries* files that it may have loaded. *is_project* tells
        project files, *closure* which project modules the import of some imports.
        """
        context = Context(
            started=self.started,
            cwd=self.cwd,
            literals=tuple(literals),
            env_names=frozenset(env_names),
            settings=settings or {},
            reached=frozenset(reached),
            whole=frozenset(whole),
            ambient=ambient,
            libraries=tuple(libraries),
            is_project=is_project,
            closure=closure,
            of_import=self.of_import,
        )
        with paused():
            return conclude(self._events, look, rules, context)


def _source_of(path: object) -> object:
    """The source of a bytecode file, which stands for it; any other path as it is."""
    if type(path) is str and path.endswith(".pyc") and "/__pycache__/" in path:
        folder, _, name = path.rpartition("/__pycache__/")
        return f"{folder}/{name.partition('.')[0]}.py"
    return path


def _path_of_uri(uri: str) -> str:
    """The path of an SQLite `file:` URI; empty for a database in memory."""
    from urllib.parse import unquote

    path, _, query = uri[len("file:") :].partition("#")[0].partition("?")
    if "mode=memory" in query or path == ":memory:":
        return ""
    if path.startswith("//"):
        path = "/" + path[2:].partition("/")[2]
    return unquote(path)
