"""What a source file imports, by its statements: enough to find hidden siblings and those who import a module."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import ModuleType

from stepcache.api import Defined
from stepcache.collect.load import Loaded, ProjectModules
from stepcache.collect.search import same_file, spec_of
from stepcache.model import Definition, Problem


@lru_cache(maxsize=4096)
def statements(source: bytes) -> tuple[tuple[int, str, tuple[str, ...], int], ...]:
    """(level, module, names, line) of each import statement anywhere in the source; none where it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    found: list[tuple[int, str, tuple[str, ...], int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.extend((0, alias.name, (), node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", tuple(a.name for a in node.names), node.lineno))
    return tuple(found)


def replaced_definitions(loaded: Loaded, module: ModuleType) -> Iterator[tuple[Definition, Definition]]:
    """Definitions that a module imports, each with the other one that has its name in the module by now."""
    if not loaded.rebinds:
        return
    try:
        body = ast.parse(loaded.source).body
    except (SyntaxError, ValueError):
        return
    for node in body:
        if not isinstance(node, ast.ImportFrom):
            continue
        other = sys.modules.get(absolute(loaded, node.level, node.module or ""))
        for alias in node.names:
            first, last = getattr(other, alias.name, None), getattr(module, alias.asname or alias.name, None)
            if first is not last and isinstance(first, Defined) and isinstance(last, Defined):
                yield first.definition, last.definition


def absolute(loaded: Loaded, level: int, module: str) -> str:
    """The full name of a module that an import statement names."""
    if not level:
        return module
    is_package = os.path.basename(loaded.path) == "__init__.py"
    parts = (loaded.name if is_package else loaded.name.rpartition(".")[0]).split(".")
    parts = parts[: len(parts) - (level - 1)]
    return ".".join([*parts, module] if module else parts)


def imported(loaded: Loaded) -> Iterator[str]:
    """The full names of all modules that a loaded module may import, parents and submodules included."""
    for level, module, names, _ in statements(loaded.source):
        base = absolute(loaded, level, module)
        yield base
        for name in names:
            yield f"{base}.{name}"
        while "." in base:
            base = base.rpartition(".")[0]
            yield base


def importers(loaded: Mapping[str, Loaded]) -> dict[str, list[str]]:
    """For each module the loaded ones that import it."""
    found: dict[str, list[str]] = {}
    for name, each in loaded.items():
        for target in set(imported(each)):
            found.setdefault(target, []).append(name)
    return found


def hidden_siblings(source: bytes, path: str, shown: str, modules: ProjectModules) -> Iterator[Problem]:
    """Modules beside the file at *path* that its imports mean, and that another module of their name hides."""
    folder = os.path.dirname(path)
    for level, module, _, line in statements(source):
        top = module.partition(".")[0]
        if level or not top:
            continue
        sibling = _sibling(folder, top)
        if sibling is None:
            continue
        spec = spec_of(top)
        origin = spec.origin if spec is not None else None
        if spec is None or (origin is not None and same_file(origin, sibling)):
            continue
        other = origin or next(iter(spec.submodule_search_locations or ()), "a built-in module")
        beside = os.path.relpath(sibling, folder)
        yield Problem(
            shown,
            f"{shown}:{line}: 'import {top}' means {beside} beside it, but {_place(other, modules.root)} of that name "
            f"hides it\n  rename {beside}, or make the folder a package and import it by its full name",
        )


def _place(path: str, root: str) -> str:
    inside = path.startswith(root.rstrip(os.sep) + os.sep)
    return os.path.relpath(path, root) if inside else path


def _sibling(folder: str, top: str) -> str | None:
    for candidate in (os.path.join(folder, top + ".py"), os.path.join(folder, top, "__init__.py")):
        if os.path.isfile(candidate):
            return candidate
    return None
