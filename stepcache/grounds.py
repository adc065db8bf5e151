"""What the answer of a run rests on: every file, folder and link that, changed, might change it.

It is gathered at the end of a run. Each is to be older than the moment at which the run first looked at any: what it
looked at is then what is there now. Where that cannot be said, or where something cannot be looked at by a stat,
`Unsure` is raised, and there is no stamp.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from glob import escape, iglob

from stepcache import archive, stamp
from stepcache.api import Dir, File
from stepcache.binding import searched
from stepcache.collect.snapshot import Snapshot
from stepcache.key.environment import locate
from stepcache.key.files import ACCESS_KINDS
from stepcache.key.installed import looked_at as records
from stepcache.key.look import SEPARATOR
from stepcache.model import NodeReport, Observation
from stepcache.nodeid import split_argument
from stepcache.stamp import SHELL, SMALL, Stat, content_digest, names_digest, stamp_of
from stepcache.state import Session

# Times that are whole seconds come from file systems that keep no finer ones, or two seconds at best (FAT).
COARSE_NS, FINE_NS = 2_000_000_000, 20_000_000
# More than this is not worth a look each time.
_MOST = 200_000

_CONFIGURATION = ("stepcache.toml", "pyproject.toml", "setup.py", "stepconf.py", "__init__.py")
PACKAGE = os.path.dirname(os.path.abspath(__file__))
_STDLIB = os.path.dirname(os.path.abspath(os.__file__))
_MAGIC = re.compile(r"[*?\[]")


class Unsure(Exception):
    """It cannot be told what the answer rests on; the message says why."""


class Grounds:
    """Gathers paths; each kind of ground adds its own."""

    def __init__(self, session: Session, began: int) -> None:
        self._session = session
        self._began = began
        self._root = str(session.configuration.root)
        self._cwd = str(session.cwd)
        self.hidden = str(session.folder)
        self._paths: dict[str, None] = {}
        self._folders: dict[str, None] = {}
        self._links: dict[str, None] = {}

    # --- what it comes to

    def files(self, without: Container[str] = ()) -> list[stamp.File]:
        """(path, stamp, digest) of each path but for some, as `stamp.Head` holds them. Raises Unsure."""
        return [(path, *self._file(path)) for path in self._paths if path not in without]

    def folders(self) -> list[stamp.Folder]:
        """(path, stamp, digest of its names) of each folder. Raises Unsure."""
        found = []
        for path in self._folders:
            names = names_digest(path, self.hidden)
            # The cache folder may have been made in it since, and nothing else.
            as_before = names == self._session.names_before.get(path)
            status = self._status(os.stat, path, before=time.time_ns() if as_before else self._began)
            if status is None or not stat.S_ISDIR(status.st_mode):
                raise Unsure(f"{path} is no folder any more")
            found.append((path, stamp_of(status), names))
        return found

    def links(self) -> list[tuple[str, Stat | None]]:
        """(path, stamp) of what may be a link. Raises Unsure."""
        found = [(path, self._status(os.lstat, path, before=self._began)) for path in self._links]
        return [(path, None if status is None else stamp_of(status)) for path, status in found]

    def named(self) -> tuple[set[str], set[str]]:
        """The paths of files and links, and those of folders whose names count."""
        return {*self._paths, *self._links}, {*self._folders}

    def _file(self, path: str) -> tuple[Stat | tuple[()] | None, bytes]:
        known = self._session.stamps.get(path)
        if known is None:
            known = self._session.stamps[path] = self._stamped(path)
        return known

    def _stamped(self, path: str) -> tuple[Stat | tuple[()] | None, bytes]:
        status = self._status(os.stat, path, before=self._began, folders=False)
        if status is None:
            return None, b""
        if stat.S_ISDIR(status.st_mode):
            return (), b""
        if not stat.S_ISREG(status.st_mode):
            raise Unsure(f"{path} is no regular file")
        own = path.startswith(PACKAGE + os.sep)
        return stamp_of(status), b"" if own or status.st_size > SMALL else content_digest(path)

    def _status(
        self, ask: Callable[[str], os.stat_result], path: str, *, before: int, folders: bool = True
    ) -> os.stat_result | None:
        """The status of a path, None if nothing is there. Raises Unsure if it was not last changed *before* then."""
        try:
            status = ask(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise Unsure(f"{path}: {error}") from error
        if folders or not stat.S_ISDIR(status.st_mode):
            for moment in (status.st_mtime_ns, status.st_ctime_ns):
                if moment + (FINE_NS if moment % 1_000_000_000 else COARSE_NS) > before:
                    raise Unsure(f"{path} has changed just now")
        return status

    # --- gathering

    def path(self, path: str) -> None:
        """Whether there is a file, a folder or nothing counts, and a file's content; of one in an archive, that."""
        self._paths[archive.holder(os.path.join(self._cwd, path))] = None

    def folder(self, path: str) -> None:
        """The names in a folder count; where there is none, that there is none."""
        path = os.path.join(self._cwd, path)
        if os.path.isdir(path):
            self._folders[path] = None
        else:
            self._paths[path] = None

    def tree(self, base: str, levels: int | None = None) -> Iterator[str]:
        """The names in a folder and in those below it count, down to some levels; gives the files."""
        self.folder(base)
        for folder, folders, files in os.walk(base):
            depth = folder[len(base) :].count(os.sep)
            if levels is not None and depth >= levels:
                folders.clear()
                continue
            for name in folders:
                if os.path.islink(os.path.join(folder, name)):
                    raise Unsure(f"{os.path.join(folder, name)} is a link to a folder")
            folders[:] = [name for name in folders if name != "__pycache__"]
            self._folders[folder] = None
            if len(self._folders) + len(files) > _MOST:
                raise Unsure(f"{base} holds too much")
            yield from (os.path.join(folder, name) for name in files)

    def program(self) -> None:
        """This version of stepcache, and what may be imported."""
        self._paths.update(_own_sources())
        for entry in sys.path:
            folder = os.path.abspath(entry or self._cwd)
            if folder != _STDLIB and not folder.startswith(os.path.join(_STDLIB, "lib-dynload")):
                self.folder(folder)

    def configuration(self) -> None:
        """Where configuration is or may come to be, and what was asked for."""
        options = self._session.options
        arguments = [split_argument(each)[0] for each in options.args]
        starts = [self._cwd, self._root, *(os.path.dirname(os.path.join(self._cwd, each)) for each in arguments)]
        for start in dict.fromkeys(os.path.normpath(each) for each in starts):
            for folder in upwards(start):
                for name in _CONFIGURATION:
                    self.path(os.path.join(folder, name))
        saved = self._session.saves.files if self._session.saves is not None else ()
        named = (*arguments, options.config_file, self._session.configuration.file, *saved, *self._session.rests_on)
        for path in named:
            if path is not None:
                self.path(str(path))

    def discovery(self) -> None:
        """The folders that were searched for pipeline files, and those of the files that were found."""
        for folder, inside in searched(self._session):
            if inside:
                self.folder(folder)
            else:  # passed over, since it is a virtual environment
                self.path(os.path.join(folder, "pyvenv.cfg"))
        levels = self._session.collection.levels
        for path in levels:
            self.path(path)
        lie_in = dict.fromkeys(map(os.path.dirname, levels))
        for folder in lie_in:
            self.folder(folder)
        for above in dict.fromkeys(each for folder in lie_in for each in upwards(folder)):
            self.path(os.path.join(above, "stepconf.py"))
            self.path(os.path.join(above, "__init__.py"))

    def modules(self) -> None:
        """The sources of all project modules, imported or only looked at, and the folders in which they were sought."""
        project = self._session.project.modules
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            file = os.path.abspath(file) if isinstance(file, str) else ""
            kind = project.kind_of_file(file) if file else ""
            if kind == "project":
                self.path(file)
            for folder in _package_folders(module):
                # A package's own folder is what its file is: no record of a distribution names folders.
                own = kind if file and folder == os.path.dirname(file) else project.kind_of_file(folder + os.sep)
                if own == "project":
                    self.folder(folder)
        self.looked_at()

    def packages(self, modules: Iterable[str]) -> None:
        """The folders of the packages that *modules* are or lie in."""
        for name in modules:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                for folder in _package_folders(sys.modules.get(".".join(parts[:end]))):
                    self.folder(folder)

    def only_ours(self) -> None:
        """Raise Unsure where a module of the project was imported by another loader than ours, or has no source."""
        project = self._session.project
        known = {each.path for each in project.loaded.loaded.values()}
        files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        below = (f for f in files if isinstance(f, str) and f.startswith(self._root + os.sep) and f not in known)
        for file in (*project.modules.compiled(), *filter(project.modules.is_project, below)):
            raise Unsure(f"{file} was imported by somebody else")

    def looked_at(self) -> None:
        """The sources of project modules that were only looked at, and the folders in which modules were sought."""
        project = self._session.project.modules
        for path in self._session.sight.reader.looked_at():
            if project.kind_of_file(path) == "project":
                (self.folder if path.endswith(os.sep) else self.path)(path)
        for path in records():
            self.path(path)
        if self._session.sight.snapshot is not None:
            self._asleep(self._session.sight.snapshot)

    def _asleep(self, snapshot: Snapshot) -> None:
        """What it rests on that is known of files which are not imported."""
        for path in snapshot.paths:
            (self.folder if path.endswith(os.sep) else self.path)(path)

    def everything(self) -> None:
        """All sources below the root, where it could not be told which of them count."""
        for path in self._session.project.modules.project_files():
            self.path(path)
        for folder, inside in searched(self._session, (self._root,)):
            if inside:
                self.folder(folder)

    def settings(self, values: Iterable[object]) -> None:
        """Tracked paths among values of settings."""
        for value in values:
            if isinstance(value, File):
                self.path(str(value))
            elif isinstance(value, Dir):
                base = os.path.normpath(os.path.join(self._cwd, str(value)))
                if os.path.isdir(base):
                    for path in self.tree(base):
                        self.path(path)
                else:
                    self.path(base)
            elif isinstance(value, (list, tuple)):
                self.settings(value)
            elif isinstance(value, Mapping):
                self.settings(value.values())

    def rows(self, rows: Iterable[NodeReport]) -> None:
        """What the hits were seen to read when they ran."""
        for row in rows:
            for observation in row.observations:
                self.observed(observation)

    def observed(self, observation: Observation) -> None:
        """What an observation looks at."""
        look = _LOOKS.get(observation.seen_as)
        if look is None:
            raise Unsure(f"an observation of the kind {observation.kind}")
        look(self, observation.name)

    def _located(self, name: str) -> str:
        return locate(name, self._root, self._cwd)

    def _content(self, name: str) -> None:
        self.path(self._located(name))

    def _listing(self, name: str) -> None:
        folder = self._located(name.partition(SEPARATOR)[0])
        self.folder(folder)
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():  # whether it leads to a folder no stamp of this one tells
                    self.path(entry.path)

    def _database(self, name: str) -> None:
        for ending in ("", "-wal"):
            self.path(self._located(name) + ending)

    def _link(self, name: str) -> None:
        self._links[self._located(name)] = None
        self._content(name)

    def _rights(self, name: str) -> None:
        """What may be done with a file shows in its times, not in its content."""
        self._links[os.path.realpath(self._located(name))] = None
        self._content(name)

    def _variable_of_environment(self, name: str) -> None:
        """The environment is part of a stamp's name, but for what differs between shells."""
        if name in SHELL:
            raise Unsure(f"the environment variable {name} counts")

    def _module_variable(self, name: str) -> None:
        """It follows from the sources, and from what was read at import."""

    def _literal(self, name: str) -> None:
        text, _, folder = name.partition(SEPARATOR)
        text = os.path.expanduser(text)
        for base in (self._cwd, self._root, *([self._located(folder)] if folder else [])):
            self.path(os.path.join(base, text))

    def _program(self, word: str) -> None:
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            path = os.path.join(folder or ".", word)
            self.path(path)
            if os.access(path, os.X_OK) and not os.path.isdir(path):
                return

    def _pattern(self, name: str) -> None:
        pattern = locate(name, escape(self._root), escape(self._cwd))
        parts = pattern.split(os.sep)
        fixed = next((number for number, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
        # Escaped brackets of the root itself look like a pattern: the folders above them are then looked at as well.
        base = os.sep.join(parts[:fixed]) or os.sep
        for _ in self.tree(base, None if "**" in parts else len(parts) - fixed):
            pass
        for path in iglob(pattern, recursive=True):
            self.path(path)


_LOOKS: dict[str, Callable[[Grounds, str], None]] = {
    "file": Grounds._content,
    "module": Grounds._content,
    "size": Grounds._content,
    "exists": Grounds._content,
    **dict.fromkeys(ACCESS_KINDS, Grounds._rights),
    "dir": Grounds._listing,
    "names": Grounds._listing,
    "sqlite": Grounds._database,
    "link": Grounds._link,
    "env": Grounds._variable_of_environment,
    "given": Grounds._variable_of_environment,
    "env beginning": Grounds._variable_of_environment,
    "environment": Grounds._variable_of_environment,
    "variable": Grounds._module_variable,
    "literal": Grounds._literal,
    "program": Grounds._program,
    "glob": Grounds._pattern,
}


@cache
def _own_sources() -> dict[str, None]:
    """The sources of this version of stepcache."""
    found: dict[str, None] = {}
    for folder, folders, names in os.walk(PACKAGE):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found.update(dict.fromkeys(os.path.join(folder, name) for name in names if name.endswith(".py")))
    return found


def _package_folders(module: object) -> list[str]:
    try:
        return [os.path.abspath(each) for each in getattr(module, "__path__", ())]
    except Exception:  # noqa: BLE001 - a lazy module may do anything when it is asked for an attribute
        return []


def upwards(folder: str) -> Iterator[str]:
    """The path, and those of the folders above it."""
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above
