"""Digests of values: by structure and exact type, the same in every process."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import logging
import os
import pathlib
import re
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stepcache.key.value import Undigestible, ValueWriter, value_digest


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Shade(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: object = 0
    y: object = 0


@dataclasses.dataclass
class Place:
    x: object = 0
    y: object = 0


class Slotted:
    __slots__ = ("a",)

    def __init__(self, a: object) -> None:
        self.a = a


class Words(list[str]):
    pass


def test_equally_named_functions_in_a_set_have_an_order() -> None:
    """That of a set is by their addresses, which differ from process to process."""
    functions = [eval(f"lambda: {number}") for number in range(8)]
    found = ValueWriter(is_code=callable).digested(set(functions)).references
    for turned in (functions[::-1], functions[3:] + functions[:3]):
        again = [types.FunctionType(each.__code__, {}) for each in turned]  # at other addresses
        told = ValueWriter(is_code=callable).digested(set(again)).references
        assert [each() for each in told] == [each() for each in found]


DISTINCT: list[Any] = [
    None, False, True, 0, 1, -1, 1.0, 0.0, -0.0, float("inf"), 1j, "1", b"1", bytearray(b"1"), "", b"", "None",
    (), [], {}, set(), frozenset(), (1,), [1], {1}, frozenset({1}), {1: 1}, {"1": 1}, (1, (2,)), ((1, 2),), [[1], 2],
    [1, [2]], ["ab"], ["a", "b"], Words(["a", "b"]), range(3), slice(1, 2), ..., NotImplemented,
    collections.OrderedDict(a=1), {"a": 1}, collections.Counter("a"), collections.defaultdict(list, a=1),
    collections.defaultdict(set, a=1), collections.deque([1]), collections.deque([1], maxlen=2),
    types.MappingProxyType({"a": 1}), types.SimpleNamespace(a=1),
    decimal.Decimal(1), decimal.Decimal("1.0"), datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1),
    datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(1), re.compile("a"),
    re.compile("a", re.IGNORECASE), re.compile(b"a"), pathlib.PurePosixPath("a"), pathlib.Path("a"), pathlib.Path("b"),
    Colour.RED, Colour.BLUE, Shade.RED, Point(1), Place(1), Point(1, 2), Point(2, 1), Slotted(1), Slotted(2),
    int, str, list[int], list[str], int | None, len, max, "abc".upper, "abd".upper, [].append, str.upper,
    functools.partial(max, 1), functools.partial(max, 2), functools.partial(min, 1), os.path.join, os, sys,
    np.float32(1), np.float64(1), np.zeros(2), np.zeros((2, 1)), np.zeros(2, "f4"), np.array([1, "a"], dtype=object),
    np.array([1, "b"], dtype=object), np.dtype("f4"), np.add, np.subtract, np.random.default_rng(3),
    pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": ["x"]}),
    pd.Series([1]), pd.Index([1]), pd.Timestamp("2020"), ValueError("a"), ValueError("b"), KeyError("a"),
]  # fmt: skip


def test_different_values_have_different_digests() -> None:
    found: dict[str, object] = {}
    for value in DISTINCT:
        found.setdefault(value_digest(value), value)

    missing = [value for value in DISTINCT if not any(value is one for one in found.values())]
    assert missing == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"b": 1, "a": [Point({"x"}, (1, 2.5))]},
        lambda: {"ape", "bee", None, (1, "cat"), Colour.RED, int},
        lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["u", "v"])}),
        lambda: np.arange(6).reshape(2, 3).T,
        lambda: Slotted([Words("ab"), functools.partial(print, end="")]),
        lambda: datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    ],
)
def test_equal_values_have_one_digest(make: Callable[[], object]) -> None:
    assert value_digest(make()) == value_digest(make())


def test_memory_layout_does_not_count() -> None:
    array = np.arange(6).reshape(2, 3)

    assert value_digest(array) == value_digest(np.asfortranarray(array))
    assert value_digest(array[:, ::2]) == value_digest(array[:, ::2].copy())


def test_the_order_of_a_settings_keys_does_not_count() -> None:
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}

    assert value_digest(one) == value_digest(other)
    ordered = [ValueWriter(lambda _: False).digested(value).digest for value in (one, other)]
    assert ordered[0] != ordered[1]


def test_the_order_of_attributes_does_not_count() -> None:
    one, other = types.SimpleNamespace(a=1, b=2), types.SimpleNamespace(b=2, a=1)

    assert value_digest(one) == value_digest(other)


def test_sharing_counts_where_a_change_would_show() -> None:
    inner, fixed = [1], (1, str(2))

    assert value_digest([inner, inner]) != value_digest([[1], [1]])
    assert value_digest([fixed, fixed]) == value_digest([fixed, (1, str(2))])


def test_values_that_hold_themselves_have_a_digest() -> None:
    def ring(value: object) -> list[object]:
        made: list[object] = [value]
        made.append({"self": made})
        return made

    assert value_digest(ring(1)) == value_digest(ring(1))
    assert value_digest(ring(1)) != value_digest(ring(2))


@pytest.mark.parametrize(
    "value",
    [
        object(), threading.Lock(), threading.local(), (n for n in ()), logging.getLogger("a"), sys.stderr,
        sys._getframe(), [1, [object()]], Point(threading.Lock()),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_has_no_value_of_its_own_has_no_digest(value: object) -> None:
    with pytest.raises(Undigestible):
        value_digest(value)


def test_an_undigestible_value_is_named() -> None:
    with pytest.raises(Undigestible) as raised:
        value_digest({"a": [threading.Lock()]})

    assert str(raised.value) == "_thread:lock has no value that a digest could be made of"


def test_values_nested_too_deep_have_no_digest() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(Undigestible):
        value_digest(value)


def test_code_in_values_counts_by_the_digest_given_for_it() -> None:
    def helper() -> None: ...

    codes = {helper: "first"}
    one = value_digest([helper], code=lambda value: codes.get(value, "named"))
    codes[helper] = "second"

    assert one != value_digest([helper], code=lambda value: codes.get(value, "named"))


def test_references_are_numbered_as_they_are_met() -> None:
    def first() -> None: ...
    def second() -> None: ...

    def digested(value: object) -> Any:
        return ValueWriter(lambda each: each in (first, second)).digested(value)

    table, swapped = digested({"a": first, "b": second}), digested({"a": second, "b": first})
    assert table.digest == swapped.digest
    assert (table.references, swapped.references) == ((first, second), (second, first))
    assert digested({first, second}).references in ((first, second), (second, first))


def test_paths_below_the_root_count_relative_to_it() -> None:
    def at(root: str) -> str:
        return value_digest([f"{root}/data/a.csv", Path(root) / "b", f"sqlite:///{root}/c.db", root], root=root)

    assert at("/home/one/project") == at("/srv/two")
    assert value_digest("/home/one/projects", root="/home/one/project") != value_digest("\0roots", root="/x")


def test_the_environment_has_no_value() -> None:
    before = value_digest({"env": os.environ})
    os.environ["STEPCACHE_TEST_VALUE"] = "1"
    try:
        assert before == value_digest({"env": os.environ})
    finally:
        del os.environ["STEPCACHE_TEST_VALUE"]


def test_digests_are_the_same_in_every_process() -> None:
    script = (
        "import sys, enum, re; from stepcache.key.value import value_digest\n"
        "class C(enum.Flag):\n A = 1\n B = 2\n"
        "C.__module__ = 'm'\n"
        "print(value_digest([{'ape', 'bee', 'cat', None, 1, (2, 'd')}, frozenset('xyz'), re.compile('a'), C.A | C.B]))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(found) == 1
