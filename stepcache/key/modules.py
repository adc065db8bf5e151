"""Modules by name and by file: what is project code, where it lies, and which distribution owns the rest."""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Literal

from stepcache.archive import holder
from stepcache.key.installed import Distribution, owner, owning
from stepcache.nodeid import goes_by_path, path_of_module
from stepcache.records import frozen

Kind = Literal["project", "package", "stdlib", "stepcache", "missing"]

_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_STDLIB = os.path.dirname(os.path.abspath(os.__file__))
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_COMPILED = tuple(EXTENSION_SUFFIXES)
# pytest's, and the folders that hold no sources of the project.
NO_RECURSE = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}", "__pycache__")


@frozen
class Place:
    """Where a module lies: its file (None for a namespace package) and, for a package, its folders."""

    path: str | None
    folders: tuple[str, ...] = ()


class Modules:
    """The modules that this process can import, seen from a project's root. Nothing is ever imported to tell."""

    def __init__(self, root: Path, norecursedirs: tuple[str, ...] = NO_RECURSE) -> None:
        self.root = os.path.abspath(root)
        self.norecursedirs = norecursedirs
        self._kinds: dict[str, Kind] = {}
        self._owners: dict[str, Distribution | None] = {}
        self._places: dict[str, Place | None] = {}

    def refresh(self) -> None:
        """Forget what was found where: files may have come and gone."""
        self._kinds.clear()
        self._owners.clear()
        self._places.clear()

    # --- what it is

    def is_project(self, module_name_or_file: str) -> bool:
        """Is it project code (contract, section 2)? A module by its name, or a file by its path."""
        return self.kind(module_name_or_file) == "project"

    def kind(self, module_name_or_file: str) -> Kind:
        """What a module or file is."""
        name = module_name_or_file
        if name in sys.modules or goes_by_path(name):
            return self._kind_of_module(name)
        if os.sep in name or name.endswith(".py"):
            return self.kind_of_file(os.path.abspath(name))
        if name.startswith("<"):
            return "stdlib"
        return self._kind_of_module(name)

    def _kind_of_module(self, name: str) -> Kind:
        top = name.partition(".")[0]
        if name == "__main__":
            return "project"
        if top == "stepcache" and name.startswith("stepcache"):
            place = self.find(top)
            if place is not None and place.path is not None and place.path.startswith(_OWN + os.sep):
                return "stepcache"
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None) if module is not None else None
        if isinstance(file, str):
            return self._kinds.get(file) or self.kind_of_file(os.path.abspath(file))
        if top in sys.builtin_module_names or (module is not None and _is_frozen(module)):
            return "stdlib"
        place = self.find(name)
        if place is not None:
            return self.kind_of_file(place.path) if place.path else self._kind_of_folders(place.folders)
        if module is not None:
            # Made by hand, or built in to something installed: as what it stands in.
            return "stdlib" if top in sys.stdlib_module_names else self._kind_of_parent(name)
        return "stdlib" if top in sys.stdlib_module_names and self.find(top) is None else self._kind_of_parent(name)

    def _kind_of_parent(self, name: str) -> Kind:
        parent = name.rpartition(".")[0]
        found = self._kind_of_module(parent) if parent else "missing"
        # A missing module of the project may come into being; one of an installed package is that package's affair.
        return "missing" if found == "project" else found

    def _kind_of_folders(self, folders: tuple[str, ...]) -> Kind:
        kinds = [self.kind_of_file(os.path.join(folder, "")) for folder in folders]
        return "project" if "project" in kinds else kinds[0] if kinds else "missing"

    def kind_of_file(self, path: str) -> Kind:
        """What the file of an absolute path is."""
        known = self._kinds.get(path)
        if known is None:
            known = self._kinds[path] = self._judge(path)
        return known

    def _judge(self, path: str) -> Kind:
        if path.startswith("<"):
            return "stdlib"
        if path.startswith(_OWN + os.sep):
            return "stepcache"
        folder = self._packages_folder(path)
        if folder is None:
            if path.startswith(_STDLIB + os.sep) and not self.root.startswith(_STDLIB):
                return "stdlib"
            folder = self._entry_of(path)
        if folder is None or owning(folder, _inside(path, folder)) is None:
            return "project"
        return "package"

    def _packages_folder(self, path: str) -> str | None:
        """The innermost folder of installed packages that the path lies in."""
        below = self.root + os.sep if path.startswith(self.root + os.sep) else ""
        parts = path[len(below) :].split(os.sep)
        for end in range(len(parts) - 1, 0, -1):
            if parts[end - 1] in _PACKAGE_FOLDERS:
                return below + os.sep.join(parts[:end])
        return None

    @staticmethod
    def _entry_of(path: str) -> str | None:
        """The entry of `sys.path` that the path lies in."""
        entries = [
            e for e in (os.path.abspath(entry) for entry in sys.path) if path.startswith(e.rstrip(os.sep) + os.sep)
        ]
        return max(entries, key=len, default=None)

    # --- who owns it

    def owner_of_file(self, path: str) -> Distribution | None:
        """The installed distribution that a file belongs to."""
        if path not in self._owners:
            folder = self._packages_folder(path) or self._entry_of(path)
            found = None
            if folder is not None:
                found = owner(folder, _inside(path, folder))
            self._owners[path] = found
        return self._owners[path]

    def distribution(self, module: str) -> Distribution | None:
        """The installed distribution that a module belongs to."""
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            file = getattr(sys.modules.get(name), "__file__", None)
            if not isinstance(file, str):
                place = self.find(name)
                file = place.path if place is not None else None
            if isinstance(file, str):
                found = self.owner_of_file(os.path.abspath(file))
                if found is not None:
                    return found
        return None

    # --- where it is

    def locate(self, module_name: str) -> str | None:
        """The file of a module, found without importing it or its package."""
        place = self.find(module_name)
        return place.path if place is not None else None

    def find(self, module_name: str) -> Place | None:
        """Where a module lies, found without importing it or its package."""
        if module_name not in self._places:
            self._places[module_name] = self._find(module_name)
        return self._places[module_name]

    def _find(self, module_name: str) -> Place | None:
        if goes_by_path(module_name):
            path = os.path.join(self.root, path_of_module(module_name)) + ".py"
            return Place(path) if os.path.isfile(path) else None
        parent, _, name = module_name.rpartition(".")
        if not name or not name.isidentifier():
            return None
        if not parent:
            return _search(name, sys.path) or _search_finders(module_name)
        place = self.find(parent)
        if place is None or not place.folders:
            return None
        return _search(name, place.folders) or _search_finders(module_name)

    def places(self) -> list[Place]:
        """Where all modules that were sought were found."""
        return [place for place in self._places.values() if place is not None]

    def project_files(self) -> list[str]:
        """Every Python source below the root, but for the folders that are passed over."""
        from fnmatch import fnmatch

        found = []
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(
                name
                for name in folders
                if not any(fnmatch(name, pattern) for pattern in self.norecursedirs)
                and not os.path.isfile(os.path.join(folder, name, "pyvenv.cfg"))
            )
            found += [os.path.join(folder, name) for name in sorted(files) if name.endswith(".py")]
        return [path for path in found if self.kind_of_file(path) == "project"]

    def compiled(self) -> list[str]:
        """The files of the loaded modules of the project that have no source."""
        files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        return sorted({f for f in files if isinstance(f, str) and f.endswith(_COMPILED) and self.is_project(f)})

    def portable(self, path: str) -> str:
        """The path relative to the root, with `/`, where it lies below it."""
        if path.startswith(self.root + os.sep):
            return path[len(self.root) + 1 :].replace(os.sep, "/")
        return path


