"""Importing project modules: from source always, each under one name, and again when their source has changed.

Python's own loader trusts a bytecode file whose stamp and size fit, and so can run what the source no longer says.
The loader here compiles the source that it has read, and remembers it: it is the source that digests are made of.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any, Protocol
from zipimport import zipimporter

from stepcache import api, archive
from stepcache.collect.bytecode import rebinds
from stepcache.collect.search import append_to_path, package_name, same_file, spec_of
from stepcache.errors import CollectionFailed
from stepcache.key.environment import Given
from stepcache.model import Definition
from stepcache.nodeid import goes_by_path, module_by_path, path_of_module
from stepcache.records import define

IsProject = Callable[[str], bool]
WatchImport = Callable[[str], AbstractContextManager[Any]]


class Executes(Protocol):
    """A loader that reads the file of a module's spec and runs it."""

    def exec_module(self, module: ModuleType) -> None: ...


@define
class Loaded:
    """What is known of a project module that was imported."""

    name: str
    path: str
    source: bytes
    stamp: tuple[int, int, int]
    racy: bool
    """The file was so new when it was read that a later write may have left its stamp as it was."""
    made: tuple[Definition, ...] = ()
    """The definitions that its import made."""
    rebinds: bool = True
    """May a name of it be bound more than once while it is imported?"""
    late: bool = False
    """Has something else imported it than the import of a pipeline file or stepconf.py: the body of a step?"""


class Loader(SourceFileLoader):
    """Runs a project module from its source, and notes it in the registry."""

    def __init__(self, name: str, path: str, modules: ProjectModules) -> None:
        super().__init__(name, path)
        self._modules = modules

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module of that file, where it is there under its proper name; else Python makes a new one."""
        proper = self._modules.proper_name(self.path)
        if proper is not None and proper != spec.name:
            return sys.modules.get(proper)
        return None

    def get_code(self, fullname: str) -> Any:
        """Compile the source as it stands now; bytecode files are neither read nor written."""
        source = self.get_data(self.path)
        self._modules.note(fullname, self.path, source)
        # With its asserts under `python -O` too: a check that asserts nothing would pass.
        try:
            code = compile(source, self.path, "exec", dont_inherit=True, optimize=0)
        except ValueError as error:  # null bytes, which are a SyntaxError from Python 3.11.4 on
            raise SyntaxError(str(error)) from None
        self._modules.loaded[fullname].rebinds = rebinds(code, source)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, with its reads watched."""
        proper = self._modules.proper_name(self.path)
        name = module.__spec__.name if module.__spec__ else module.__name__
        if proper is not None and proper != name:
            if proper not in sys.modules or sys.modules[proper] is not module:
                importlib.import_module(proper)
                sys.modules[name] = sys.modules[proper]
            else:
                module.__spec__ = self._modules.specs.get(proper, module.__spec__)
            return
        if module.__spec__ is not None:
            self._modules.specs[name] = module.__spec__
        before, path = len(api.made), set(sys.path)
        api.importing.append(name)
        try:
            with self._modules.watch(name):
                if self._modules.rewriter is None or archive.holder(self.path) != self.path:
                    super().exec_module(module)
                else:
                    self._rewritten(module, name, self._modules.rewriter)
        finally:
            api.importing.pop()
        # Those of one module only: each of a chain of a hundred would otherwise hold all that was made below it.
        made = api.made[before:]
        api.made[before:] = [each for each in made if each.module != name]
        own = tuple(each for each in made if each.module == name)
        self._modules.finished(name, own, tuple(entry for entry in sys.path if entry not in path))

    def _rewritten(self, module: ModuleType, name: str, rewriter: Executes) -> None:
        """Have *rewriter* run the module; it reads the file itself, which must be the same before and after."""
        source = self.get_data(self.path)
        self._modules.note(name, self.path, source)
        rewriter.exec_module(module)
        if self.get_data(self.path) != source:
            raise ImportError(f"{self.path} was changed while it was imported")


class ArchiveLoader(Loader):
    """Does the same for a module out of a zip archive, whose other files *importer* gives."""

    def __init__(self, name: str, path: str, modules: ProjectModules, importer: zipimporter) -> None:
        super().__init__(name, path, modules)
        self._importer = importer

    def get_data(self, path: str) -> bytes:
        """The content of a file in the archive."""
        return archive.content(os.fspath(path))

    def get_resource_reader(self, name: str) -> Any:  # type: ignore[override]  # as zipimporter has it
        """What `importlib.resources` reads the archive by."""
        return self._importer.get_resource_reader(name)


