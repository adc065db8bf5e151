"""Digests of values that settings and module variables hold: by structure and exact type, the same in every process.

Code inside a value (functions, classes) is handed out as references, for whoever follows code. What has no value
of its own that could be told (locks, sentinels, connections, iterators) is opaque.
"""

from __future__ import annotations

import copyreg
import functools
import os
import re
import struct
import sys
import types
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from operator import itemgetter
from pathlib import PurePath
from typing import Any

from attrs import field

from stepcache.digest import digest, digest_all
from stepcache.key.bytecode import bytecode_digest
from stepcache.records import define, frozen

# Instances of types from these modules stand for something outside the process, or for its state.
_OPAQUE_MODULES = {
    "_thread", "threading", "logging", "weakref", "_weakref", "_weakrefset", "itertools", "_contextvars", "contextvars",
    "sqlite3", "socket", "_socket", "ssl", "asyncio", "_asyncio", "multiprocessing", "concurrent", "subprocess",
    "_io", "io", "tempfile", "queue", "_queue", "select", "selectors", "mmap", "contextlib", "_abc",
    "importlib", "_frozen_importlib", "_frozen_importlib_external", "zipimport", "pkgutil",
}  # fmt: skip
# What types that have a name of their own (`NewType`, `TypeVar`, `type X = …`) stand for.
_NAMED_TYPES = ("__supertype__", "__bound__", "__constraints__", "__default__", "__value__")
_PLAIN_KINDS = (dict, list, tuple, set, frozenset)
_CHANGEABLE = (list, dict, set, bytearray)
_MOST_PARTS = 300_000
_MOST_STRINGS = 5_000


class Undigestible(Exception):
    """A value, or something in it, has no digest."""

    def __init__(self, type_name: str) -> None:
        super().__init__(type_name)
        self.type_name = type_name

    def __str__(self) -> str:
        return f"{self.type_name} has no value that a digest could be made of"


@frozen
class Digested:
    """The digest of a value. `references` is the code in it, numbered in the digest in this order.

    `strings` are the texts in it, `modules` those of the installed classes and functions in it; `opaque` is the
    type of something in it that has no digest. `plain` says that there is nothing in it but numbers, texts, paths, and
    lists, tuples, dicts and sets of them.
    """

    digest: str
    references: tuple[object, ...] = ()
    strings: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    opaque: str | None = None
    plain: bool = True


def value_digest(value: object, *, root: str | None = None, code: Callable[[object], str] | None = None) -> str:
    """The digest of a setting's value: the order of a dict's keys does not count.

    *code* gives the digest of a function or class of the project; without it they count by name. Paths below
    *root* count relative to it. Raises `Undigestible`.
    """
    writer = ValueWriter(root=root, is_code=(lambda _: code is not None), ordered=False)
    found = writer.digested(value)
    if found.opaque is not None:
        raise Undigestible(found.opaque)
    if code is None:
        return found.digest
    return digest("value with code", found.digest, *(code(one) for one in found.references))


