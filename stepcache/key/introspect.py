"""Looking at live functions and classes without running anything of theirs."""

from __future__ import annotations

import os
from _abc import _get_dump  # type: ignore[import-not-found]
from collections.abc import Iterator
from opcode import opmap
from types import CellType, CodeType, FunctionType
from typing import Any, TypeGuard, TypeVar, overload

from stepcache.api import Defined
from stepcache.digest import digest
from stepcache.key.nodes import constant_text
from stepcache.key.spaces import Space
from stepcache.key.table import Part, Unit

T = TypeVar("T")

# What an unset cell holds.
EMPTY = object()


@overload
def is_a(value: object, kinds: type[T]) -> TypeGuard[T]: ...
@overload
def is_a(value: object, kinds: tuple[type, ...]) -> bool: ...
def is_a(value: object, kinds: Any) -> bool:
    """`isinstance` by the true type: proxies raise what they like when asked for their `__class__`."""
    return issubclass(type(value), kinds)


def inside(cell: CellType | None) -> Any:
    """What a cell holds."""
    try:
        return cell.cell_contents if cell is not None else EMPTY
    except ValueError:
        return EMPTY


def is_defined(value: object) -> bool:
    """Is it what a decorator of stepcache's made of a function?"""
    return is_a(value, Defined)


def unit_of(space: Space, code: CodeType) -> Unit | None:
    """The definition that a code object was made from; None where it cannot be told from others."""
    units = [space.table.units[i] for i in space.table.named(code.co_qualname)]
    units = [unit for unit in units if unit.line == code.co_firstlineno and unit.kind != "class"]
    if len(units) < 2:
        return units[0] if units else None
    # Several lambdas on one line: the one that the code's own positions lie in. There are none where Python was told to
    # keep none (PYTHONNODEBUGRANGES), and in Python 3.12 for a lambda that gives a constant.
    places = [
        (line, column)
        for line, end_line, column, end_column in code.co_positions()
        if line is not None and column is not None and (line, end_line, end_column) != (code.co_firstlineno, line, 0)
    ]
    if not places:
        return _of_constant(units, code)
    inside = [unit for unit in units if unit.body_at[:2] <= min(places) <= unit.body_at[2:]]
    return max(inside, key=lambda unit: unit.body_at[:2], default=None)


def _of_constant(units: list[Unit], code: CodeType) -> Unit | None:
    """Of several lambdas, the one that gives the constant that *code* gives, if it gives one."""
    if len(code.co_code) != 4 or code.co_code[2] != opmap.get("RETURN_CONST"):
        return None
    body = digest("syntax", constant_text(code.co_consts[code.co_code[3]]))
    names = sorted(code.co_varnames)
    found = [unit for unit in units if unit.body.digest == body and sorted(unit.parameters) == names]
    return found[0] if len(found) == 1 else None


def home_of(cls: type) -> str:
    """The name of the module that a class says it is of; where it says none, the one in which its methods are."""
    named = getattr(cls, "__module__", None)
    if isinstance(named, str):
        return named
    found = (function.__globals__.get("__name__") for _, function in functions_in(cls))
    return next((name for name in found if isinstance(name, str)), "builtins")


def functions_in(cls: type) -> Iterator[tuple[str, FunctionType]]:
    """The functions that a class holds, out of their wrappings, by name."""
    for name, value in sorted(cls.__dict__.items(), key=lambda item: item[0]):
        for function in _unwrapped(value):
            yield name, function


def _unwrapped(value: Any) -> Iterator[FunctionType]:
    if is_a(value, FunctionType):
        yield value
    elif is_a(value, property):
        yield from (f for f in (value.fget, value.fset, value.fdel) if isinstance(f, FunctionType))
    elif is_method(value):
        inner = getattr(value, "__func__", None) or getattr(value, "func", None) or getattr(value, "__wrapped__", None)
        if is_a(inner, FunctionType):
            yield inner


def is_method(value: object) -> bool:
    """Is it something whose code stands in the class's body: a method, however wrapped, or a slot?"""
    kind = type(value)
    return kind in (FunctionType, staticmethod, classmethod, property) or (
        kind.__name__ in ("cached_property", "singledispatchmethod", "_lru_cache_wrapper", "partialmethod")
        or kind.__name__ in ("member_descriptor", "getset_descriptor", "wrapper_descriptor", "method_descriptor")
        or kind.__name__ == "_tuplegetter"
    )


def stands_in(code: CodeType, space: Space, unit: Unit | None) -> bool:
    """Was the function written in the class's own body?"""
    return unit is not None and os.path.abspath(code.co_filename) == space.path and (
        unit.line <= code.co_firstlineno <= unit.end
    )  # fmt: skip


def cells_of(cls: type) -> dict[str, CellType]:
    """What the methods of a class made inside a function close over."""
    found: dict[str, CellType] = {}
    for _, function in functions_in(cls):
        found.update(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    return found


def registered(cls: Any) -> frozenset[type]:
    """The classes that were registered with an abstract one."""
    registry: set[Any] = _get_dump(cls)[0]
    return frozenset(one for one in (reference() for reference in registry) if one is not None)


def methods_ask_for_subclasses(space: Space, unit: Unit) -> bool:
    methods = (space.table.units[index] for _, index in unit.methods)
    return any("subclasses" in part.uses.marks for method in methods for part in method.parts)


def is_computed(defaults: Part) -> bool:
    """Do defaults use names, so that their syntax alone does not tell their values?"""
    uses = defaults.uses
    return bool(uses.chains or uses.free or uses.imports or uses.dynamic)
