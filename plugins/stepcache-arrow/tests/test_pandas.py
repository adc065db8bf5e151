from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROWS = 6
HALF = ROWS // 2
Through = Callable[[Any], Any]
Bytes = Callable[[object], bytes]


def objects(*values: object) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


COLUMNS: dict[str, Any] = {
    "int8": np.arange(ROWS, dtype="int8"),
    "uint64": np.arange(ROWS, dtype="uint64") + 2**63,
    "float16": np.linspace(0, 1, ROWS).astype("float16"),
    "float64": np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5]),
    "bool": np.arange(ROWS) % 2 == 0,
    "complex": np.arange(ROWS) * 1j,
    "datetime": pd.date_range("2020", periods=ROWS).insert(1, pd.NaT)[:ROWS],
    "datetime-seconds": pd.date_range("2020", periods=ROWS).as_unit("s"),
    "timedelta": pd.to_timedelta(np.arange(ROWS), "h"),
    "text": ["é", "", "b" * 40] * (ROWS // 3),
    "object-text": objects("a", "é", "b", "", "a", "z"),
    "object-text-none": objects(*["a", None] * HALF),
    "object-text-nan": objects(*["a", np.nan] * HALF),
    "object-text-na": objects(*["a", pd.NA] * HALF),
    "object-bytes": objects(*[b"a\0", None] * HALF),
    "object-none": objects(*[None] * ROWS),
    "string-python": pd.array(["a", None] * HALF, dtype="string[python]"),
    "string-pyarrow": pd.array(["a", None] * HALF, dtype="string[pyarrow]"),
    "Int16": pd.array([1, None] * HALF, dtype="Int16"),
    "Float64": pd.array([1.5, None] * HALF, dtype="Float64"),
    "boolean": pd.array([True, None] * HALF, dtype="boolean"),
    "category": pd.Categorical(["x", None] * HALF, categories=["y", "x", "unused"], ordered=True),
    "category-int": pd.Categorical([10, 2] * HALF),
    "category-period": pd.Categorical(pd.period_range("2020", periods=ROWS, freq="Q")),
    "zone": pd.date_range("2020-03-28", periods=ROWS, tz="Europe/Berlin"),
    "zone-utc": pd.date_range("2020", periods=ROWS, tz="UTC"),
    "zone-offset": pd.date_range("2020", periods=ROWS, tz="+02:00"),
    "period": pd.period_range("2020", periods=ROWS, freq="M"),
    "interval": pd.interval_range(0, ROWS, closed="left"),
    "interval-zone": pd.interval_range(pd.Timestamp("2020", tz="UTC"), periods=ROWS),
    "arrow-int": pd.array([1, None] * HALF, dtype=pd.ArrowDtype(pa.int32())),
    "arrow-list": pd.array([[1, 2], None] * HALF, dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "arrow-decimal": pd.array([Decimal("1.10"), None] * HALF, dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
}

INDEXES: dict[str, pd.Index] = {
    "range": pd.RangeIndex(5, -7, -2, name="r"),
    "int": pd.Index([3, 1, 1, 2, 0, 9], name=0),
    "float": pd.Index(np.linspace(0, 1, ROWS)),
    "text": pd.Index(list("abcdef"), name=("two", 1)),
    "object": pd.Index(objects(*"abcdef"), dtype=object),
    "mixed": pd.Index(objects(1, "a", None, 1.5, True, ("t", 2)), dtype=object, tupleize_cols=False),
    "bool": pd.Index([True, False] * HALF),
    "datetime-freq": pd.date_range("2020", periods=ROWS, freq="MS"),
    "datetime-zone": pd.date_range("2020", periods=ROWS, freq="2D", tz="America/New_York"),
    "datetime-none": pd.DatetimeIndex(["2020", "2019", "2021", "2020", "2020", "2020"]),
    "timedelta": pd.timedelta_range("1h", periods=ROWS, freq="2h"),
    "period": pd.period_range("2020", periods=ROWS, freq="Q"),
    "interval": pd.interval_range(0, ROWS),
    "category": pd.CategoricalIndex(list("ababab"), categories=list("bac")),
    "multi": pd.MultiIndex.from_product([["a", "b"], [1, 2, 3]], names=["x", None]),
    "multi-dates": pd.MultiIndex.from_arrays([pd.date_range("2020", periods=ROWS), list("aabbcc")]),
}


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, pd.Series):
        assert (one.name, type(one.name)) == (other.name, type(other.name))
        one, other = one.to_frame(), other.to_frame()
    pd.testing.assert_frame_equal(
        one, other, check_exact=True, check_freq=True, check_index_type="exact", check_column_type="exact"
    )
    assert list(map(repr, one.dtypes)) == list(map(repr, other.dtypes))
    assert repr(one.index) == repr(other.index)
    assert repr(one.columns) == repr(other.columns)
    assert one.attrs == other.attrs


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_exactly(name: str, roundtrip: Through, encoded: Bytes) -> None:
    frame = pd.DataFrame({name: COLUMNS[name], "other": range(ROWS)})
    again = roundtrip(frame)
    assert_same(frame, again)
    assert encoded(again) == encoded(frame)
    assert_same(frame[name], roundtrip(frame[name]))


def test_objects_stay_the_same_objects_of_python(roundtrip: Through) -> None:
    values = roundtrip(pd.Series(COLUMNS["object-text-na"], dtype=object)).to_numpy()
    assert [type(value) for value in values[:2]] == [str, type(pd.NA)]
    assert roundtrip(pd.Series(COLUMNS["object-text-none"], dtype=object)).to_numpy()[1] is None


def test_signs_of_zero_and_bits_of_nan_are_kept(roundtrip: Through) -> None:
    odd = np.array([0x7FF80000000007A2, 0xFFF8000000000000, 0x8000000000000000], dtype="u8").view("f8")
    again = roundtrip(pd.DataFrame({"x": odd}))["x"].to_numpy()
    assert again.tobytes() == odd.tobytes()


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_comes_back_exactly(name: str, roundtrip: Through) -> None:
    frame = pd.DataFrame({"a": range(ROWS)}, index=INDEXES[name])
    assert_same(frame, roundtrip(frame))
    assert_same(frame["a"], roundtrip(frame["a"]))


@pytest.mark.parametrize("name", INDEXES)
def test_columns_may_bear_any_labels(name: str, roundtrip: Through) -> None:
    frame = pd.DataFrame([range(ROWS)] * 2, columns=INDEXES[name])
    assert_same(frame, roundtrip(frame))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(),
        pd.DataFrame(index=range(3)),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame({"a": [1.5]}).iloc[:0],
        pd.DataFrame([[1, 2]], columns=["same", "same"]),
        pd.DataFrame(np.arange(200.0).reshape(2, 100)),
        pd.Series([], dtype="float64", name=None),
        pd.Series([1, 2], name=("a", 3)),
    ],
    ids=["nothing", "rows-only", "columns-only", "empty", "same-labels", "wide", "empty-series", "named-series"],
)
def test_odd_shapes_come_back_exactly(frame: Any, roundtrip: Through) -> None:
    assert_same(frame, roundtrip(frame))