@define(eq=False)
class ValueWriter:
    """Writes one value. `is_code` says which functions, classes and modules are handed out as references."""

    is_code: Callable[[object], bool]
    root: str | None = None
    ordered: bool = True
    named: Callable[[Any], str] | None = None
    """By what references count instead: for putting sets into an order."""
    references: list[object] = field(factory=list)
    _numbers: dict[int, int] = field(factory=dict)
    _strings: dict[str, None] = field(factory=dict)
    _modules: dict[str, None] = field(factory=dict)
    _opaque: str | None = None
    _plain: bool = True
    _done: dict[int, str] = field(factory=dict)
    _shared: dict[int, int] = field(factory=dict)
    """The numbers of what can be changed: where one of them stands again, a change to it shows there."""
    _active: dict[int, int] = field(factory=dict)
    _kept: list[object] = field(factory=list)
    _cycles: int = 0
    _parts: int = 0

    def digested(self, value: object) -> Digested:
        """The digest of *value*, with what was met in it."""
        try:
            text = self.write(value)
        except RecursionError:
            text = self.opaque(value)
        return Digested(
            digest("value", text),
            tuple(self.references),
            tuple(sorted(self._strings)),
            tuple(sorted(self._modules)),
            self._opaque,
            self._plain,
        )

    def opaque(self, value: object) -> str:
        """Something without a digest: its type counts."""
        self._opaque, self._plain = self._opaque or type_name(type(value)), False
        return "opaque:" + type_name(type(value))

    # --- the walk

    def write(self, value: object) -> str:
        """A text that stands for the value: a digest, where it is long."""
        kind = type(value)
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            return scalar(value)
        if kind is str:
            return self._text("str", str(value))
        identity = id(value)
        known = self._done.get(identity)
        if known is not None:
            return f"again:{self._shared[identity]}" if identity in self._shared else known
        if identity in self._active:
            self._cycles += 1
            return f"cycle:{len(self._active) - self._active[identity]}"
        self._parts += 1
        if self._parts > _MOST_PARTS:
            return self.opaque(value)
        self._plain = self._plain and (kind in _PLAIN_KINDS or issubclass(kind, PurePath))
        self._active[identity] = len(self._active)
        cycles = self._cycles
        try:
            text = self._compound(value, kind)
        finally:
            del self._active[identity]
        if cycles == self._cycles:
            self._done[identity] = text
            self._kept.append(value)
            if kind in _CHANGEABLE:
                self._shared[identity] = len(self._shared)
        return text

    def _text(self, tag: str, text: str) -> str:
        if len(self._strings) < _MOST_STRINGS and 0 < len(text) <= 400:
            self._strings[text] = None
        if self.root and self.root in text:
            text = re.sub(re.escape(self.root) + r"(?=/|$)", "\0root", text)
        return f"{tag}:{text}" if len(text) < 100 else digest(tag, text)

    def _compound(self, value: Any, kind: type) -> str:
        if value is sys.modules or kind.__name__ == "_Environ" or issubclass(kind, type(os.environ)):
            # The process's own: look-ups in it are observed when they are made.
            return "process"
        if kind is dict:
            return self._mapping("dict", value.items(), ordered=self.ordered)
        if kind in (list, tuple):
            return self._sequence(kind.__name__, value)
        if kind in (set, frozenset):
            return self._set(kind.__name__, value)
        if issubclass(kind, PurePath):
            return digest("path", self._class(kind), self._text("str", str(value)), str(getattr(value, "pattern", "")))
        if issubclass(kind, (type, types.ModuleType, types.FunctionType)) or kind.__module__.startswith("stepcache."):
            return self._code(value)
        special = _SPECIAL.get(kind)
        if special is not None:
            return special(self, value)
        if str(kind.__module__) in ("typing", "types") and hasattr(value, "__args__"):
            told = (getattr(value, "__origin__", kind), *value.__args__, *getattr(value, "__metadata__", ()))
            return self._sequence("generic", told)
        if kind.__module__ == "typing":
            return self._typing(value)
        return self._instance(value, kind)

    def _typing(self, value: object) -> str:
        """A special form, or a type that was given a name: by that name and what it stands for."""
        try:
            held = [getattr(value, name, None) for name in _NAMED_TYPES]
        except Exception:  # noqa: BLE001 - Python evaluates some of them only now
            return self.opaque(value)
        return digest("typing", repr(value), *map(self.write, held))

    def _sequence(self, tag: str, items: Iterable[object]) -> str:
        return digest_all(tag, [self.write(item) for item in items])

    def _mapping(self, tag: str, items: Iterable[tuple[object, object]], *, ordered: bool) -> str:
        rows = list(items)
        if not ordered:
            rows = self._in_order(rows, lambda row: row[0])
        return digest_all(tag, [self.write(part) for row in rows for part in row])

    def _set(self, tag: str, items: Iterable[object]) -> str:
        return digest_all(tag, [self.write(item) for item in self._in_order(items, lambda item: item)])

    def _in_order(self, items: Iterable[Any], part: Callable[[Any], object]) -> list[Any]:
        """The items by that part of them: by names and what code does, and only where these are the same by places."""
        rows = [(self._sort_key(part(item), _meaning), item) for item in items]
        if len({key for key, _ in rows}) < len(rows):
            rows = [(key + self._sort_key(part(item), _place), item) for key, item in rows]
        return [item for _, item in sorted(rows, key=itemgetter(0))]

    def _sort_key(self, item: object, named: Callable[[Any], str]) -> str:
        if type(item) in _SCALARS or type(item) is str:
            return self.write(item)
        return ValueWriter(self.is_code, self.root, ordered=False, named=named).digested(item).digest

    # --- code in values

    def _code(self, value: Any) -> str:
        if isinstance(value, types.FunctionType) and hasattr(value, "registry") and hasattr(value, "dispatch"):
            return self._mapping("singledispatch", value.registry.items(), ordered=False)
        if self.is_code(value):
            if self.named is not None:
                return "code:" + self.named(value)
            number = self._numbers.get(id(value))
            if number is None:
                number = self._numbers[id(value)] = len(self.references)
                self.references.append(value)
            return f"code:{number}"
        if isinstance(value, types.ModuleType):
            self._modules[value.__name__] = None
            return "module:" + value.__name__
        if not callable(value):
            return "named:" + type_name(type(value))
        if isinstance(value, types.FunctionType) and (value.__closure__ or hasattr(value, "__wrapped__")):
            return self._foreign_closure(value)
        self._modules[getattr(value, "__module__", None) or "builtins"] = None
        return "named:" + type_name(value)

    def _foreign_closure(self, value: types.FunctionType) -> str:
        """A function that installed code or the standard library has made: by its name and what it holds."""
        self._modules[value.__globals__.get("__name__", "builtins")] = None
        held = [self.write(value.__wrapped__)] if hasattr(value, "__wrapped__") else []
        for cell in value.__closure__ or ():
            try:
                held.append(self.write(cell.cell_contents))
            except ValueError:
                held.append("empty")
        return digest("closure", value.__globals__.get("__name__", ""), value.__code__.co_qualname, *held)

    def _class(self, kind: type) -> str:
        return self._code(kind)

    # --- instances

    def _instance(self, value: Any, kind: type) -> str:
        if kind is object or kind.__module__.partition(".")[0] in _OPAQUE_MODULES:
            return self.opaque(value)
        numpy = sys.modules.get("numpy")
        if numpy is not None and kind in (getattr(numpy, "ndarray", None), getattr(numpy, "memmap", None)):
            return self._array(value)
        enum = sys.modules.get("enum")
        if enum is not None and issubclass(kind, enum.Enum):
            return digest("enum", self._class(kind), str(value.name), self.write(value._value_))
        try:
            reduced = _reduced(value, kind)
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - an object may raise anything when asked how to copy it
            return self.opaque(value)
        self._kept.append(reduced)
        if isinstance(reduced, str):
            if not reduced.replace(".", "").isidentifier():
                return self.opaque(value)  # it can be copied nowhere: no global has such a name
            self._modules[kind.__module__] = None
            return digest("global", self._class(kind), reduced, self._state(object.__getstate__(value)))
        parts = self._copied(*reduced)
        if self.is_code(kind) and _says_itself(kind):
            # It is there as it is: what it leaves out when it is copied counts as well.
            parts.append(self._state(object.__getstate__(value)))
        return digest("object", self._class(kind), *parts)

    def _copied(self, made: Any, arguments: Any, state: object, items: Any, pairs: Any) -> list[str]:
        """What a copy of an object is made of."""
        if made in (copyreg.__newobj__, copyreg.__newobj_ex__, copyreg._reconstructor):  # type: ignore[attr-defined]
            parts = ["instance", *map(self.write, arguments)]
        else:
            parts = ["made", self.write(made), *map(self.write, arguments)]
        parts.append(self._state(state))
        if items is not None:
            parts.append(self._sequence("items", items))
        if pairs is not None:
            parts.append(self._mapping("pairs", pairs, ordered=self.ordered))
        return parts

    def _state(self, state: object) -> str:
        """The state that a reduction gives; the order of attributes does not count."""
        if type(state) is dict:
            return self._mapping("attributes", state.items(), ordered=False)
        if type(state) is tuple and len(state) == 2 and all(part is None or type(part) is dict for part in state):
            return digest("slots", *(self._state(part) for part in state))
        return self.write(state)

    def _array(self, value: Any) -> str:
        if value.dtype.hasobject:
            return digest("array", str(value.dtype), repr(value.shape), self.write(value.tolist()))
        import numpy

        try:
            told = value.dtype.descr
        except ValueError:  # its fields overlap
            told = str(value.dtype)
        return digest("array", repr(told), repr(value.shape), numpy.ascontiguousarray(value).tobytes())


