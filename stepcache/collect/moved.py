"""Loaded modules that Python would find elsewhere today: behind a file, a package or a portion that has appeared."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder

from stepcache.collect.load import ProjectModules
from stepcache.collect.search import same_file
from stepcache.nodeid import goes_by_path


def moved(modules: ProjectModules) -> Iterator[str]:
    """Those modules, and of a package all that lies in it."""
    sights = [_Sight(path) for path in (sys.path, *modules.lent)]
    for name in _with_packages(modules):
        known = modules.loaded.get(name)
        specs = [spec for sight in sights if (spec := sight.spec(name)) is not None]
        if specs and name in sys.modules and not any(_is_there(name, known.path if known else None, s) for s in specs):
            yield name
            yield from (each for each in list(sys.modules) if each.startswith(f"{name}."))


def _with_packages(modules: ProjectModules) -> list[str]:
    """The loaded modules that go by names on `sys.path`, and their packages, those without a file too."""
    own = [name for name, each in modules.loaded.items() if each.path not in modules.names and not goes_by_path(name)]
    parts = [name.split(".") for name in own if name != "__main__"]
    return sorted({".".join(each[:end]) for each in parts for end in range(1, len(each) + 1)})


def _is_there(name: str, path: str | None, spec: ModuleSpec) -> bool:
    """Does a spec say where a loaded module came from: its file, or the folders of a package without one?"""
    if path is not None:
        return spec.origin is not None and same_file(os.path.abspath(spec.origin), path)
    module = sys.modules[name]
    if getattr(module, "__file__", None) is not None:
        return True
    return spec.origin is None and _absolute(spec.submodule_search_locations) == _absolute(module.__path__)


def _absolute(folders: Sequence[str] | None) -> list[str]:
    return [os.path.abspath(folder) for folder in folders or ()]


class _Sight:
    """What is found on a path as if nothing were loaded."""

    def __init__(self, path: Sequence[str]) -> None:
        self._path = list(path)
        self._found: dict[str, ModuleSpec | None] = {}

    def spec(self, name: str) -> ModuleSpec | None:
        if name not in self._found:
            self._found[name] = self._sought(name)
        return self._found[name]

    def _sought(self, name: str) -> ModuleSpec | None:
        parent = name.rpartition(".")[0]
        if not parent:
            return PathFinder.find_spec(name, self._path)
        package = self.spec(parent)
        folders = package.submodule_search_locations if package is not None else None
        return PathFinder.find_spec(name, list(folders)) if folders else None
