"""Ids of parametrised choices: pytest's rules, and beyond them dates as ISO text, paths and enums by name."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, time
from pathlib import PurePath
from typing import Any

from stepcache.errors import UsageError
from stepcache.model import Mark, ParamSet


def variant_ids(
    names: Sequence[str],
    rows: Sequence[Sequence[object]],
    own: Sequence[str | None],
    ids: Iterable[str | None] | Callable[[Any], object] | None,
) -> list[str]:
    """An id for each row of values, unique; *own* holds those that `param(id=…)` gave."""
    given: list[object] = [None] * len(rows)
    if ids is not None and not callable(ids):
        given = list(ids)
        if len(given) != len(rows):
            raise UsageError(f"parametrize({', '.join(names)!r}): {len(rows)} choices, but {len(given)} ids")
    make = ids if callable(ids) else None
    found = []
    for at, row in enumerate(rows):
        if own[at] is not None:
            found.append(str(own[at]))
        elif given[at] is not None:
            found.append(_given_id(given[at], names))
        else:
            found.append("-".join(_value_id(name, value, at, make) for name, value in zip(names, row, strict=True)))
    return unique(found)


def empty_choice(names: Sequence[str]) -> ParamSet:
    """What stands for no choice at all: one that is skipped, as in pytest."""
    skipped = Mark("skip", (), {"reason": f"no values are given for {', '.join(names)}"})
    return ParamSet(tuple((name, None) for name in names), "NOTSET", (skipped,))


def unique(ids: Sequence[str]) -> list[str]:
    """*ids* with numbers behind those that stand more than once, as pytest does it."""
    if len(set(ids)) == len(ids):
        return list(ids)
    taken, counts, found = set(ids), dict.fromkeys(ids, 0), []
    many = {each for each, count in Counter(ids).items() if count > 1}
    for each in ids:
        if each not in many:
            found.append(each)
            continue
        suffix = "_" if each and each[-1].isdigit() else ""
        while f"{each}{suffix}{counts[each]}" in taken:
            counts[each] += 1
        found.append(f"{each}{suffix}{counts[each]}")
        taken.add(found[-1])
        counts[each] += 1
    return found


def _given_id(given: object, names: Sequence[str]) -> str:
    if isinstance(given, (str, int, float, bool)):
        return escaped(str(given))
    raise UsageError(f"parametrize({', '.join(names)!r}): an id is text or a number, not {given!r}")


def _value_id(name: str, value: object, at: int, make: Callable[[Any], object] | None) -> str:
    if make is not None:
        made = make(value)
        if made is not None:
            return escaped(str(made))
    plain = plain_id(value)
    return plain if plain is not None else f"{name}{at}"


def plain_id(value: object) -> str | None:
    """The id of a value that has a plain one, else None."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, str):
        return escaped(value)
    if value is None or isinstance(value, (bool, int, float, complex)):
        return str(value)
    if isinstance(value, bytes):
        return escaped(value.decode("ascii", "backslashreplace"))
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, PurePath):
        return escaped(value.name)
    if isinstance(value, re.Pattern):
        return escaped(str(value.pattern))
    name = getattr(value, "__name__", None)
    if isinstance(name, str) and (isinstance(value, type) or callable(value)):
        return name
    return None


def escaped(text: str) -> str:
    """*text* without what would break a line or a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii", "replace") for c in text)
