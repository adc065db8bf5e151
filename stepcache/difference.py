"""Where two values differ first, in words: pure, and of the values alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import zip_longest
from pathlib import Path
from typing import Any

from stepcache.store import Stream

_LONGEST = 60
_NOTHING = object()

Walk = Callable[[Any, Any, str], Iterator[str]]


def first_difference(one: object, other: object) -> str:
    """The first place where the two differ, and what is there: `['a'][3]: 1 and 2`. "" where none can be seen."""
    seen: dict[tuple[int, int], object] = {}

    def walk(one: Any, other: Any, path: str) -> Iterator[str]:
        if one is other or (id(one), id(other)) in seen:
            return
        seen[id(one), id(other)] = (one, other)  # kept, so that no others come to have their ids
        kind = type(one)
        if kind is not type(other):
            yield _told(path, f"a {kind.__name__} and a {type(other).__name__}")
            return
        for is_of, differences in _WHOLE:
            if is_of(one):
                yield from differences(one, other, path)
                return
        within = next((found for is_of, found in _MADE_OF_OTHERS if is_of(one)), _of_objects)
        yield from within(one, other, path, walk)

    return next(walk(one, other, ""), "")


def first_differing_byte(one: bytes | memoryview, other: bytes | memoryview) -> str:
    """The same of two files, or of the encodings of two values that nothing can be said of."""
    return f"byte {_first_unequal(one, other):,} (of {len(one):,} and {len(other):,})"


def _first_unequal(one: Iterable[Any], other: Iterable[Any]) -> int:
    return next(n for n, (a, b) in enumerate(zip_longest(one, other)) if a != b)


def _told(path: str, what: str) -> str:
    return f"{path}: {what}" if path else what


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _of_numbers(one: Any, other: Any, path: str) -> Iterator[str]:
    if one != other and not (one != one and other != other):
        yield _told(path, f"{one!r} and {other!r}")


def _of_text(one: Any, other: Any, path: str) -> Iterator[str]:
    if one == other:
        return
    if len(one) + len(other) <= _LONGEST:
        yield _told(path, f"{one!r} and {other!r}")
        return
    at = _first_unequal(one, other)
    begin = max(0, at - 10)
    yield _told(f"{path}[{at}]", f"…{one[begin : at + 20]!r} and …{other[begin : at + 20]!r}")


def _of_mappings(one: Mapping[Any, Any], other: Mapping[Any, Any], path: str, walk: Walk) -> Iterator[str]:
    for key in one:
        if key not in other:
            yield _told(path, f"the key {_short(key)} and none")
    for key in other:
        if key not in one:
            yield _told(path, f"no key {_short(key)} and one")
    for key in one:
        yield from walk(one[key], other[key], f"{path}[{_short(key)}]")
    for a, b in zip(one, other, strict=False):
        if a is not b and a != b:
            yield _told(path, f"the order of the keys: {_short(a)} and {_short(b)} in one place")


def _of_sets(one: Set[Any], other: Set[Any], path: str) -> Iterator[str]:
    for here, there, said in ((one, other, "in the first only"), (other, one, "in the second only")):
        for each in here:
            if each not in there:
                yield _told(path, f"{_short(each)} is {said}")
    if one == other:
        yield _told(path, "the order of a set, which is another in each process: sort it")


def _of_sequences(one: Iterable[Any], other: Iterable[Any], path: str, walk: Walk) -> Iterator[str]:
    for at, (a, b) in enumerate(zip_longest(one, other, fillvalue=_NOTHING)):
        if a is _NOTHING or b is _NOTHING:
            present, which = (b, "second") if a is _NOTHING else (a, "first")
            yield _told(f"{path}[{at}]", f"{_short(present)} is in the {which} only")
        else:
            yield from walk(a, b, f"{path}[{at}]")


def _of_objects(one: Any, other: Any, path: str, walk: Walk) -> Iterator[str]:
    names = _attributes(one)
    for name in names:
        a, b = getattr(one, name, _NOTHING), getattr(other, name, _NOTHING)
        yield from walk(a, b, f"{path}.{name}")
    a, b = repr(one), repr(other)
    if not names and a != b and " at 0x" not in a:
        yield _told(path, f"{_short(one)} and {_short(other)}")


def _attributes(value: object) -> list[str]:
    slots = [name for cls in type(value).__mro__ for name in _slots(cls)]
    return [*getattr(value, "__dict__", ()), *slots]


def _slots(cls: type) -> tuple[str, ...]:
    names = getattr(cls, "__slots__", ())
    return (names,) if isinstance(names, str) else tuple(n for n in names if n not in ("__weakref__", "__dict__"))


def _of_files(one: Path, other: Path, path: str) -> Iterator[str]:
    """Files and folders that steps returned lie elsewhere each time: what counts is their content."""
    if one.is_dir() and other.is_dir():
        here, there = _below(one), _below(other)
        for name in sorted(here.keys() ^ there.keys()):
            yield _told(path, f"{name} is in the {'first' if name in here else 'second'} only")
        for name in sorted(here.keys() & there.keys()):
            yield from _of_files(here[name], there[name], f"{path}/{name}")
    elif one.is_file() and other.is_file():
        first, second = one.read_bytes(), other.read_bytes()
        if first != second:
            yield _told(path or one.name, first_differing_byte(first, second))
    elif os.fspath(one) != os.fspath(other):
        yield _told(path, f"{_short(str(one))} and {_short(str(other))}")


def _below(folder: Path) -> dict[str, Path]:
    return {each.relative_to(folder).as_posix(): each for each in folder.rglob("*") if each.is_file()}


# --- arrays and frames, whose libraries are there if such values are


def _is_of(module: str, *names: str) -> Callable[[object], bool]:
    def is_of(value: object) -> bool:
        loaded = sys.modules.get(module)
        return loaded is not None and any(isinstance(value, getattr(loaded, name, ())) for name in names)

    return is_of


def _of_arrays(one: Any, other: Any, path: str) -> Iterator[str]:
    numpy = sys.modules["numpy"]
    if one.dtype != other.dtype:
        yield _told(path, f"arrays of {one.dtype} and of {other.dtype}")
    elif one.shape != other.shape:
        yield _told(path, f"arrays of shape {one.shape} and {other.shape}")
    else:
        differs = one != other
        if one.dtype.kind in "fc":
            differs &= ~(numpy.isnan(one) & numpy.isnan(other))
        places = numpy.argwhere(differs)
        if len(places):
            at = tuple(int(n) for n in places[0])
            inside = f"[{', '.join(map(str, at))}]"
            more = f" ({len(places):,} of {one.size:,} differ)"
            yield _told(f"{path}{inside}", f"{one[at].item()!r} and {other[at].item()!r}{more}")


def _of_frames(one: Any, other: Any, path: str, walk: Walk) -> Iterator[str]:
    if list(one.columns) != list(other.columns):
        yield from walk(list(one.columns), list(other.columns), f"{path}.columns")
        return
    yield from _of_series(one.index, other.index, f"{path}.index")
    for place, column in enumerate(one.columns):
        yield from _of_series(one.iloc[:, place], other.iloc[:, place], f"{path}[{_short(column)}]")


def _of_series(one: Any, other: Any, path: str) -> Iterator[str]:
    if one.dtype != other.dtype:
        yield _told(path, f"a column of {one.dtype} and of {other.dtype}")
    elif len(one) != len(other):
        yield _told(path, f"{len(one):,} and {len(other):,} rows")
    else:
        asarray, unequal = sys.modules["numpy"].asarray, one != other
        unequal = unequal.fillna(True) if hasattr(unequal, "fillna") else unequal
        differs = asarray(unequal, dtype=bool) & ~(asarray(one.isna()) & asarray(other.isna()))
        for at in differs.nonzero()[0][:1]:
            row = one.index[at] if hasattr(one, "index") else at
            inner = first_difference(_plain(one, at), _plain(other, at))
            yield _told(f"{path} row {_short(_unboxed(row))}", inner or "it differs")


def _plain(column: Any, at: int) -> Any:
    return _unboxed(column.iloc[at] if hasattr(column, "iloc") else column[at])


def _unboxed(value: Any) -> Any:
    """A number as Python has it, where NumPy has its own kind."""
    return value.item() if hasattr(value, "item") and hasattr(value, "dtype") else value


def _is_a(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds)


# The kinds of values that are compared as they are, and those that are made of others; all else is looked into.
_WHOLE: tuple[tuple[Callable[[object], bool], Callable[[Any, Any, str], Iterator[str]]], ...] = (
    (_is_a(str, bytes, bytearray), _of_text),
    (_is_a(bool, int, float, complex, type(None)), _of_numbers),
    (_is_a(Path), _of_files),
    (_is_of("numpy", "ndarray"), _of_arrays),
    (_is_of("pandas", "Series", "Index"), _of_series),
    (_is_a(Set), _of_sets),
)
_MADE_OF_OTHERS: tuple[tuple[Callable[[object], bool], Callable[[Any, Any, str, Walk], Iterator[str]]], ...] = (
    (_is_of("pandas", "DataFrame"), _of_frames),
    (_is_a(Mapping), _of_mappings),
    (_is_a(Sequence, Stream), _of_sequences),
)