def test_attributes_come_back(roundtrip: Through) -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"source": "x", "shape": (1, [2.5, None]), 3: {"deep": True}}
    again = roundtrip(frame)
    assert again.attrs == frame.attrs
    assert type(again.attrs["shape"]) is tuple


@pytest.mark.parametrize("name", ["int8", "float64", "bool", "datetime", "Int16", "category", "text", "zone"])
def test_what_comes_back_is_writable_and_ones_own(name: str, roundtrip: Through) -> None:
    frame = pd.DataFrame({"x": COLUMNS[name]})
    again = roundtrip(frame)
    again.loc[0, "x"] = frame.loc[2, "x"]
    assert_same(again.iloc[:1].reset_index(drop=True), frame.iloc[2:3].reset_index(drop=True))
    values = roundtrip(frame)["x"].array
    values[0] = values[2]
    assert_same(roundtrip(frame), frame)


def test_equal_frames_are_equal_bytes(encoded: Bytes) -> None:
    data = np.arange(40.0).reshape(10, 4)
    plain = pd.DataFrame(data, columns=list("abcd"))
    expected = encoded(plain)
    fragmented = pd.DataFrame(index=plain.index)
    for name in "abcd":
        fragmented[name] = plain[name].to_numpy()
    wide = pd.DataFrame(np.arange(80.0).reshape(10, 8)[:, ::2] * 0, columns=list("abcd")) + data
    assert encoded(fragmented) == expected
    assert encoded(wide) == expected
    assert encoded(pd.DataFrame(np.asfortranarray(data), columns=list("abcd"))) == expected
    assert encoded(pd.concat([plain.iloc[:3], plain.iloc[3:]])) == expected
    assert encoded(pd.concat([plain, plain]).iloc[10:].reset_index(drop=True)) == expected
    assert encoded(plain.iloc[::-1].iloc[::-1].reset_index(drop=True)) == expected


