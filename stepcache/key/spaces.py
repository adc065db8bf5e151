"""Namespaces of project modules, with the tables of their sources; and which modules a module's import imports."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any, Protocol

from stepcache import archive
from stepcache.digest import digest
from stepcache.key.modules import Modules
from stepcache.key.source import SourceTable, analyse, table_name
from stepcache.nodeid import goes_by_path
from stepcache.records import define

LoadedSource = Callable[[str], bytes | None]


class Memo(Protocol):
    """What remembers tables of sources from run to run."""

    def get(self, kind: str, name: bytes) -> bytes | None:
        """What was put under the name."""

    def put(self, kind: str, name: bytes, data: bytes) -> None:
        """Remember *data*."""


@define(eq=False)
class Space:
    """The namespace of a module: `names` are its live globals, or None where only its source is looked at."""

    name: str
    table: SourceTable
    path: str | None
    package: str
    names: dict[str, Any] | None
    shown: str

    @property
    def folder(self) -> str:
        """The folder of its file."""
        return os.path.dirname(self.path) if self.path else ""

    def absolute(self, module: str, level: int) -> str:
        """The full name of a module imported from here."""
        if not level:
            return module
        base = self.package.split(".")
        base = base[: len(base) - level + 1]
        return ".".join([*base, module] if module else base)


_EMPTY = SourceTable("", "")


class Spaces:
    """Tables and namespaces, each made once."""

    def __init__(
        self, modules: Modules, memo: Memo | None, loaded_source: LoadedSource | None, files: tuple[str, ...] = ()
    ) -> None:
        """*files* are the modules of the files that were collected."""
        self.modules = modules
        self._memo = memo
        self._loaded_source = loaded_source
        self._tables: dict[bytes, SourceTable] = {}
        self._static: dict[str, Space | None] = {}
        self._live: dict[tuple[int, str], Space] = {}
        self._imports: dict[str, tuple[str, ...]] = {}
        self._anywhere: dict[str, tuple[str, ...]] = {}
        self.sources: dict[str, bytes] = {}
        self._files = files
        self._collected: set[str] | None = None

    # --- tables

    def table(self, text: bytes, path: str) -> SourceTable:
        """The table of a file's source, from the memo where it is known."""
        known = self._tables.get(text)
        if known is None:
            name = bytes.fromhex(table_name(text))
            data = self._memo.get("source", name) if self._memo is not None else None
            if data is not None:
                known = SourceTable.from_bytes(data)
            else:
                known = analyse(text, path)
                if self._memo is not None:
                    self._memo.put("source", name, known.to_bytes())
            self._tables[text] = known
        return known

    def table_of_file(self, path: str | None, module: str = "") -> SourceTable:
        """The table of a module's file; one that is no Python source counts by its bytes."""
        text = None
        if self._loaded_source is not None and module in sys.modules:
            text = self._loaded_source(module)
        if text is None:
            text = _content(path)
        if text is None:
            return _EMPTY
        if module:
            self.sources[module] = text
        if path is not None and not path.endswith(".py") and not path.startswith("<"):
            found = digest("binary", text)
            return SourceTable(found, found, broken=True)
        return self.table(text, path or "<unknown>")

    # --- namespaces

    def static(self, module: str) -> Space | None:
        """The namespace of a module, by its source alone."""
        if module not in self._static:
            self._static[module] = self._make_static(module)
        return self._static[module]

    def _make_static(self, module: str) -> Space | None:
        place = self.modules.find(module)
        loaded = getattr(sys.modules.get(module), "__file__", None) if place is None else place.path
        path = os.path.abspath(loaded) if isinstance(loaded, str) else None
        if path is None and place is None:
            return None
        is_package = path is None or os.path.basename(path).startswith("__init__.")
        package = module if is_package else module.rpartition(".")[0]
        shown = self.modules.portable(path) if path else module
        return Space(module, self.table_of_file(path, module), path, package, None, shown)

    def live(self, module: ModuleType) -> Space:
        """The namespace of a loaded module."""
        file = getattr(module, "__file__", None)
        return self.of_globals(module.__dict__, file if isinstance(file, str) else "")

    def of_globals(self, names: dict[str, Any], file: str) -> Space:
        """The namespace that functions of a file look up their globals in."""
        known = self._live.get((id(names), file))
        if known is None:
            path = file if not file or file.startswith("<") else os.path.abspath(file)
            known = self._live.get((id(names), path)) or self._make_live(names, path)
            self._live[id(names), file] = self._live[id(names), path] = known
        return known

    def _make_live(self, names: dict[str, Any], path: str) -> Space:
        name = str(names.get("__name__", ""))
        file = names.get("__file__")
        same = isinstance(file, str) and os.path.abspath(file) == path
        table = self.table_of_file(path or None, name if same else "")
        # The cells of a notebook are one module; each kernel puts their sources into files of other names.
        cell = name == "__main__" and "__file__" not in names
        home = file if path.startswith("<") and isinstance(file, str) else path  # a text counts as its module
        shown = self.modules.portable(home) if path and not cell else name
        package = names.get("__package__") or (name if "__path__" in names else name.rpartition(".")[0])
        return Space(name, table, path or None, str(package), names, shown)

    def paths(self) -> Iterator[str]:
        """The files of all modules that were looked at."""
        for space in (*self._static.values(), *self._live.values()):
            if space is not None and space.path is not None and not space.path.startswith("<"):
                yield space.path

    # --- what an import imports

    def imports(self, module: str) -> tuple[str, ...]:
        """The project modules that importing *module* imports directly, in source order."""
        known = self._imports.get(module)
        if known is None:
            space = self.static(module)
            known = tuple(dict.fromkeys(self._imported(space, space.table.imports))) if space else ()
            self._imports[module] = known
        return known

    def _imported(self, space: Space, imports: Iterable[tuple[str, int, tuple[str, ...]]]) -> list[str]:
        """The project modules that *imports* in a namespace lead to, and its own packages."""
        found = _parents(space.name)
        for module, level, names in imports:
            full = space.absolute(module, level)
            if not full or self.modules.kind(full.split(".")[0]) not in ("project", "missing"):
                continue
            found += [*_parents(full), full, *self._inner(full, names)]
        return [name for name in found if self.modules.kind(name) == "project" and self.static(name) is not None]

    def _inner(self, module: str, names: tuple[str, ...]) -> list[str]:
        """Those of *names*, taken of a module, that may be modules in it."""
        inner = [f"{module}.{name}" for name in names]
        place = self.modules.find(module)
        if place is None or place.folders:
            return inner
        return [name for name in inner if name in sys.modules]  # a file holds none but what is put there

    def closure(self, module: str) -> list[str]:
        """*module* and the project modules that its import imports, directly or not, nearest first."""
        return _followed(module, self.imports)

    def needs(self, module: str) -> list[str]:
        """*module* and the project modules that it and they import anywhere, in functions too, nearest first."""
        return _followed(module, self._imports_anywhere)

    def _imports_anywhere(self, module: str) -> tuple[str, ...]:
        known = self._anywhere.get(module)
        if known is None:
            space = self.static(module)
            known = tuple(dict.fromkeys(self._imported(space, space.table.imports_anywhere()))) if space else ()
            self._anywhere[module] = known
        return known

    def is_collected(self, module: str) -> bool:
        """Was a module imported with the collected files, whatever steps have imported since?"""
        if self._collected is None:
            self._collected = {name for file in self._files for name in self.closure(file)}
        return module in self._collected


def _followed(module: str, onwards: Callable[[str], Iterable[str]]) -> list[str]:
    """*module* and all that *onwards* leads to from there, nearest first."""
    order, seen = [module], {module}
    for name in order:
        for each in onwards(name):
            if each not in seen:
                seen.add(each)
                order.append(each)
    return order


def _parents(module: str) -> list[str]:
    if goes_by_path(module):
        return []
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _content(path: str | None) -> bytes | None:
    """The source of a file, or of a notebook's cell."""
    if path is None:
        return None
    try:
        return archive.content(path)
    except OSError:
        import linecache

        lines = linecache.getlines(path)
        return "".join(lines).encode() if lines else None
