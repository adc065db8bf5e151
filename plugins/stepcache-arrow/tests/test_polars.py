from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from stepcache.errors import Unstorable
from stepcache_arrow.codecs import CODECS

Through = Callable[[Any], Any]
Bytes = Callable[[object], bytes]
DAY = datetime.datetime(2020, 3, 29, 12)

COLUMNS = {
    series.name: series
    for series in [
        pl.Series("int8", [1, None, 3], dtype=pl.Int8),
        pl.Series("uint64", [2**64 - 1, None, 3], dtype=pl.UInt64),
        pl.Series("float64", [-0.0, None, float("inf")]),
        pl.Series("float32", [1.5, None, 2.5], dtype=pl.Float32),
        pl.Series("boolean", [True, None, False]),
        pl.Series("text", ["é", None, "x" * 40]),
        pl.Series("binary", [b"a\0", None, b""]),
        pl.Series("date", [DAY.date(), None, datetime.date(1900, 1, 1)]),
        pl.Series("time", [datetime.time(1, 2, 3, 4), None, datetime.time(0)]),
        pl.Series("datetime", [DAY, None, DAY], dtype=pl.Datetime("ms")),
        pl.Series("zone", [DAY, None, DAY], dtype=pl.Datetime("ns", "Europe/Berlin")),
        pl.Series("duration", [datetime.timedelta(1), None, datetime.timedelta(2)], dtype=pl.Duration("us")),
        pl.Series("null", [None, None, None]),
        pl.Series("decimal", [Decimal("1.10"), None, Decimal(2)], dtype=pl.Decimal(10, 2)),
        pl.Series("list", [[1, None], None, []], dtype=pl.List(pl.Int32)),
        pl.Series("list-text", [["a", "bc"], None, ["d", None]]),
        pl.Series("array", [[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int16, 2)),
        pl.Series("struct", [{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}]),
        pl.Series("categorical", ["b", None, "a"], dtype=pl.Categorical),
        pl.Series("enum", ["a", None, "b"], dtype=pl.Enum(["b", "c", "a"])),
    ]
}


def assert_same(one: pl.Series, other: pl.Series) -> None:
    assert one.name == other.name
    assert repr(one.dtype) == repr(other.dtype)
    assert one.equals(other, check_names=True, null_equal=True)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_exactly(name: str, roundtrip: Through, encoded: Bytes) -> None:
    series = COLUMNS[name]
    again = roundtrip(series)
    assert_same(series, again)
    assert encoded(again) == encoded(series)
    frame = pl.DataFrame([series, series.rename("second")])
    back = roundtrip(frame)
    assert back.schema == frame.schema
    for column in frame.columns:
        assert_same(frame[column], back[column])


@pytest.mark.parametrize("name", COLUMNS)
def test_chunks_and_slices_do_not_count(name: str, encoded: Bytes) -> None:
    series = COLUMNS[name]
    assert encoded(pl.concat([series[:1], series[1:]], rechunk=False)) == encoded(series)
    assert encoded(pl.concat([series[:2], series, series[:2]], rechunk=True)[2:5]) == encoded(series)


def test_frames_without_rows_or_columns(roundtrip: Through) -> None:
    assert roundtrip(pl.DataFrame()).shape == (0, 0)
    empty = pl.DataFrame(schema={"a": pl.Enum(["x"]), "b": pl.List(pl.Int8)})
    assert roundtrip(empty).schema == empty.schema


def test_a_column_without_a_name_stays_without(roundtrip: Through) -> None:
    frame = pl.DataFrame({"a": [1], "": ["x"]})
    assert roundtrip(frame).columns == ["a", ""]


def test_what_comes_back_is_writable_and_ones_own(roundtrip: Through) -> None:
    frame = pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    again = roundtrip(frame)
    again[0, "a"] = 9
    again[1, "b"] = "w"
    assert again.to_dict(as_series=False) == {"a": [9, 2, 3], "b": ["x", "w", "z"]}
    assert roundtrip(frame).equals(frame)


def test_equal_categories_are_equal_bytes_whatever_the_process_has_seen(encoded: Bytes) -> None:
    before = encoded(pl.Series(["b", "a"], dtype=pl.Categorical))
    pl.Series(["z", "a", "y"], dtype=pl.Categorical)
    assert encoded(pl.Series(["z", "b", "a"], dtype=pl.Categorical)[1:]) == before


@pytest.mark.parametrize(
    "series",
    [
        pl.Series([object()], dtype=pl.Object),
        pl.Series([["a"]], dtype=pl.List(pl.Categorical)),
        pl.Series([{"e": "a"}], dtype=pl.Struct({"e": pl.Enum(["a"])})),
        pl.Series([1], dtype=pl.Int128),
    ],
    ids=["object", "list-of-categories", "struct-of-enum", "int128"],
)
def test_what_would_not_come_back_exactly_is_declined(series: pl.Series, takes: Callable[[object], bool]) -> None:
    assert not takes(series)
    assert not takes(pl.DataFrame([series]))


def test_a_lazy_frame_is_refused_with_what_to_do() -> None:
    plan = pl.LazyFrame({"a": [1]})
    (codec,) = [codec for codec in CODECS if "polars.lazyframe.frame.LazyFrame" in codec.types]
    assert codec.takes(plan)
    with pytest.raises(Unstorable) as raised:
        codec.encode(plan)
    assert str(raised.value) == (
        "polars.lazyframe.frame.LazyFrame: it is a plan, not yet data; return its .collect() instead"
    )