def test_what_lies_under_a_null_does_not_count(encoded: Bytes) -> None:
    values = pd.array([1, 2, 3], dtype="Int64")
    values[1] = pd.NA
    assert encoded(pd.Series(values)) == encoded(pd.Series(pd.array([1, None, 3], dtype="Int64")))


def test_chunks_of_text_do_not_count(encoded: Bytes) -> None:
    one = pd.Series(pd.array(["a", None, "b", "c"], dtype="string[pyarrow]"))
    joined = pd.concat([one[:1], one[1:]])
    assert encoded(joined) == encoded(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pd.Series([1, 2]), pd.Series([1.0, 2.0])),
        (pd.Series([1, 2], dtype="int32"), pd.Series([1, 2])),
        (pd.Series([0.0]), pd.Series([-0.0])),
        (pd.Series(["a"], dtype=object), pd.Series(["a"], dtype="string")),
        (pd.Series(objects("a", None), dtype=object), pd.Series(objects("a", np.nan), dtype=object)),
        (pd.Series(["", None], dtype="string"), pd.Series([None, ""], dtype="string")),
        (pd.Series(["ab", "c"]), pd.Series(["a", "bc"])),
        (pd.Series([1], name="a"), pd.Series([1], name="b")),
        (pd.Series([1]), pd.Series([1]).to_frame()),
        (pd.Series(pd.Categorical(["a"], ["a", "b"])), pd.Series(pd.Categorical(["a"], ["b", "a"]))),
        (pd.Series([1], index=[0]), pd.Series([1])),
    ],
)
def test_different_values_are_different_bytes(one: object, other: object, encoded: Bytes) -> None:
    assert encoded(one) != encoded(other)


@pytest.mark.parametrize(
    "value",
    [
        pd.Series([{"a": 1}]),
        pd.Series(objects("a", 1), dtype=object),
        pd.Series(objects("a", 1.5), dtype=object),
        pd.Series(objects("a", None, np.nan), dtype=object),
        pd.Series(objects("a", b"a"), dtype=object),
        pd.Series(objects("\ud800"), dtype=object),
        pd.Series([datetime.date(2020, 1, 1)]),
        pd.Series(objects(np.str_("a")), dtype=object),
        pd.Series(pd.arrays.SparseArray([0, 1])),
        pd.Series([1]).set_flags(allows_duplicate_labels=False),
        pd.Series([1], name=datetime.date(2020, 1, 1)),
        pd.Series([1.5], dtype=">f8"),
        pd.DataFrame({"a": [1]}, index=pd.Index([datetime.date(2020, 1, 1)], dtype=object)),
    ],
)
def test_what_would_not_come_back_exactly_is_declined(value: object, takes: Callable[[object], bool]) -> None:
    assert not takes(value)


def test_attributes_that_are_not_plain_are_declined(takes: Callable[[object], bool]) -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["when"] = datetime.date(2020, 1, 1)
    assert not takes(frame)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@given(plain)
def test_labels_come_back_exactly(value: object) -> None:
    import json

    from stepcache_arrow import labels

    again = labels.unpack(json.loads(json.dumps(labels.pack(value))))
    assert repr(again) == repr(value)
