"""What goes through a codec comes back with exactly its types; equal values give equal digests."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import gc
import math
import os
import subprocess
import sys
import threading
import uuid
import zoneinfo
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stepcache.errors import Unstorable
from stepcache.store import Codecs, Declined, Encoded, Scratch
from stepcache.store.content import measured

CODECS = Codecs.builtin()


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None


class Color(enum.Enum):
    RED = 1


Pair = collections.namedtuple("Pair", "a b")


class Text(str):
    __slots__ = ()


def digest(value: object) -> str:
    codec, encoded = CODECS.encode(value)
    return measured(codec.name, encoded).digest


def round_trip(value: object) -> tuple[str, Any]:
    codec, encoded = CODECS.encode(value)
    return codec.name, codec.decode(memoryview(bytearray(b"".join(encoded.parts))))


def twin(text: str) -> str:
    """An equal text that is another object."""
    return "".join(list(text))


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

PLAIN: list[Any] = [
    None, True, False, 0, 1, -1, 255, 2**31, -(2**63), 2**64, 10**400, -(10**400), 0.0, -0.0, 1.5, math.inf, 1j, -0j,
    "", "text", "é\ud800\0", "x" * 100_000, b"", b"bytes", bytes(100_000), bytearray(b"xy"),
    [], (), {}, set(), frozenset(), [[]], [()], ((),), [None], [1, 1.0, True], (1, "a", b"b", None),
    list(range(300)), [2**40, -(2**40)] * 8, [2**70] * 9, [1.5, -0.0] * 8, [True, False] * 8, ["a", "", "é"] * 8,
    [b"a", b""] * 8, tuple(range(20)), {"a": 1, "b": [1, 2]}, {1: "a", "1": "b", None: 2}, {(1, 2): {3}},
    [{"a": 1, "b": None}] * 9, [{"a": 1, "b": "x"}, {"b": 1, "a": 2}] * 8, [{}] * 9, [{1: 2}] * 9,
    {3, 1, 2}, {"b", "a", 1, None, (1, 2), frozenset({1})}, frozenset({"x"}),
    range(3), range(0, 10, 3), datetime.date(2024, 2, 29), datetime.time(1, 2, 3, 4), datetime.time(1, fold=1),
    datetime.datetime(2024, 1, 2, 3, 4, 5, 6), datetime.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "here")),
    datetime.timedelta(days=-1, microseconds=5), decimal.Decimal("1.00"), decimal.Decimal("-0"),
    decimal.Decimal("1E+3"), fractions.Fraction(1, 3), uuid.UUID(int=7), Path("/a/b"), Path("a"), PurePosixPath("x"),
]  # fmt: skip


def same(one: Any, two: Any) -> bool:
    """Equal, of the same types all through, in the same order, the sign of zero included."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return len(one) == len(two) and all(map(same, one, two)) and all(map(same, one.values(), two.values()))
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, set | frozenset):
        return bool(one == two) and sorted(map(repr, one)) == sorted(map(repr, two))
    if isinstance(one, datetime.datetime | datetime.time):
        return bool(one == two) and (one.fold, repr(one.tzinfo)) == (two.fold, repr(two.tzinfo))
    return repr(one) == repr(two)


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_plain_values_come_back_exactly(value: object) -> None:
    name, again = round_trip(value)
    assert name == "plain"
    assert same(again, value)
    assert digest(again) == digest(value)