class Finder:
    """First on `sys.meta_path` while stepcache imports: what Python would find, with our loader for project code."""

    def __init__(self, modules: ProjectModules) -> None:
        self.modules = modules
        self._asking = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders give, its loader ours where it is a project module's."""
        file = self.modules.files.get(name)
        if file is None and goes_by_path(name):
            file = self.modules.path_of(name)
        if file is not None:
            return spec_from_file_location(name, file, loader=Loader(name, file, self.modules))
        if getattr(self._asking, "others", False):  # another finder that asks all others, as this one does
            return None
        self._asking.others = True
        try:
            return self._of_others(name, path, target)
        finally:
            self._asking.others = False

    def _of_others(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            if isinstance(finder, Finder):
                continue
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None else None
            if spec is not None:
                self._adopt(spec)
                return spec
        if api.importing:
            self.modules.missing[api.importing[-1], name] = None
        return None

    def _adopt(self, spec: ModuleSpec) -> None:
        loader: Any = spec.loader
        if not spec.origin or not spec.origin.endswith(".py") or not self.modules.is_project(spec.origin):
            return
        if type(loader) is SourceFileLoader:
            spec.loader = Loader(spec.name, spec.origin, self.modules)
        elif type(loader) is zipimporter:
            spec.loader = ArchiveLoader(spec.name, os.path.abspath(spec.origin), self.modules, loader)


class ProjectModules:
    """The project modules of one root, as this process has them."""

    def __init__(self, root: str, is_project: IsProject) -> None:
        self.root = root
        self.is_project = is_project
        self.files: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self._folders: dict[str, tuple[str, ...]] = {}
        """The folders on `sys.path` that a file is imported from."""
        self.specs: dict[str, ModuleSpec] = {}
        self.loaded: dict[str, Loaded] = {}
        self.watch: WatchImport = lambda name: nullcontext()
        self.rewriter: Executes | None = None
        """Runs a module in our loader's place: pytest's, which rewrites assertions."""
        self.reads_hold: Callable[[str], bool] = lambda name: True
        """Does what a module read while it was imported say what it said then?"""
        self.finds_modules: Callable[[str], bool] = lambda name: False
        """Does a module seem to import what it finds: has it listed a folder, or imported one by its name?"""
        self.forgotten: Callable[[str], None] = lambda name: None
        """Told of a module that is to be imported again."""
        self.executed: Callable[[str], None] = lambda name: None
        """Told of a module that was imported."""
        self.missing: dict[tuple[str, str], None] = {}
        """The modules that imports asked for and that were not there, each after the module whose import it was."""
        self.entries: dict[str, tuple[str, ...]] = {}
        """What modules put into `sys.path` while they were imported."""
        self.given = Given()
        self.lent: dict[tuple[str, ...], None] = {}
        """What `sys.path` was in bodies that have changed it."""
        self._finder = Finder(self)
        self._loading = 0

    # --- names

    def register(self, path: str) -> str:
        """The name under which the pipeline file or stepconf.py at *path* is imported."""
        if path in self.names:
            for folder in self._folders[path]:  # whoever runs several times in one process may have taken them out
                append_to_path(folder)
            return self.names[path]
        name, folder = package_name(path)
        folders = self._folders[path] = (self.root, folder) if name is None else (folder,)
        for each in folders:
            append_to_path(each)
        if name is None:
            name = self._name_by_path(path)
            self.files[name] = path
        self.names[path] = name
        return name

    def _name_by_path(self, path: str) -> str:
        """The path below the root, dotted, where Python can import it so; else the path itself, behind `//`."""
        stem = os.path.splitext(path)[0]
        relative = os.path.relpath(stem, self.root)
        if relative.startswith(".."):
            plain = os.path.basename(stem)
            spec = spec_of(plain)
            return plain if spec is not None and spec.origin == path else module_by_path(stem)
        parts = relative.split(os.sep)
        if any(not part.isidentifier() for part in parts):
            return module_by_path("/".join(parts))
        if len(parts) > 1:
            top = os.path.join(self.root, parts[0])
            spec = spec_of(parts[0])
            places = list(spec.submodule_search_locations or ()) if spec is not None and not spec.origin else []
            if top not in places:
                return module_by_path("/".join(parts))
        else:
            spec = spec_of(parts[0])
            if spec is not None and spec.origin != path:
                return module_by_path(parts[0])
        return ".".join(parts)

    def path_of(self, name: str) -> str | None:
        """The file of a module named by its path."""
        path = os.path.join(self.root, path_of_module(name)) + ".py"
        return path if os.path.isfile(path) else None

    def proper_name(self, path: str) -> str | None:
        """The name that a pipeline file or stepconf.py goes by, whatever it is imported as."""
        return self.names.get(path)

    # --- importing

    def importing(self) -> AbstractContextManager[None]:
        """While open, project modules are imported by our loader."""
        return _Importing(self._finder)

    def load(self, path: str) -> ModuleType:
        """The module of a pipeline file or stepconf.py, imported if it is not there yet."""
        name = self.register(path)
        present = sys.modules.get(name)
        if present is not None and getattr(present, "__file__", None) != path:
            self.forget(name)
        self._loading += 1
        try:
            with self.importing():
                module = importlib.import_module(name)
        finally:
            self._loading -= 1
        found = getattr(module, "__file__", None)
        if found is None or not same_file(found, path):
            raise CollectionFailed(
                f"{path} would be imported as {name}, but that module is {found or 'built in'}: "
                f"rename one of the two, or take the __init__.py out of the folder"
            )
        return module

    def note(self, name: str, path: str, source: bytes) -> None:
        """Remember the source that a module is made from."""
        stamp = stamp_of(path)
        self.loaded[name] = Loaded(name, path, source, stamp, _fresh(stamp))

    def finished(self, name: str, made: tuple[Definition, ...], entries: tuple[str, ...]) -> None:
        """Remember the definitions that the module's import made, and the entries that it put into `sys.path`."""
        if name in self.loaded:
            self.loaded[name].made = made
            self.loaded[name].late = not self._loading
        inner = {entry for added in self.entries.values() for entry in added}
        if own := tuple(entry for entry in entries if entry not in inner):
            self.entries[name] = own
        self.executed(name)

    def is_late(self, name: str) -> bool:
        """Was a module imported by the body of a step, whatever import statements say?"""
        known = self.loaded.get(name)
        return known is not None and known.late

    def source_of(self, name: str) -> bytes | None:
        """The source that the loaded module was made from; for one imported by others, its file at first sight."""
        known = self.loaded.get(name)
        if known is None:
            known = self._adopt(name)
        return known.source if known is not None else None

    def _adopt(self, name: str) -> Loaded | None:
        path = getattr(sys.modules.get(name), "__file__", None)
        if not isinstance(path, str) or not path.endswith(".py"):
            return None
        try:
            source = archive.content(path)
        except OSError:
            return None
        self.note(name, path, source)
        return self.loaded[name]

    # --- changes

    def changed(self) -> list[str]:
        """The loaded project modules whose file, or what they read while they were imported, says something else."""
        found = []
        for name, known in self.loaded.items():
            if name not in sys.modules:
                continue
            if not self.reads_hold(name):
                found.append(name)
                continue
            if stamp_of(known.path) == known.stamp and not known.racy:
                continue
            try:
                same = archive.content(known.path) == known.source
            except OSError:
                same = False
            if not same:
                found.append(name)
        return found

    def forget(self, name: str) -> None:
        """Drop a module, so that the next import runs it again."""
        module = sys.modules.pop(name, None)
        self.forgotten(name)
        self.given.forget(name)
        self.loaded.pop(name, None)
        self.specs.pop(name, None)
        self.missing = {pair: None for pair in self.missing if pair[0] != name}
        for other in [n for n, m in sys.modules.items() if m is module and module is not None]:
            sys.modules.pop(other, None)
        parent, _, child = name.rpartition(".")
        if parent in sys.modules and getattr(sys.modules[parent], child, None) is module:
            delattr(sys.modules[parent], child)


class _Importing:
    """Has a finder on `sys.meta_path`, unless it is there. A class of its own: each step runs in one."""

    __slots__ = ("_added", "_finder")

    def __init__(self, finder: Finder) -> None:
        self._finder = finder

    def __enter__(self) -> None:
        self._added = self._finder not in sys.meta_path
        if self._added:
            sys.meta_path.insert(0, self._finder)

    def __exit__(self, *raised: object) -> None:
        if self._added:
            sys.meta_path.remove(self._finder)


def has_asserts(name: str) -> bool:
    """Are the asserts of a loaded project module executed? Python itself leaves them out under `python -O`."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return not sys.flags.optimize or isinstance(getattr(spec, "loader", None), Loader)


def stamp_of(path: str) -> tuple[int, int, int]:
    """What tells cheaply that a file was changed: size, modification time and change time in nanoseconds."""
    try:
        found = os.stat(archive.holder(path))
    except OSError:
        return (-1, 0, 0)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _fresh(stamp: tuple[int, int, int]) -> bool:
    """Is the stamp so new that another write may leave it as it is? (Some kernels' clocks tick every 4 ms.)"""
    return time.time_ns() - max(stamp[1:]) < 2_000_000_000
