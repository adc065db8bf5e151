"""Which project modules are imported again, so that a run in an old process finds what one in a new process would:
those that changed, their importers, and those that any of these does something to while it is imported. What a module
does that is found by its name nobody can tell before it is imported: then it is all of them."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from functools import lru_cache

from stepcache.collect.imports import absolute, imported, importers
from stepcache.collect.load import Loaded, ProjectModules
from stepcache.collect.moved import moved
from stepcache.collect.search import spec_of


def forget_changed(modules: ProjectModules) -> None:
    """Drop what has changed, and what hangs together with it: the next import runs it again."""
    todo = [*modules.changed(), *_appeared(modules), *moved(modules)]
    if not todo:
        return
    if any(map(modules.finds_modules, todo)):
        todo = list(modules.loaded)
    by = importers(modules.loaded)
    seen: dict[str, None] = {}
    while todo:
        name = todo.pop()
        if name in seen or name == "__main__":
            continue
        seen[name] = None
        todo += by.get(name, ())
        known = modules.loaded.get(name)
        if known is not None:
            todo += _affected(known, modules)
            todo += _found_through(modules.entries.pop(name, ()), modules)
    for name in seen:
        modules.forget(name)


def _appeared(modules: ProjectModules) -> Iterator[str]:
    """The modules that asked for one which was missing, and is there now."""
    for (importer, name), _ in list(modules.missing.items()):
        parent = name.rpartition(".")[0]
        if (not parent or parent in sys.modules) and spec_of(name) is not None:
            yield importer


def _found_through(entries: tuple[str, ...], modules: ProjectModules) -> list[str]:
    """The loaded modules that lie in entries of `sys.path` which a module has put there; the entries are taken out."""
    for entry in entries:
        if entry in sys.path:
            sys.path.remove(entry)
    folders = [os.path.join(os.path.abspath(entry), "") for entry in entries]
    return [name for name, each in modules.loaded.items() if each.path.startswith(tuple(folders))] if folders else []


def _affected(loaded: Loaded, modules: ProjectModules) -> list[str]:
    """The loaded modules that the import of one may do something to: those it uses while it is imported, and theirs."""
    found: dict[str, None] = {}
    todo = [name for one in _used(loaded.source) for name in _targets(loaded, one)]
    while todo:
        name = todo.pop()
        known = modules.loaded.get(name)
        if known is not None and name not in found:
            found[name] = None
            todo += imported(known)
    return list(found)


def _targets(loaded: Loaded, one: tuple[int, str, str]) -> Iterator[str]:
    level, module, name = one
    base = absolute(loaded, level, module)
    yield base
    if name:
        yield f"{base}.{name}"


@lru_cache(maxsize=4096)
def _used(source: bytes) -> tuple[tuple[int, str, str], ...]:
    """(level, module, name) of the imports of which a source uses anything outside of functions."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    names, imports = set[str](), list[tuple[str, tuple[int, str, str]]]()
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo += [*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)]
        elif isinstance(node, ast.Import):
            imports += [(a.asname or a.name.partition(".")[0], (0, a.name, "")) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports += [(a.asname or a.name, (node.level, node.module or "", a.name)) for a in node.names]
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif not isinstance(node, ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return tuple(one for bound, one in imports if bound in names or bound == "*")
