"""What the variables of a module hold: the variables themselves and, as deep as containers, the project's instances,
classes and functions go, what is in them; and what of it has changed."""

from __future__ import annotations

import os
import sys
import threading
from array import array
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSet
from contextvars import ContextVar
from functools import _lru_cache_wrapper, partial
from itertools import chain, islice, repeat
from operator import is_
from types import (
    CellType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

from attrs import field

from stepcache.key.introspect import is_a, is_defined
from stepcache.key.usages import Label
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

    `look` says what it holds now. `label` is the name by which functions use it, where there is one. `of_object` is
    true of the dict in which an object has its attributes.
    """

    name: Name
    one: Any
    look: _Look
    held: tuple[Any, ...]
    label: Label | None = None
    of_object: bool = False

    @property
    def is_as_it_was(self) -> bool:
        now, held = self.look(self.one), self.held
        return now == held if self.look in _COUNTS else len(now) == len(held) and all(map(is_, now, held))

    @property
    def is_cache(self) -> bool:
        """Is it one that may be emptied at any time?"""
        return self.look in (_filled, _cached)

    @property
    def added(self) -> tuple[Any, ...]:
        """The keys that are new in a dict; none if anything else is other than it was."""
        if not (type(self.one) in _DICTS or self.fills_itself):
            return ()
        if self.look is _count:
            before = self.held[0]
        else:
            before = len(self.held) // 2
            now = chain(islice(self.one, before), islice(self.one.values(), before))
            if not all(map(is_, now, self.held)):
                return ()
        return tuple(islice(self.one, before, None))

    @property
    def fills_itself(self) -> bool:
        """Is it a dict that makes what is missing, by a method of its class?"""
        return is_a(self.one, dict) and type(self.one) not in _DICTS and hasattr(type(self.one), "__missing__")

    def take_out(self, keys: tuple[Any, ...]) -> None:
        """Take *keys* out of a dict, empty a cache."""
        if self.look is _filled:
            self.one.cache_clear()
        elif self.look is _cached:
            self.one.clear()
        for key in keys:
            dict.pop(self.one, key, None)

    @property
    def attributes(self) -> tuple[str, ...] | None:
        """The attributes of the object that are other than they were; None of anything else."""
        if not self.of_object:
            return None
        half = len(self.held) // 2
        before = dict(zip(self.held[:half], self.held[half:], strict=True))
        names = before.keys() | self.one.keys()
        return tuple(name for name in names if before.get(name, self) is not self.one.get(name, self))


@frozen(eq=False)
class Holdings:
    """What a module holds. `blanks` are the attributes of functions that have none, with the names of these."""

    name: str
    module: ModuleType | SimpleNamespace
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
        """The names of what holds something else now, each with what in it does, if it is not the variable itself."""
        now = vars(self.module)
        for name in filter(_is_own, now.keys() | self.variables.keys()):
            before, after = self.variables.get(name), now.get(name)
            if before is not after and not is_no_data(after):
                yield (self.name, name), None
        yield from ((name, None) for name, each in zip(self.blank, self.blanks, strict=True) if each)
        yield from ((each.name, each) for each in self.holders if not each.is_as_it_was)


def holdings_of(name: str, module: ModuleType | SimpleNamespace, is_project: Callable[[str], bool]) -> Holdings:
    """What the module of that name holds now. *is_project* tells project files."""
    return _Search(is_project).through(name, module)


@define(eq=False)
class _Search:
    """Goes through all that a module holds, each thing once."""

    is_project: Callable[[str], bool]
    holders: list[Holder] = field(factory=list)
    blanks: list[dict[str, Any]] = field(factory=list)
    blank: list[Name] = field(factory=list)
    _todo: list[tuple[Name, Any, Label | None]] = field(factory=list)

    def through(self, home: str, module: ModuleType | SimpleNamespace) -> Holdings:
        variables = dict(vars(module))
        has_names = isinstance(module, ModuleType)  # and no object of a resource, which each step calls as it likes
        self._todo += [
            ((home, name), value, Label(name, module=home) if has_names else None)
            for name, value in variables.items()
            if _is_own(name)
        ]
        seen: set[int] = set()
        while self._todo and len(seen) < _MOST_HOLDERS:
            name, one, label = self._todo.pop()
            if is_defined(one):
                one = one.definition.function
            if id(one) not in seen and self._may_hold(one):
                seen.add(id(one))
                if type(one) is FunctionType:
                    self._function(name, one)
                else:
                    self._thing(name, one, label)
        return Holdings(home, module, variables, tuple(self.holders), tuple(self.blanks), tuple(self.blank))

    def _may_hold(self, one: Any) -> bool:
        """Is it a container, or something of the project's that may hold what it likes?"""
        kind = type(one)
        if one is os.environ:
            return False  # what is set there is seen otherwise
        if kind in _LOOKS or _look_of_library(kind) is not None or is_a(one, (tuple, frozenset, *_HOLDING)):
            return True
        wrapped = (_attributes(one) or {}).get("__wrapped__")
        if kind is FunctionType or type(wrapped) is FunctionType:
            module = (wrapped if type(wrapped) is FunctionType else one).__globals__.get("__name__")
        else:
            module = vars(one if is_a(one, type) else kind).get("__module__")
        file = getattr(sys.modules.get(module), "__file__", None) if isinstance(module, str) else None
        return isinstance(file, str) and self.is_project(file)

    def _function(self, name: Name, one: FunctionType) -> None:
        code = one.__code__
        cells = dict(zip(code.co_freevars, one.__closure__ or (), strict=True))
        inside = [each for cell in cells.values() for each in _in_cell(cell)]
        known = [one.__dict__.get("__wrapped__"), one, *inside]
        if not any(type(each) is FunctionType and each.__code__.co_qualname == name[1] for each in known):
            name = one.__globals__["__name__"], code.co_qualname  # what a decorator or a maker has made
        if one.__dict__:
            self._attributes(name, one.__dict__)
        else:
            self.blanks.append(one.__dict__)
            self.blank.append(name)
        for variable, cell in cells.items():
            self._hold(name, cell, _in_cell, Label(variable))
            self._go_on(name, _in_cell(cell), [Label(variable)])
        defaults = one.__defaults__ or ()
        places = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        named = {**dict(zip(places, defaults, strict=False)), **(one.__kwdefaults__ or {})}
        self._go_on(name, named.values(), map(Label, named))

    def _thing(self, name: Name, one: Any, label: Label | None) -> None:
        inside = _deeper(label)
        if is_a(one, (tuple, frozenset)):
            fields = getattr(type(one), "_fields", ())
            self._go_on(name, tuple(one), chain((Label(each, is_attribute=True) for each in fields), repeat(inside)))
        elif is_a(one, ChainMap):
            self._go_on(name, one.maps, repeat(label))
        elif is_a(one, partial):
            places = one.func.__code__.co_varnames if type(one.func) is FunctionType else ()
            self._go_on(name, one.args, chain(map(Label, places), repeat(None)))
            self._go_on(name, one.keywords.values(), map(Label, one.keywords))
            self._go_on(name, [one.func], [None])
        elif type(one) in (MethodType, staticmethod, classmethod, property):
            parts = [getattr(one, part, None) for part in ("__self__", "__func__", "fget", "fset")]
            self._go_on(name, parts, repeat(None))
        elif is_a(one, type):
            self._hold(name, one, _members)
            self._go_on(name, vars(one).values(), [Label(each, is_attribute=True) for each in vars(one)])
        else:
            self._instance(name, one, label)

    def _instance(self, name: Name, one: Any, label: Label | None) -> None:
        of_library = _cached if _is_library_cache(one) else _look_of_library(type(one))
        if of_library is not None:
            self._hold(name, one, of_library, label)
            return
        kinds = type(one).__mro__
        attributes = _attributes(one)
        if attributes is not None:
            # The dicts of a mapping are the mapping itself, for who uses it.
            of_mapping = is_a(one, _MAPPINGS)
            self._attributes(name, attributes, label if of_mapping else None)
        if any(type(each) is MemberDescriptorType for kind in kinds for each in vars(kind).values()):
            self._hold(name, one, _slots)
            for each, value in _in_slots(one):
                if each in _PRIVATE and type(value) is dict:
                    self._attributes(name, value)
                else:
                    self._go_on(name, [value], [Label(each, is_attribute=True)])
        look = next((_LOOKS[kind] for kind in kinds if kind in _LOOKS), None)
        if look is not None:
            sized = _SIZED.intersection(kinds)
            self._hold(name, one, _count if sized and len(one) > _MOST_ITEMS else look, label)
            if sized and look not in _COUNTS and self.holders[-1].look is look:
                self._go_on(name, self.holders[-1].held, repeat(_deeper(label)))
            elif look in (_set_to, _variables_of):
                self._go_on(name, self.holders[-1].held, repeat(None))

    def _attributes(self, name: Name, attributes: dict[str, Any], label: Label | None = None) -> None:
        self._hold(name, attributes, _pairs, of_object=True)
        for each, value in list(attributes.items()):
            self._go_on(name, [value], [label or Label(each, is_attribute=True)])

    def _hold(self, name: Name, one: Any, look: _Look, label: Label | None = None, *, of_object: bool = False) -> None:
        self.holders.append(Holder(name, one, look, look(one), label, of_object))

    def _go_on(self, name: Name, held: Iterable[Any], labels: Iterable[Label | None]) -> None:
        for each, label in zip(held, labels, strict=False):
            if type(each) not in _NUMBERS and type(each) is not str:
                self._todo.append((name, each, label))


def is_no_data(value: Any) -> bool:
    """Is it nothing that could hold what was read: a module, a logger, a lock?"""
    logger = getattr(sys.modules.get("logging"), "Logger", None)  # there is none where nobody has imported it
    return is_a(value, (ModuleType, *_LOCKS)) or (logger is not None and is_a(value, logger))


def _deeper(label: Label | None) -> Label | None:
    return label and Label(label.name, label.is_attribute, label.depth + 1, label.module)


def _look_of_library(kind: type) -> _Look | None:
    """How to look at what a library changes in place. Its module is named here, to import none."""
    return _LIBRARY.get((kind.__module__.partition(".")[0], kind.__name__))


def _is_library_cache(one: Any) -> bool:
    """Is it a mapping of a library that holds no more than some number, as cachetools has them?"""
    kind = type(one)
    return is_a(one, _MAPPINGS) and hasattr(kind, "maxsize") and hasattr(kind, "clear")


def _is_own(variable: str) -> bool:
    """Is it the module's own, and not one that Python puts there?"""
    return not (variable.startswith("__") and variable.endswith("__"))


def _attributes(one: Any) -> dict[str, Any] | None:
    """What an instance has its attributes in, got without running code of its class."""
    look_up = threading.local.__getattribute__ if is_a(one, threading.local) else object.__getattribute__
    try:
        found = look_up(one, "__dict__")
    except AttributeError:
        return None
    return found if type(found) is dict else None


# --- looking at one thing


def _pairs(one: Any) -> tuple[Any, ...]:
    return (*one, *one.values())


def _members(one: Any) -> tuple[Any, ...]:
    return tuple(vars(one).values())


def _slots(one: Any) -> tuple[Any, ...]:
    return tuple(value for _, value in _in_slots(one))


def _in_slots(one: Any) -> Iterator[tuple[str, Any]]:
    for kind in type(one).__mro__:
        for name, member in vars(kind).items():
            if type(member) is MemberDescriptorType:
                try:
                    yield name, member.__get__(one)
                except AttributeError:
                    continue  # it is not set


def _in_cell(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _count(one: Any) -> tuple[int]:
    return (len(one),)


def _bytes(one: Any) -> tuple[object]:
    return (bytes(one),)


def _filled(one: Any) -> tuple[int, int]:
    return (one.cache_info().misses, one.cache_info().currsize)


def _cached(one: Any) -> tuple[Any, ...]:
    return tuple(one)


def _shape_and_bytes(one: Any) -> tuple[object, ...]:
    small = getattr(one, "nbytes", _MOST_ITEMS) < _MOST_ITEMS and hasattr(one, "tobytes")
    return (one.shape, one.tobytes() if small else b"")


def _rows_changed(one: Any) -> tuple[object, ...]:
    try:
        return (one.total_changes,)
    except Exception:  # noqa: BLE001 - it is closed, or another thread's
        return ()


def _variables_of(one: GeneratorType[Any, Any, Any]) -> tuple[Any, ...]:
    return tuple(one.gi_frame.f_locals.values()) if one.gi_frame is not None else ()


def _set_to(one: ContextVar[Any]) -> tuple[Any, ...]:
    return (one.get(None),)


# What looks like a number or bytes is compared by value, everything else by what it is.
_COUNTS = (_count, _bytes, _filled, _shape_and_bytes, _rows_changed)
_DICTS = (dict, defaultdict, OrderedDict, Counter)
_LOOKS: dict[Any, _Look] = {
    **dict.fromkeys((*_DICTS, MappingProxyType), _pairs),
    **dict.fromkeys((list, set, deque), tuple),
    **dict.fromkeys((bytearray, array), _bytes),
    _lru_cache_wrapper: _filled,
    ContextVar: _set_to,
    GeneratorType: _variables_of,
}
_LIBRARY: dict[tuple[str, str], _Look] = {
    ("numpy", "ndarray"): _shape_and_bytes,
    ("pandas", "DataFrame"): _shape_and_bytes,
    ("pandas", "Series"): _shape_and_bytes,
    ("concurrent", "Future"): lambda one: (one.done(),),
    ("sqlite3", "Connection"): _rows_changed,
}
_SIZED = {*_DICTS, MappingProxyType, list, set, deque, bytearray, array}
_MAPPINGS: tuple[type, ...] = (MutableMapping, MutableSet)
# The attributes in which pydantic has those of a model that are no fields.
_PRIVATE = ("__pydantic_private__", "__pydantic_extra__")
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
# What holds things in attributes, whoever's class it is.
_HOLDING: tuple[type, ...] = (
    SimpleNamespace, threading.local, partial, MethodType, staticmethod, classmethod, property, *_MAPPINGS,
)  # fmt: skip
