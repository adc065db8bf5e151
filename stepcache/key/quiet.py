"""Whether importing modules only binds names in themselves, so that it does not matter which of them are imported.

It is told from their sources, and from what their variables hold. More is taken for loud than is: of a project with a
loud module, all files are imported as soon as one of them is.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from stepcache import archive
from stepcache.key.introspect import is_a, is_defined
from stepcache.key.spaces import Space, Spaces
from stepcache.key.table import Binding, Chain, Unit, Uses

# Of built-in functions, those that change what they are given, or do what nothing tells.
_LOUD = {"setattr", "delattr", "exec", "eval", "globals", "vars", "locals", "__import__", "input", "__build_class__"}
# How the names of functions and methods begin that change something: more is taken for one than is.
_CHANGING = (
    "activate", "add", "append", "apply", "basicConfig", "chdir", "clear", "config", "connect", "del", "disable",
    "discard", "enable", "extend", "filterwarnings", "heap", "init", "insert", "insort", "install", "invalidate",
    "load_dotenv", "make", "mk", "patch", "pop", "push", "put", "register", "reload", "remove", "rename", "reverse",
    "rm", "run", "seed", "send", "set", "shuffle", "simplefilter", "sort", "start", "subscribe", "symlink", "umask",
    "unlink", "update", "use", "write",
)  # fmt: skip
# Words that say so wherever they stand in such a name: `manual_seed`.
_CHANGING_WORDS = {"disable", "enable", "install", "patch", "register", "seed", "set", "setup"}
# Of these, what is usually a module or a value.
_HARMLESS = {"config", "configuration", "setting", "settings"}
# What reads, or makes a value of what was read, and does nothing else.
_READING = {
    "load", "loads", "safe_load", "read", "open", "get", "getenv", "environ", "readlines", "splitlines",
    "split", "strip", "lower", "upper", "format", "items", "keys", "values", "Path", "PurePath", "exists",
    "is_file", "is_dir", "isfile", "isdir", "resolve", "absolute", "parent", "parents", "with_name",
    "with_suffix", "joinpath", "join", "dirname", "basename", "abspath", "realpath", "expanduser", "expandvars",
    "splitext", "glob", "rglob", "iglob", "listdir", "iterdir", "scandir", "walk", "cwd", "getcwd", "home",
    "date", "datetime", "timedelta", "timezone", "fromisoformat", "Decimal", "Fraction", "OrderedDict",
    "defaultdict", "Counter", "namedtuple", "NamedTuple", "TypedDict", "Enum", "IntEnum", "StrEnum", "auto",
    "dataclass", "field", "partial", "lru_cache", "cache", "wraps", "compile", "escape", "getLogger", "Any",
    "Optional", "Union", "Literal", "Callable", "Iterable", "Iterator", "Mapping", "Sequence", "Final",
    "ClassVar", "TypeVar", "TYPE_CHECKING", "Lock", "RLock", "array", "asarray", "zeros", "arange",
    "frombuffer", "DataFrame", "Series", "ABC", "abstractmethod", "files", "name", "platform", "version_info",
}  # fmt: skip
_OF_MODULE = {"__name__", "__file__", "__package__", "__path__"}
# Methods of classes by which one class may hear of others.
_HOOKS = {"__init_subclass__", "__subclasses__", "__set_name__", "__class_getitem__", "__prepare__", "mro"}
# Modules of Python's own whose functions do something to the process.
_PROCESS = {"signal", "atexit", "faulthandler", "tracemalloc", "gc", "locale", "resource", "ctypes"}
_ANNOTATED_CALL = re.compile(rb"(?::|->)\s*[A-Za-z_][\w.]*\s*[\(\[]")
# Of what stepcache offers, what does more than to define.
_OWN_LOUD = {"run", "load", "testing"}
_NOTHING = object()
# Values that stay as they are.
_FIXED = (str, bytes, int, float, complex, bool, type(None), os.PathLike, frozenset, range)


def loud(spaces: Spaces, modules: Iterable[str]) -> str:
    """What in the import of *modules* may do something to others or to the process; "" if nothing is seen."""
    names = list(modules)
    look = _Look(spaces)
    told = (*map(look.module, names), _circle(spaces, names), _borrowed(spaces, names))
    return next(filter(None, told), "")


def binds_only(spaces: Spaces, module: str) -> bool:
    """Does the import of a module only bind names in it? What is not known to do nothing else is taken to do more."""
    space = spaces.static(module)
    if space is None or loud(spaces, (module,)):
        return False
    table = space.table
    todo = [part.uses for unit in table.units if not _is_under_main(unit) for part in unit.at_import]
    seen: set[int] = set()
    while todo:
        uses = todo.pop()
        if uses.dynamic or uses.imports:
            return False
        for chain in (*uses.chains, *uses.effects):
            if any(name.startswith("__") and name not in _OF_MODULE for name in chain):
                return False
            for binding in table.bindings.get(chain[0], ()):
                top = table.units[binding.unit].top if binding.unit >= 0 else -1
                if binding.unit < 0 and not _is_reading(spaces, space, binding, chain):
                    return False
                if top >= 0 and top not in seen and table.units[top].kind != "statement":
                    seen.add(top)
                    todo += [part.uses for unit in table.units if unit.top == top for part in unit.parts]
    return True


def _is_reading(spaces: Spaces, space: Space, binding: Binding, chain: Chain) -> bool:
    """Is it the project's or stepcache's own, or does its name say that it only reads or makes something?"""
    if spaces.modules.kind(space.absolute(binding.module, binding.level)) in ("project", "stepcache"):
        return True
    names = (*((binding.attribute,) if binding.attribute is not None else ()), *chain[1:])
    return bool(names) and (names[-1] in _READING or names[-1].startswith("read_"))


def _is_under_main(unit: Unit) -> bool:
    """Does a statement stand under `if __name__ == "__main__"`?"""
    return unit.kind == "statement" and not unit.binds and ("__name__",) in unit.body.uses.chains


def _circle(spaces: Spaces, modules: Iterable[str]) -> str:
    """Modules that import one another: which of them is imported first makes a difference."""
    done: set[str] = set()
    for first in modules:
        path: dict[str, Iterator[str]] = {}
        todo = [first] if first not in done else []
        while todo:
            name = todo[-1]
            if name not in path:
                path[name] = iter([each for each in spaces.imports(name) if not f"{name}.".startswith(f"{each}.")])
            for each in path[name]:
                if each in path:
                    return f"{name}: it and {each} import one another"
                if each not in done:
                    todo.append(each)
                    break
            else:
                path.pop(name)
                done.add(todo.pop())
    return ""


def _borrowed(spaces: Spaces, modules: Iterable[str]) -> str:
    """A submodule that a module uses and that only others import: it is there when they were imported."""
    own = {name: _dotted(space) for name in modules if (space := spaces.static(name)) is not None}
    every = {each for found in own.values() for each in found}
    for name, found in own.items():
        space = spaces.static(name)
        assert space is not None
        for unit in space.table.units:
            for chain in {chain for part in unit.parts for chain in part.uses.chains}:
                for binding in space.table.bindings.get(chain[0], ()):
                    if binding.unit < 0:
                        full = space.absolute(binding.module, binding.level)
                        rest = chain[1:] if binding.attribute is None else (binding.attribute, *chain[1:])
                        for part in rest:
                            full = f"{full}.{part}"
                            if full in every and full not in found:
                                return f"{space.shown}: {full}, which it does not import itself"
    return ""


def _dotted(space: Space) -> set[str]:
    """The submodules that a module imports by name."""
    found: set[str] = set()
    for module, level, names in space.table.imports_anywhere():
        full = space.absolute(module, level)
        parts = full.split(".")
        found.update(".".join(parts[:end]) for end in range(2, len(parts) + 1))
        found.update(f"{full}.{name}" for name in names if f"{full}.{name}" in sys.modules)
    return found


class _Look:
    """The look at one project's modules; each definition is looked at once."""

    def __init__(self, spaces: Spaces) -> None:
        self._spaces = spaces
        self._seen: set[tuple[str, int]] = set()

    def module(self, name: str) -> str:
        space = self._spaces.static(name)
        if space is None or space.table.broken or not is_a(sys.modules.get(name), ModuleType):
            return f"{name}: it has no source that can be read"
        if "__getattr__" in space.table.bindings:
            return f"{space.shown}: __getattr__"
        if _annotations_call(space):
            return f"{space.shown}: a call in an annotation"
        told = (self._unit(space, unit) for unit in space.table.units)
        return next((f"{space.shown}: {each}" for each in told if each), "")

    def _unit(self, space: Space, unit: Unit) -> str:
        """What of a definition or statement that runs with the import is loud."""
        if "subclasses" in unit.body.uses.marks or any(n in _HOOKS for n in unit.body.uses.names):
            return "asks for subclasses"
        if unit.name.rpartition(".")[2] in _HOOKS:
            return unit.name
        value = self._value(space, unit.name)
        if unit.kind == "class" and is_a(value, type) and self._spaces.modules.is_project(type(value).__module__):
            return f"{unit.name} has a metaclass"
        if unit.kind == "statement":
            chains = unit.body.uses.chains
            if _is_under_main(unit):
                return ""
            if unit.has_effect:
                return f"line {unit.line}"
            if ("sys", "argv") in (chain[:2] for chain in chains):
                return "sys.argv"
        return next(filter(None, (self._uses(space, part.uses, unit.bases) for part in unit.at_import)), "")

    def _uses(self, space: Space, uses: Uses, bases: Collection[Chain] = ()) -> str:
        if uses.assigns or any(one.feature != "getattr" for one in uses.dynamic):
            return "names made at run time"
        for chain in (*uses.chains, *uses.effects):
            if chain not in bases and self._is_loud(space, chain):
                return ".".join(chain)
        return ""

    def _is_loud(self, space: Space, chain: Chain) -> bool:
        if _is_changing(chain[1:]):
            return True
        bindings = space.table.bindings.get(chain[0], ())
        if not bindings:
            return chain[0] in _LOUD or (bool(space.table.stars) and self._holds_much(space, chain))
        return any(
            self._definition(space, binding.unit, chain)
            if binding.unit >= 0
            else self._imported(space, space.absolute(binding.module, binding.level), binding.attribute, chain)
            for binding in bindings
        )

    def _definition(self, space: Space, index: int, chain: Chain) -> bool:
        unit = space.table.units[index]
        if unit.kind != "statement":
            return self._called(space, unit)
        value = self._value(space, chain[0])
        return len(chain) > 1 and self._spaces.modules.is_project(str(getattr(type(value), "__module__", "")))

    def _imported(self, space: Space, module: str, attribute: str | None, chain: Chain) -> bool:
        modules = self._spaces.modules
        rest = ((attribute,) if attribute is not None else ()) + chain[1:]
        while rest and modules.kind(f"{module}.{rest[0]}") == "project":
            module, rest = f"{module}.{rest[0]}", rest[1:]
        kind = modules.kind(module)
        if kind == "stepcache":
            return bool(rest) and rest[0] in _OWN_LOUD
        if kind != "project":
            return kind == "missing" or module.partition(".")[0] in _PROCESS or _is_changing(rest)
        there = self._spaces.static(module)
        if there is None or not rest:
            return True
        # All else might be changed by what it is given to, or keep something when it is called.
        value = self._value(there, rest[0])
        if is_a(value, (FunctionType, type)) and str(value.__module__).startswith("stepcache."):
            return value.__name__ in _OWN_LOUD
        return not (_is_fixed(value) or (is_defined(value) and len(rest) == 1))

    def _holds_much(self, space: Space, chain: Chain) -> bool:
        value = self._value(space, chain[0])
        return not (_is_fixed(value) or value is _NOTHING)

    @staticmethod
    def _value(space: Space, name: str) -> Any:
        return vars(sys.modules[space.name]).get(name, _NOTHING) if space.name in sys.modules else _NOTHING

    def _called(self, space: Space, unit: Unit) -> bool:
        """Is calling a function, or making an instance of a class, loud?"""
        top = unit.top
        if (space.name, top) in self._seen:
            return False
        self._seen.add((space.name, top))
        return any(self._body(space, each) for each in space.table.units if each.top == top)

    def _body(self, space: Space, unit: Unit) -> bool:
        return any(
            part.uses.assigns
            or any(c[0] in space.table.bindings for c in part.uses.effects)
            or self._uses(space, part.uses)
            for part in unit.parts
        )


def _annotations_call(space: Space) -> bool:
    """Is something called in an annotation that runs with the import?"""
    source = archive.content(space.path) if space.path is not None else b""
    if not _ANNOTATED_CALL.search(source) or b"from __future__ import annotations" in source:
        return False
    notes: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg)
            notes += [node.returns, *(each.annotation for each in every if each is not None)]
        elif isinstance(node, ast.AnnAssign):
            notes.append(node.annotation)
    return any(isinstance(each, ast.Call) for note in notes if note is not None for each in ast.walk(note))


def _is_changing(names: Iterable[str]) -> bool:
    return any(
        (name.startswith(_CHANGING) and name not in _HARMLESS) or not _CHANGING_WORDS.isdisjoint(name.split("_"))
        for name in names
    )


def _is_fixed(value: object) -> bool:
    if is_a(value, tuple):
        return all(map(_is_fixed, value))
    return is_a(value, _FIXED)
