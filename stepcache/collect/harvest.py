"""From an imported module to the definitions that it offers."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from types import FunctionType, ModuleType
from typing import Any

from attrs import evolve, field

from stepcache import api
from stepcache.collect.signatures import class_of, faults
from stepcache.model import Definition, Problem, Source
from stepcache.nodeid import goes_by_path, path_of_module
from stepcache.records import frozen

# What a `check_*` can be: other callables of that name, such as a schema, are none.
_FUNCTIONS = (FunctionType, partial, type(lru_cache(len)))


@frozen
class Level:
    """What one module offers to those who ask for names in it.

    `file` is its portable name. `own` are the definitions by name, imported ones too; `checks` those that count
    as checks of this file; `outputs` are the steps by the names of their outputs.
    """

    file: str
    path: str
    module: str
    own: Mapping[str, Definition]
    checks: tuple[Definition, ...] = ()
    outputs: Mapping[str, Definition] = field(init=False, repr=False, eq=False)

    @outputs.default
    def _by_output(self) -> Mapping[str, Definition]:
        return {name: definition for definition in self.own.values() for name in definition.outputs}

    def provider(self, name: str) -> Definition | None:
        """What is asked for by that name: the definition so called, or the step that has an output so called."""
        return self.own.get(name) or self.outputs.get(name)


@lru_cache(maxsize=4096)
def portable_name(root: str, path: str, module: str) -> str:
    """The path relative to the root, with `/`; outside the root the dotted module name."""
    if path.startswith(root.rstrip(os.sep) + os.sep):
        return os.path.relpath(path, root).replace(os.sep, "/")
    return path_of_module(module) if goes_by_path(module) else module


def harvest(module: ModuleType, path: str, root: str, made: Iterable[Definition] = ()) -> tuple[Level, list[Problem]]:
    """The level that *module* is, and what is wrong with its definitions.

    *made* are the definitions that its import made: of two with one name, only the later is in the namespace.
    """
    file = portable_name(root, path, module.__name__)
    own: dict[str, Definition] = {}
    checks: dict[str, Definition] = {}
    taken: dict[str, Definition] = {}
    problems: list[Problem] = []
    present: set[tuple[str, str, int, str]] = set()
    for value, found in _definitions(module, path):
        definition = placed(found, root)
        if definition is not found and isinstance(value, api.Defined):
            value.definition = definition  # each module that imports it harvests it as well
        present.add(identity(definition))
        known = next((taken[name] for name in (definition.name, *definition.outputs) if name in taken), None)
        if known is not None:
            problems.append(_twice(file, known, definition))
            continue
        taken.update(dict.fromkeys((definition.name, *definition.outputs), definition))
        (checks if definition.kind == "check" else own)[definition.name] = definition
    last = {d.name: d for d in (*own.values(), *checks.values())}
    for each in made:
        if each.module != module.__name__ or _is_local(each) or class_of(each) or identity(each) in present:
            continue
        other, first = last.get(each.name), placed(each, root)
        if other is not None and other.source.path == first.source.path and other.source.line != first.source.line:
            problems.append(_twice(file, first, other))
    level = Level(file, path, module.__name__, own, tuple(checks.values()))
    return level, problems


def unfound(
    level: Level, module: ModuleType, made: Iterable[Definition], root: str
) -> Iterator[tuple[Definition, Problem]]:
    """Those of *made*, the definitions that the import of *module* made, that no variable of it holds, each with what
    is to be said if none of another file does either."""
    bound = (*level.own.values(), *level.checks)
    present, names = {identity(each) for each in bound}, {each.name for each in bound}
    # A variable may hold one of a name that another has, which is said already.
    present.update(identity(each.definition) for each in vars(module).values() if isinstance(each, api.Defined))
    left = [each for each in made if each.module == module.__name__ and identity(each) not in present]
    held = _held(module) if left else set()
    for each in left:
        if class_of(each):
            yield each, _in_class(level.file, placed(each, root))
        elif each.name not in names and (identity(each) in held or (not _is_local(each) and _is_lost(each, module))):
            yield each, _lost(level.file, placed(each, root))


def _held(module: ModuleType) -> set[tuple[str, str, int, str]]:
    """The definitions that lists, dicts and classes of the module hold, as deep as these go."""
    found: set[tuple[str, str, int, str]] = set()
    seen: set[int] = set()
    todo: list[object] = list(vars(module).values())
    while todo:
        one = todo.pop()
        if isinstance(one, api.Defined):
            found.add(identity(one.definition))
        elif id(one) not in seen:
            seen.add(id(one))
            if isinstance(one, (list, tuple, set, frozenset)):
                todo += one
            elif isinstance(one, dict):
                todo += one.values()
            elif isinstance(one, type) and one.__module__ == module.__name__:
                todo += vars(one).values()
    return found


def _is_local(definition: Definition) -> bool:
    """Is its function made by another, which may have made it for a purpose of its own?"""
    return "<locals>" in getattr(definition.function, "__qualname__", "")


def _definitions(module: ModuleType, path: str) -> Iterator[tuple[object, Definition]]:
    """What is defined in a module, each once, with its definition; plain checks among it go by the name they have."""
    seen: set[int] = set()
    for name, value in vars(module).items():
        if id(value) in seen:
            continue
        if isinstance(value, api.Defined):
            seen.add(id(value))
            yield value, value.definition
        elif name.startswith("check_") and isinstance(value, _FUNCTIONS) and not hasattr(value, "_stepcache_no_check"):
            check = _plain_check(name, value, module, path)
            if check is not None:
                seen.add(id(value))
                yield value, check


def _plain_check(name: str, value: Callable[..., Any], module: ModuleType, path: str) -> Definition | None:
    """The check that *value* is by its name, if the file defines it: it may be imported."""
    if getattr(value, "__name__", "") == name and getattr(value, "__module__", "") == module.__name__:
        return api.plain_check(value, name)
    line = _lines(path).get(name)
    if line is None:
        return None
    check = api.plain_check(value, name)
    if check.source.path == path:
        return check
    return evolve(check, source=Source(path, path, line), module=module.__name__)  # another module has wrapped it


def _lines(path: str) -> dict[str, int]:
    """The lines of the names that the file defines or assigns; none where it cannot be parsed, as in a notebook."""
    try:
        with open(path, "rb") as file:
            nodes = [*ast.walk(ast.parse(file.read()))]
    except (OSError, SyntaxError, ValueError):
        return {}
    functions = {n.name: n.lineno for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assigned = {n.id: n.lineno for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return assigned | functions


def placed(definition: Definition, root: str) -> Definition:
    """*definition* with the portable name of its file."""
    path = definition.source.path
    file = portable_name(root, path, definition.module)
    if file == definition.source.file:
        return definition
    return evolve(definition, source=Source(file, path, definition.source.line))


def identity(definition: Definition) -> tuple[str, str, int, str]:
    """What makes two definitions one: where they stand, and what they are called."""
    return (definition.kind, definition.source.path, definition.source.line, definition.name)


def replaced_problems(level: Level, replaced: Iterable[tuple[Definition, Definition]], root: str) -> list[Problem]:
    """What is said of imported definitions that another of the same name has replaced."""
    return [_twice(level.file, placed(first, root), placed(second, root)) for first, second in replaced]


def _in_class(file: str, definition: Definition) -> Problem:
    return Problem(
        file,
        f"{definition.source}: {definition.kind} '{definition.name}' stands in class {class_of(definition)}, "
        "where it is not found\n  move it out of the class",
    )


def _is_lost(definition: Definition, module: ModuleType) -> bool:
    """Has nothing in the module the definition any more, although nobody has deleted its name?"""
    name = getattr(definition.function, "__name__", "")
    return name in vars(module) or not name.isidentifier()


def _lost(file: str, definition: Definition) -> Problem:
    return Problem(
        file,
        f"{definition.source}: {definition.kind} '{definition.name}' has no variable of the file, where it is found\n"
        f"  assign it to one of its own; in a loop: globals()[NAME] = step(FUNCTION, name=NAME)",
    )


def _twice(file: str, first: Definition, second: Definition) -> Problem:
    if first.name != second.name:
        return _output_twice(file, first, second)
    return Problem(
        file,
        f"{second.source}: {second.kind} '{second.name}' is defined twice in {file}: "
        f"first as a {first.kind} at {first.source}\n"
        f"  rename one of them, or give one another name with name=…",
    )


def _output_twice(file: str, first: Definition, second: Definition) -> Problem:
    name = next(n for n in (second.name, *second.outputs) if n in (first.name, *first.outputs))
    return Problem(
        file,
        f"{second.source}: '{name}' is defined twice in {file}: as {_told(second, name)}, and at {first.source} as "
        f"{_told(first, name)}\n"
        f"  rename one of them",
    )


def _told(definition: Definition, name: str) -> str:
    what = f"{definition.kind} '{definition.name}'"
    return f"a {definition.kind}" if name == definition.name else f"an output of {what}"


def signature_problems(level: Level) -> list[Problem]:
    """What is wrong with the level's own definitions, each by itself."""
    return [
        Problem(level.file, f"{d.source}: {d.kind} '{d.name}' {fault}")
        for d in (*level.own.values(), *level.checks)
        if d.source.path == level.path
        for fault in faults(d)
    ]