def _reduced(value: Any, kind: type) -> Any:
    """How an object says that it is copied: by the name of a global, or by five things, iterators made lists."""
    registered = copyreg.dispatch_table.get(kind)
    reduced = registered(value) if registered is not None else value.__reduce_ex__(4)
    if isinstance(reduced, str):
        return reduced
    made, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    return made, arguments, state, None if items is None else list(items), None if pairs is None else list(pairs)


def _says_itself(kind: type) -> bool:
    """Do the instances of a class not just copy what they hold?"""
    names = ("__reduce_ex__", "__reduce__", "__getstate__")
    return kind in copyreg.dispatch_table or any(getattr(kind, name) is not getattr(object, name) for name in names)


def _meaning(value: Any) -> str:
    """A piece of code by its name and what it does."""
    code = getattr(value, "__code__", None)
    does = bytecode_digest(code) if isinstance(code, types.CodeType) else ""
    return f"{getattr(value, '__qualname__', value)}:{does}"


def _place(value: Any) -> str:
    """Where a piece of code stands."""
    line = getattr(getattr(value, "__code__", None), "co_firstlineno", 0)
    return f"{getattr(value, '__module__', '')}:{line}"


def type_name(kind: Any) -> str:
    """The dotted name of a class or function, without the private modules that differ from Python to Python."""
    module = getattr(kind, "__module__", None) or "builtins"
    parts = module.split(".")
    public = [parts[0], *(part for part in parts[1:] if not part.startswith("_"))]
    return ".".join(public) + ":" + str(getattr(kind, "__qualname__", None) or getattr(kind, "__name__", None) or kind)


