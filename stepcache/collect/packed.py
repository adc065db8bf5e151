"""Definitions as plain data, to be kept from run to run, and back again without importing the file they stand in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stepcache.api import Dir, File
from stepcache.model import (
    ABSENT,
    Asleep,
    Definition,
    Mark,
    Parameter,
    Parametrize,
    ParamSet,
    Retries,
    Source,
)
from stepcache.signature import source_of

# Of what `marshal` writes and reads: nothing that runs code when it is read.
Row = tuple[Any, ...]

_SCALARS = {type(None), bool, int, float, complex, str, bytes}
_PATH = type(Path())


class NotPlain(Exception):
    """A definition holds an object that cannot be had without importing something."""


def pack(definition: Definition) -> Row:
    """The definition without its function and what its annotations mean. Raises NotPlain."""
    d, source = definition, definition.source
    if not isinstance(d.function, Asleep) and source_of(d.function).path != source.path:
        raise NotPlain(f"{source}: its function stands elsewhere")
    return (
        d.kind, d.name, (source.file, source.path, source.line), d.module,
        tuple((p.name, _packed(p.default), p.takes_all, p.takes_each) for p in d.parameters),
        d.asynchronous,
        tuple((each.names, tuple(map(_choice, each.choices))) for each in d.parametrize),
        tuple(map(_mark, d.marks)), _packed(dict(d.takes)), d.enable_cache, d.version, d.expires, d.reads, d.ignore,
        (d.retries.times, d.retries.delay, d.retries.on), d.timeout, d.codec, d.save_to, d.outputs,
        _packed(dict(d.slots)), d.builds, _packed(dict(d.params)), d.scope, d.warn, d.doc,
    )  # fmt: skip


def unpack(row: Row, wake: Callable[[], None]) -> Definition:
    """The definition that `pack` made the row of, asleep."""
    (
        kind, name, (file, path, line), module, parameters, asynchronous, parametrize, marks, takes, enable_cache,
        version, expires, reads, ignore, retries, timeout, codec, save_to, outputs, slots, builds, params, scope, warn,
        doc,
    ) = row  # fmt: skip
    # The names of files are those of many definitions.
    file, path, module = map(sys.intern, (file, path, module))
    return Definition(
        kind, name, Asleep(wake), Source(file, path, line), module,
        tuple(Parameter(each, _unpacked(default), every, None, one) for each, default, every, one in parameters),
        asynchronous,
        tuple(Parametrize(names, tuple(map(_unpacked_choice, choices))) for names, choices in parametrize),
        tuple(map(_unpacked_mark, marks)), _unpacked(takes), enable_cache, version, expires, reads, ignore,
        Retries(*retries), timeout, codec, save_to, outputs, _unpacked(slots), builds, _unpacked(params), scope, warn,
        doc,
    )  # fmt: skip


def _mark(mark: Mark) -> Row:
    return (mark.name, _packed(mark.args), _packed(dict(mark.kwargs)))


def _unpacked_mark(row: Row) -> Mark:
    name, args, kwargs = row
    return Mark(name, _unpacked(args), _unpacked(kwargs))


def _choice(choice: ParamSet) -> Row:
    return (tuple((name, _packed(value)) for name, value in choice.values), choice.id, tuple(map(_mark, choice.marks)))


def _unpacked_choice(row: Row) -> ParamSet:
    values, name, marks = row
    return ParamSet(tuple((each, _unpacked(value)) for each, value in values), name, tuple(map(_unpacked_mark, marks)))


def _packed(value: object) -> Any:
    """A value: scalars as they are, all else as a tuple that begins with what it is."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is tuple or kind is list:
        return (kind.__name__, *map(_packed, value))  # type: ignore[call-overload]
    if kind is dict:
        return ("dict", *((_packed(key), _packed(each)) for key, each in value.items()))  # type: ignore[attr-defined]
    if kind is _PATH:
        return ("path", str(value))
    if kind is File:
        return ("file", str(value))
    if isinstance(value, Dir) and kind is Dir:
        return ("dir", str(value), value.pattern)
    if value is ABSENT:
        return ("absent",)
    raise NotPlain(f"an object of type {kind.__qualname__}")


def is_plain(value: object) -> bool:
    """Is a value one that `pack` takes? Then there is no code in it."""
    try:
        _packed(value)
    except NotPlain:
        return False
    return True


def _unpacked(packed: Any) -> Any:
    if type(packed) is not tuple:
        return packed
    kind, *parts = packed
    return _KINDS[kind](parts)


_KINDS: Mapping[str, Callable[[list[Any]], Any]] = {
    "tuple": lambda parts: tuple(map(_unpacked, parts)),
    "list": lambda parts: [*map(_unpacked, parts)],
    "dict": lambda parts: {_unpacked(key): _unpacked(each) for key, each in parts},
    "path": lambda parts: Path(parts[0]),
    "file": lambda parts: File(parts[0]),
    "dir": lambda parts: Dir(parts[0], glob=parts[1]),
    "absent": lambda _: ABSENT,
}
