"""Snapshots of frames and arrays: all of a value is in the text, and what differs in no other text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("syrupy", reason="syrupy is not installed")
np = pytest.importorskip("numpy", reason="NumPy is not installed")

from stepcache.testing import DataSnapshotExtension  # noqa: E402


def told(value: object, **options: Any) -> str:
    return DataSnapshotExtension().serialize(value, **options)


def test_a_frame_of_pandas() -> None:
    pd = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pd.DataFrame(
        {"a": [1.5, None], "c": pd.Categorical(["x", "y"], ordered=True), "when": pd.to_datetime(["2020-01-01", None])},
        index=pd.Index([3, 4], name="k"),
    )
    assert told(frame).splitlines() == [
        "DataFrame(",
        "  index 'k': int64",
        "  'a': float64",
        "  'c': category ['x', 'y'] ordered",
        f"  'when': {frame['when'].dtype}",
        "  (3, 1.5, 'x', Timestamp('2020-01-01 00:00:00'))",
        "  (4, nan, 'y', NaT)",
        ")",
    ]
    assert told(frame["a"]).splitlines()[2:4] == ["  'a': float64", "  (3, 1.5)"]
    assert told(pd.MultiIndex.from_tuples([(1, "a")], names=["one", None])).splitlines()[3] == "  ((1, 'a'),)"


def test_frames_of_polars_and_tables_of_arrow() -> None:
    pl = pytest.importorskip("polars", reason="Polars is not installed")
    pa = pytest.importorskip("pyarrow", reason="PyArrow is not installed")
    assert told(pl.DataFrame({"a": [1, None], "l": [[0.1], []]})).splitlines() == [
        "DataFrame(", "  'a': Int64", "  'l': List(Float64)", "  (1, [0.1])", "  (None, [])", ")",
    ]  # fmt: skip
    assert told(pl.Series("s", ["u"])).splitlines() == ["Series(", "  's': String", "  ('u',)", ")"]
    assert told(pa.table({"x": [1, None]})).splitlines() == ["Table(", "  'x': int64", "  (1,)", "  (None,)", ")"]
    assert told(pa.array([1])).splitlines() == ["Int64Array(", "  int64", "  (1,)", ")"]


def test_arrays() -> None:
    assert told(np.array([[1, 2], [3, 4]], "i2")).splitlines() == [
        "ndarray(int16, shape=(2, 2)", "  [1, 2]", "  [3, 4]", ")",
    ]  # fmt: skip
    assert told(np.array(["2020-01-01T00:00:00.000000001", "NaT"], "M8[ns]")).splitlines()[1:3] == [
        "  '2020-01-01T00:00:00.000000001'", "  'NaT'",
    ]  # fmt: skip
    assert told(np.zeros((0, 3))).splitlines() == ["ndarray(float64, shape=(0, 3)", ")"]
    assert told(np.array(5)).splitlines() == ["ndarray(int64, shape=()", "  5", ")"]


LARGE: dict[str, Callable[[Any], Any]] = {
    "array": lambda array: array,
    "array of rows": lambda array: array.reshape(50, 100),
    "within a dict": lambda array: {"of": [array]},
    "within an array of objects": lambda array: np.array([{"of": (array,)}, None], dtype=object),
}


@pytest.mark.parametrize("made", LARGE.values(), ids=LARGE)
def test_no_row_is_left_out_and_no_figure_rounded(made: Callable[[Any], Any]) -> None:
    array = np.linspace(0, 1, 5000)
    other = array.copy()
    other[2500] = np.nextafter(other[2500], 2)
    assert told(made(array)) == told(made(array.copy()))
    assert told(made(array)) != told(made(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 1.0), (1, True), (0.0, -0.0), (np.float32(1), np.float64(1)), (np.int8(1), np.int16(1)), ("1", b"1")],
)
def test_types_and_signs_count(one: object, other: object) -> None:
    assert told(np.array([one])) != told(np.array([other]))


def test_a_matcher_comes_first() -> None:
    replaced = told({"a": np.zeros(1)}, matcher=lambda data, path: np.ones(1) if path else data)
    assert "1.0" in replaced


def test_all_else_is_written_as_syrupy_does() -> None:
    assert told({"a": [1, "x"]}) == "dict({\n  'a': list([\n    1,\n    'x',\n  ]),\n})"


def test_syrupy_is_not_loaded_for_the_rest() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import sys, stepcache.testing; sys.exit('syrupy' in sys.modules)"], check=False
    )
    assert told.returncode == 0
