"""What the variables of a module hold: the variables themselves and, as deep as containers, the project's instances,
classes and functions go, what is in them; and what of it has changed."""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dis import get_instructions
from functools import _lru_cache_wrapper
from itertools import chain, islice
from operator import is_
from types import (
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MemberDescriptorType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

from attrs import field

from stepcache.key.introspect import is_a, is_defined
from stepcache.records import define, frozen

# Of a module, more than this is not looked into; of what has more items, only their number counts.
_MOST_HOLDERS = 2000
_MOST_ITEMS = 5000
_NUMBERS = (bool, int, float)

Name = tuple[str, str]
"""A module and a variable in it, or the qualified name of a function."""
_Look = Callable[[Any], tuple[Any, ...]]


@frozen(eq=False)
class Holder:
    """Something that can come to hold something else, with what it `held`; `name` leads to it.

    `look` says what it holds now. `memory` is whether it is a dict or a cache itself, and not what an object has its
    attributes in.
    """

    name: Name
    one: Any
    look: _Look
    held: tuple[Any, ...]
    memory: bool = False

    @property
    def is_as_it_was(self) -> bool:
        now, held = self.look(self.one), self.held
        return now == held if self.look in _COUNTS else len(now) == len(held) and all(map(is_, now, held))

    @property
    def added(self) -> tuple[Any, ...] | None:
        """The keys that are new in a dict, and none in a cache; None if anything else is other than it was."""
        if not self.memory:
            return None
        if self.look is _filled:
            return ()
        if self.look is _count:
            before = self.held[0]
        else:
            before = len(self.held) // 2
            now = chain(islice(self.one, before), islice(self.one.values(), before))
            if not all(map(is_, now, self.held)):
                return None
        return tuple(islice(self.one, before, None)) if len(self.one) > before else None


@frozen(eq=False)
class Holdings:
    """What a module holds. `blanks` are the attributes of functions that have none, with the names of these."""

    name: str
    module: ModuleType
    variables: Mapping[str, Any]
    holders: tuple[Holder, ...]
    blanks: tuple[dict[str, Any], ...]
    blank: tuple[Name, ...]

    @property
    def is_as_it_was(self) -> bool:
        now, before = vars(self.module), self.variables
        same = len(now) == len(before) and all(map(is_, now.values(), before.values())) and not any(self.blanks)
        return same and all(each.is_as_it_was for each in self.holders)

    def changed(self) -> Iterator[tuple[Name, Holder | None]]:
        """The names of what holds something else now, each with what in it does, if it is not the variable itself.

        A number that is only counted up says nothing.
        """
        now = vars(self.module)
        for name in filter(_is_own, now.keys() | self.variables.keys()):
            before, after = self.variables.get(name), now.get(name)
            counts = type(before) in _NUMBERS and type(after) in _NUMBERS
            if before is not after and not (counts and _is_counter(self.module, name)):
                yield (self.name, name), None
        yield from ((name, None) for name, each in zip(self.blank, self.blanks, strict=True) if each)
        yield from ((each.name, each) for each in self.holders if not each.is_as_it_was)


def holdings_of(name: str, module: ModuleType, is_project: Callable[[str], bool]) -> Holdings:
    """What the module of that name holds now. *is_project* tells project files."""
    return _Search(is_project).through(name, module)


@define(eq=False)
class _Search:
    """Goes through all that a module holds, each thing once."""

    is_project: Callable[[str], bool]
    holders: list[Holder] = field(factory=list)
    blanks: list[dict[str, Any]] = field(factory=list)
    blank: list[Name] = field(factory=list)
    _todo: list[tuple[Name, Any]] = field(factory=list)

    def through(self, home: str, module: ModuleType) -> Holdings:
        variables = dict(vars(module))
        self._todo += [((home, name), value) for name, value in variables.items() if _is_own(name)]
        seen: set[int] = set()
        while self._todo and len(seen) < _MOST_HOLDERS:
            name, one = self._todo.pop()
            if is_defined(one):
                one = one.definition.function
            if id(one) not in seen and self._may_hold(one):
                seen.add(id(one))
                if type(one) is FunctionType:
                    self._function(name, one)
                else:
                    self._thing(name, one)
        return Holdings(home, module, variables, tuple(self.holders), tuple(self.blanks), tuple(self.blank))

    def _may_hold(self, one: Any) -> bool:
        """Is it a container, or something of the project's that may hold what it likes?"""
        kind = type(one)
        if kind in _LOOKS or kind is tuple:
            return True
        if kind is FunctionType:
            module = one.__globals__.get("__name__")
        else:
            module = vars(one if is_a(one, type) else kind).get("__module__")
        file = getattr(sys.modules.get(module), "__file__", None) if isinstance(module, str) else None
        return isinstance(file, str) and self.is_project(file)

    def _function(self, name: Name, one: FunctionType) -> None:
        cells = one.__closure__ or ()
        inside = [each for cell in cells for each in _in_cell(cell)]
        if not any(type(each) is FunctionType and each.__code__.co_qualname == name[1] for each in (one, *inside)):
            name = one.__globals__["__name__"], one.__code__.co_qualname  # what a decorator or a maker has made
        if one.__dict__:
            self._hold(name, one.__dict__, _pairs)
        else:
            self.blanks.append(one.__dict__)
            self.blank.append(name)
        for cell in cells:
            self._hold(name, cell, _in_cell)
        self._go_on(name, one.__defaults__ or ())
        self._go_on(name, tuple((one.__kwdefaults__ or {}).values()))

    def _thing(self, name: Name, one: Any) -> None:
        if type(one) is tuple:
            self._go_on(name, one)
        elif is_a(one, type):
            self._hold(name, one, _members)
        else:
            attributes = _attributes(one)
            if attributes is not None:
                self._hold(name, attributes, _pairs)
            if any(type(each) is MemberDescriptorType for kind in type(one).__mro__ for each in vars(kind).values()):
                self._hold(name, one, _slots)
            for kind in type(one).__mro__:
                if kind in _LOOKS:
                    look = _count if kind in _SIZED and len(one) > _MOST_ITEMS else _LOOKS[kind]
                    self._hold(name, one, look, memory=type(one) in _MEMORIES)

    def _hold(self, name: Name, one: Any, look: _Look, *, memory: bool = False) -> None:
        held = look(one)
        self.holders.append(Holder(name, one, look, held, memory))
        if look not in _COUNTS:
            self._go_on(name, held)

    def _go_on(self, name: Name, held: tuple[Any, ...]) -> None:
        self._todo += [(name, each) for each in held if type(each) not in _NUMBERS and type(each) is not str]


def _is_own(variable: str) -> bool:
    """Is it the module's own, and not one that Python puts there?"""
    return not (variable.startswith("__") and variable.endswith("__"))


def _attributes(one: Any) -> dict[str, Any] | None:
    """What an instance has its attributes in, got without running code of its class."""
    try:
        found = object.__getattribute__(one, "__dict__")
    except AttributeError:
        return None
    return found if type(found) is dict else None


# --- looking at one thing


def _pairs(one: Any) -> tuple[Any, ...]:
    return (*one, *one.values())


def _members(one: Any) -> tuple[Any, ...]:
    return tuple(vars(one).values())


def _slots(one: Any) -> tuple[Any, ...]:
    found = []
    for kind in type(one).__mro__:
        for member in vars(kind).values():
            if type(member) is MemberDescriptorType:
                try:
                    found.append(member.__get__(one))
                except AttributeError:
                    continue  # it is not set
    return tuple(found)


def _in_cell(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _count(one: Any) -> tuple[int]:
    return (len(one),)


def _bytes(one: bytearray) -> tuple[object]:
    return (bytes(one),)


def _filled(one: Any) -> tuple[int, int]:
    return (one.cache_info().misses, one.cache_info().currsize)


# What looks like a number or bytes is compared by value, everything else by what it is.
_COUNTS = (_count, _bytes, _filled)
_MEMORIES = (dict, defaultdict, OrderedDict, _lru_cache_wrapper)
_LOOKS: dict[Any, _Look] = {
    **dict.fromkeys((dict, defaultdict, OrderedDict, MappingProxyType), _pairs),
    **dict.fromkeys((list, set, deque), tuple),
    bytearray: _bytes,
    SimpleNamespace: lambda one: (),  # it has attributes
    _lru_cache_wrapper: _filled,
}
_SIZED = (dict, defaultdict, OrderedDict, MappingProxyType, list, set, deque, bytearray)


# --- counters


def _is_counter(module: ModuleType, name: str) -> bool:
    """Do the functions of a module only add constants to a variable?"""
    every = [one.definition.function if is_defined(one) else one for one in list(vars(module).values())]
    todo = [one.__code__ for one in every if type(one) is FunctionType]
    while todo:
        code = todo.pop()
        steps = [each for each in get_instructions(code) if each.opname != "EXTENDED_ARG"]
        for at, each in enumerate(steps):
            if each.opname == "STORE_GLOBAL" and each.argval == name:
                first, second, last = steps[at - 3 : at]
                is_constant = second.opname in ("LOAD_CONST", "LOAD_SMALL_INT")
                if last.opname != "BINARY_OP" or first.argval != name or not is_constant:
                    return False
        todo += [const for const in code.co_consts if isinstance(const, CodeType)]
    return True