def _inside(path: str, folder: str) -> str:
    return path[len(folder.rstrip(os.sep)) + 1 :].replace(os.sep, "/")


def _is_frozen(module: object) -> bool:
    spec = getattr(module, "__spec__", None)
    return getattr(spec, "origin", None) in ("frozen", "built-in")


def _search(name: str, entries: tuple[str, ...] | list[str]) -> Place | None:
    """Look for the module *name* in folders, as Python does."""
    namespace: list[str] = []
    for entry in entries:
        base = os.path.join(os.path.abspath(entry), name)
        if os.path.isdir(base):
            for suffix in ("", *EXTENSION_SUFFIXES):
                init = os.path.join(base, "__init__" + (suffix or ".py"))
                if os.path.isfile(init):
                    return Place(init, (base,))
            namespace.append(base)
        for suffix in (*EXTENSION_SUFFIXES, ".py"):
            if os.path.isfile(base + suffix):
                return Place(base + suffix)
        if os.path.isfile(holder(entry)):
            found = _search_archive(name, entry)
            if found is not None:
                return found
    return Place(None, tuple(namespace)) if namespace else None


def _search_archive(name: str, archive: str) -> Place | None:
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec(name, [archive])
    if spec is None or spec.origin is None:
        return None
    return Place(spec.origin, tuple(spec.submodule_search_locations or ()))


def _search_finders(module_name: str) -> Place | None:
    """Ask the finders that editable installs put on `sys.meta_path`."""
    for finder in sys.meta_path:
        if not getattr(finder, "__module__", "").startswith("__editable__"):
            continue
        spec = finder.find_spec(module_name, None)
        if spec is not None and spec.origin is not None:
            return Place(spec.origin, tuple(spec.submodule_search_locations or ()))
    return None