def _bound(writer: ValueWriter, value: Any) -> str:
    function = value.__func__
    return digest("method", writer.write(value.__self__), function.__name__, writer.write(function))


def _builtin(writer: ValueWriter, value: Any) -> str:
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        return writer._code(value)
    return digest("bound builtin", writer.write(owner), value.__name__)


def _descriptor(writer: ValueWriter, value: Any) -> str:
    return digest("descriptor", writer.write(value.__objclass__), value.__name__)


def _partial(writer: ValueWriter, value: Any) -> str:
    return digest("partial", writer.write(value.func), writer.write(value.args), writer.write(value.keywords))


def _cached(writer: ValueWriter, value: Any) -> str:
    return digest("lru_cache", writer.write(value.__wrapped__), repr(sorted(value.cache_parameters().items())))


def _wrapping(writer: ValueWriter, value: Any) -> str:
    return digest(type(value).__name__, writer.write(value.__func__))


def _property(writer: ValueWriter, value: Any) -> str:
    return digest("property", writer.write(value.fget), writer.write(value.fset), writer.write(value.fdel))


def _proxy(writer: ValueWriter, value: Any) -> str:
    return writer._mapping("mappingproxy", value.items(), ordered=writer.ordered)


def _context_variable(writer: ValueWriter, value: ContextVar[Any]) -> str:
    try:
        return digest("context variable", value.name, writer.write(value.get()))
    except LookupError:
        return digest("context variable", value.name)


def _pattern(writer: ValueWriter, value: Any) -> str:
    return digest("pattern", writer.write(value.pattern), str(value.flags))


_SCALARS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "None",
    bool: lambda value: f"bool:{value}",
    int: lambda value: f"int:{value:#x}",
    float: lambda value: "float:" + struct.pack("<d", value).hex(),
    complex: lambda value: "complex:" + struct.pack("<dd", value.real, value.imag).hex(),
    bytes: lambda value: digest("bytes", value),
    type(Ellipsis): lambda _: "Ellipsis",
    type(NotImplemented): lambda _: "NotImplemented",
}
_SPECIAL: dict[type, Callable[[ValueWriter, Any], str]] = {
    types.MethodType: _bound,
    types.BuiltinFunctionType: _builtin,
    types.MethodDescriptorType: _descriptor,
    types.WrapperDescriptorType: _descriptor,
    types.ClassMethodDescriptorType: _descriptor,
    types.GetSetDescriptorType: _descriptor,
    types.MemberDescriptorType: _descriptor,
    types.MethodWrapperType: lambda writer, value: digest("slot", writer.write(value.__self__), value.__name__),
    types.MappingProxyType: _proxy,
    functools.partial: _partial,
    functools._lru_cache_wrapper: _cached,
    staticmethod: _wrapping,
    classmethod: _wrapping,
    property: _property,
    re.Pattern: _pattern,
    ContextVar: _context_variable,
    memoryview: lambda _, value: digest("memoryview", value.tobytes()),
}
