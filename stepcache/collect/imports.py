"""What a source file imports, by its statements: enough to find hidden siblings and those who import a module."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache

from stepcache.collect.load import Loaded, ProjectModules, same_file, spec_of
from stepcache.model import Problem


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


def imported(loaded: Loaded) -> Iterator[str]:
    """The full names of all modules that a loaded module may import, parents and submodules included."""
    is_package = os.path.basename(loaded.path) == "__init__.py"
    package = loaded.name if is_package else loaded.name.rpartition(".")[0]
    for level, module, names, _ in statements(loaded.source):
        base = module
        if level:
            parts = package.split(".")
            parts = parts[: len(parts) - (level - 1)]
            base = ".".join([*parts, module] if module else parts)
        yield base
        for name in names:
            yield f"{base}.{name}"
        while "." in base:
            base = base.rpartition(".")[0]
            yield base


def importers(loaded: Mapping[str, Loaded], alias: Mapping[str, str]) -> dict[str, list[str]]:
    """For each module the loaded ones that import it; *alias* gives the proper names of modules."""
    found: dict[str, list[str]] = {}
    for name, each in loaded.items():
        for target in set(imported(each)):
            found.setdefault(alias.get(target, target), []).append(name)
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