def test_plain_values_that_differ_have_different_digests() -> None:
    digests = [digest(value) for value in PLAIN]
    assert len(set(digests)) == len(PLAIN)
    assert digest(math.nan) == digest(float("nan"))
    assert digest({"a": 1, "b": 2}) != digest({"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (["xy", "xy"], ["xy", twin("xy")]),
        ([[1], [1]], [[1]] * 2),
        ({"a", "b", "c", "d"}, {"d", "c", "b", "a"}),
        ({8, 0}, {0, 8}),
        (Point("xy", ["xy", b"ab"]), Point("xy", [twin("xy"), bytes(bytearray(b"ab"))])),
        (Point({"a", "b", 1}), Point({1, "b", "a"})),
        (Point(np.arange(6).reshape(2, 3).T), Point(np.arange(6).reshape(2, 3).T.copy())),
        (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
        (np.arange(10)[::2], np.arange(0, 10, 2)),
    ],
)
def test_equal_values_have_equal_digests(one: object, two: object) -> None:
    assert digest(one) == digest(two)
    assert digest(round_trip(one)[1]) == digest(two)


def test_a_read_only_array_inside_an_object_has_the_digest_of_a_writable_one() -> None:
    frozen = np.arange(5)
    frozen.flags.writeable = False
    assert digest(Point(frozen)) == digest(Point(np.arange(5)))
    assert round_trip(Point(frozen))[1].x.flags.writeable


def test_digests_are_the_same_under_any_hash_seed() -> None:
    code = (
        "from collections import OrderedDict\n"
        "from stepcache.store import Codecs\n"
        "from stepcache.store.content import measured\n"
        "codecs = Codecs.builtin()\n"
        "values = [{'a', 'b', 'c', ('x', 1), None}, OrderedDict(s={'a', 'b', 'c'}, f=frozenset(['p', 'q', 'r']))]\n"
        "for value in values:\n"
        "    codec, encoded = codecs.encode(value)\n"
        "    print(measured(codec.name, encoded).digest)\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


ARRAYS = [
    np.arange(12).reshape(3, 4), np.arange(12).reshape(3, 4).T, np.asfortranarray(np.ones((3, 4, 5))),
    np.arange(20)[::-3], np.array(5), np.array([]), np.zeros((0, 3)), np.zeros((3, 0)), np.array(["a", "bcd"]),
    np.array([b"a", b""]), np.array(["2024-01-01", "NaT"], dtype="datetime64[ns]"), np.array([1, 2], dtype=">i4"),
    np.array([True, False]), np.array([1 + 2j]), np.array([1.5], dtype=np.float16), np.broadcast_to(np.float64(1), 5),
    np.array([(1, 2.5, "x")], dtype=[("a", "i1"), ("b", "<f8"), ("c", "U3")]),
    np.zeros(2, dtype=[("a", "i4", (2, 2)), ("n", [("x", "u1")])]), np.array([1.0, np.nan, -0.0]),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_come_back_plain_and_writable(array: Any) -> None:
    name, again = round_trip(array)
    assert name == "numpy"
    assert type(again) is np.ndarray
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()
    assert again.flags.writeable
    assert digest(again) == digest(array)


@pytest.mark.parametrize(
    "scalar",
    [
        np.float64(1.5),
        np.int8(3),
        np.bool_(True),
        np.str_("x"),
        np.bytes_(b"y"),
        np.datetime64("2024"),
        np.complex64(1),
    ],
    ids=repr,
)
def test_numpy_scalars_come_back(scalar: Any) -> None:
    name, again = round_trip(scalar)
    assert name == "numpy"
    assert type(again) is type(scalar)
    assert again == scalar
    assert again.dtype == scalar.dtype


@pytest.mark.parametrize("text", [np.str_("x\0"), np.bytes_(b"\0"), np.bytes_(b"x\0\0")], ids=repr)
def test_texts_of_numpy_keep_the_zeros_at_their_end(text: Any) -> None:
    for value in (text, [text]):
        _, again = round_trip(value)
        back = again[0] if value is not text else again
        assert type(back) is type(text)
        assert back[:] == text[:]
        assert back.dtype == text.dtype


def test_bytes_between_the_fields_of_records_do_not_count() -> None:
    kind = np.dtype({"names": ["a", "b"], "formats": ["i1", "<f8"], "offsets": [0, 8], "itemsize": 16})
    clean, dirty = np.zeros(3, kind), np.frombuffer(bytearray(b"\xff" * 48), kind)
    for name in ("a", "b"):
        clean[name] = dirty[name] = [1, 2, 3]
    assert digest(clean) == digest(dirty)


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a", None], dtype=object),
        np.ma.masked_array([1, 2], [True, False]),
        np.zeros(2, np.dtype("i4", metadata={"unit": "m"})),
        np.array(["a", "bc"], dtype=np.dtypes.StringDType()),
    ],
    ids=lambda array: f"{type(array).__name__} {array.dtype}",
)
def test_what_numpy_bytes_do_not_hold_is_pickled(array: Any) -> None:
    name, again = round_trip(array)
    assert name == "pickle"
    assert type(again) is type(array)
    assert again.tolist() == array.tolist()
    assert (again.dtype.metadata or {}) == (array.dtype.metadata or {})


def test_objects_come_back_with_what_they_share() -> None:
    shared = [1]
    _, again = round_trip(Point(shared, shared))
    assert again.x is again.y
    array = np.arange(3)
    _, again = round_trip(Point(array, array))
    assert again.x is again.y
    names = {"a", "b"}
    _, again = round_trip(Point(names, [names]))
    assert again.x == names
    assert again.x is again.y[0]
    loop: list[object] = []
    loop.append(loop)
    _, again = round_trip(loop)
    assert again[0] is again


@pytest.mark.parametrize(
    "value", [Color.RED, Pair(1, "x"), Text("x"), [Text("x")], {"a": Pair(1, 2)}, collections.OrderedDict(a=1), len]
)
def test_subclasses_and_others_are_pickled(value: object) -> None:
    name, again = round_trip(value)
    assert name == "pickle"
    assert again == value
    assert type(again) is type(value)


def test_frames_come_back() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    name, again = round_trip(frame)
    assert name == "pickle"
    pd.testing.assert_frame_equal(again, frame)
    again.loc[0, "a"] = 5


def test_nodes_that_refer_to_each_other_through_sets_come_back() -> None:
    one, two = Point(1), Point(2)
    Point.__hash__ = object.__hash__  # type: ignore[method-assign]
    one.y, two.y = {two}, {one}
    _, again = round_trip(one)
    (other,) = again.y
    assert other.y == {again}


def test_a_value_whose_parts_are_one_object_is_not_written_out_many_times() -> None:
    value: list[object] = [1]
    for _ in range(60):
        value = [value, value]
    assert round_trip(value)[0] == "pickle"


def test_classes_outside_the_standard_library_are_reported() -> None:
    def classes(value: object) -> tuple[str, ...]:
        return CODECS.encode(value)[1].classes

    here = __name__
    assert classes([1, datetime.date(2024, 1, 1)]) == ()
    assert classes(collections.OrderedDict(a=fractions.Fraction(1, 2))) == ()
    assert classes({"a": [Point(Color.RED)]}) == (f"{here}:Color", f"{here}:Point")
    assert classes([Point]) == (f"{here}:Point",)
    assert classes([twin]) == (f"{here}:twin",)


def lone(value: object) -> tuple[str, str, str]:
    with pytest.raises(Unstorable) as caught:
        CODECS.encode(value)
    return caught.value.type_name, caught.value.where, caught.value.reason


def test_what_cannot_be_stored_is_named_with_its_place() -> None:
    assert lone(number for number in [1]) == ("generator", "", "cannot pickle 'generator' object")
    assert lone({"x": [1, 2, 3, {}, threading.Lock()]})[:2] == ("_thread.lock", "['x'][4]")
    assert lone([Point({"m": np})])[:2] == ("module", "[0].x['m']")
    assert lone((1, lambda: 0))[:2] == ("function", "[1]")
    with Path(os.devnull).open() as file:
        assert lone({1: file})[:2] == ("_io.TextIOWrapper", "[1]")
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert lone(deep) == ("list", "", "it is nested too deeply to be pickled")


class Odd:
    """Looks like a dict, and cannot be looked into."""

    __class__ = dict  # type: ignore[assignment]


class Leaving:
    def __reduce__(self) -> str:
        raise SystemExit(3)


class Hiding:
    def __reduce__(self) -> str:
        raise ValueError("not me")

    def __getattribute__(self, name: str) -> object:
        raise LookupError(name)


class Nameless(Leaving):
    def __repr__(self) -> str:
        raise LookupError


def test_whatever_a_class_does_where_it_is_looked_for_the_culprit() -> None:
    here = __name__
    assert lone([Odd()])[0] in (f"{here}.Odd", "list")
    assert lone([1, Leaving()]) == (f"{here}.Leaving", "[1]", "3")
    assert lone([Hiding()])[0] == f"{here}.Hiding"
    assert lone({Nameless(): threading.Lock()})[:2] == ("_thread.lock", f"[a {here}.Nameless]")
    assert lone({10**5000: threading.Lock()})[:2] == ("_thread.lock", "[a int]")
    with pytest.raises(Unstorable, match=r"Color at \[a int\]: only pickle takes it"):
        CODECS.encode({10**5000: Color.RED}, formats="safe")


class Own:
    """Has arrays, and writes to them as it comes back."""

    def __init__(self, array: Any, other: Any) -> None:
        self.array, self.other = array, other

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.array += 1


def test_trying_a_pickle_leaves_the_value_alone() -> None:
    value = Own(np.arange(5), np.asfortranarray(np.ones((2, 3))))
    _, again = round_trip(value)
    assert value.array.tolist() == [0, 1, 2, 3, 4]
    assert again.array.tolist() == [1, 2, 3, 4, 5]
    assert again.other.tolist() == value.other.tolist()
    assert again.other.flags.writeable


class Vast:
    """A codec whose bytes there is no memory for."""

    name, safe, types = "vast", True, ("builtins.str",)

    def takes(self, value: object) -> bool:
        return True

    def encode(self, value: object) -> Encoded:
        def parts() -> Iterator[bytes]:
            raise MemoryError
            yield b""

        return Encoded(parts(), size=10_000)

    def decode(self, data: memoryview) -> object:
        return ""


def test_what_there_is_no_memory_for_cannot_be_stored() -> None:
    codecs = Codecs.builtin()
    codecs.add(Vast())
    scratch = Scratch(codecs)
    with pytest.raises(Unstorable, match="str: there is not enough memory to store it"):
        scratch.save("x")


class Stubborn:
    def __reduce__(self) -> str:
        raise KeyboardInterrupt


def test_an_interrupt_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        CODECS.encode([Stubborn()])


def test_safe_formats_refuse_pickle_by_name() -> None:
    codec, _ = CODECS.encode([1, "a"], formats="safe")
    assert codec.name == "plain"
    with pytest.raises(Unstorable) as caught:
        CODECS.encode({"a": [1, Color.RED]}, formats="safe")
    assert str(caught.value) == (
        f"{__name__}.Color at ['a'][1]: only pickle takes it, which formats = \"safe\" refuses"
    )
    with pytest.raises(Unstorable, match="can run code"):
        CODECS.encode(1, "pickle", formats="safe")


class Shout:
    """A codec of a plugin."""

    name = "shout"
    safe = True
    types = ("builtins.str",)

    def takes(self, value: object) -> bool:
        return str(value).isascii()

    def encode(self, value: object) -> Encoded:
        if value == "no":
            raise Declined("it is no")
        return Encoded((str(value).upper().encode(),))

    def decode(self, data: memoryview) -> object:
        return bytes(data).decode().lower()


def test_a_codec_added_later_is_asked_first() -> None:
    codecs = Codecs.builtin()
    codecs.add(Shout())
    assert codecs.encode("a")[0].name == "shout"
    assert codecs.encode("é")[0].name == "plain"
    assert codecs.encode("no")[0].name == "plain"
    assert codecs.by_name("shout") is not None
    assert codecs.by_name("nobody") is None


def test_a_codec_asked_for_by_name_is_used_or_says_why_not() -> None:
    codecs = Codecs.builtin()
    codecs.add(Shout())
    assert codecs.encode("a", "pickle")[0].name == "pickle"
    for value, name, message in (
        ("é", "shout", "str: codec 'shout' does not take it"),
        ("no", "shout", "str: codec 'shout' does not take it: it is no"),
        ("a", "pikle", "str: there is no codec 'pikle'"),
        ([Color.RED], "plain", f"list: codec 'plain' does not take it: it holds a {__name__}.Color"),
    ):
        with pytest.raises(Unstorable) as caught:
            codecs.encode(value, name)
        assert str(caught.value) == message


def test_a_codec_of_the_same_name_takes_the_place_of_the_first() -> None:
    codecs = Codecs.builtin()
    first, second = Shout(), Shout()
    codecs.add(first)
    codecs.add(second)
    assert codecs.encode("a")[0] is second


def test_unpickling_leaves_the_garbage_collector_as_it_was() -> None:
    assert gc.isenabled()
    round_trip(Point(1))
    assert gc.isenabled()
    gc.disable()
    try:
        round_trip(Point(1))
        assert not gc.isenabled()
    finally:
        gc.enable()
