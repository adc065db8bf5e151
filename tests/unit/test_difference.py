"""Where two values differ first, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepcache.difference import first_difference, first_differing_byte


class Holder:
    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (1, 1, ""),
        (1, 2, "1 and 2"),
        (1, 1.0, "a int and a float"),
        (float("nan"), float("nan"), ""),
        (None, None, ""),
        ("same", "same", ""),
        ("a", "b", "'a' and 'b'"),
        ("x" * 50 + "left" + "y" * 50, "x" * 50 + "right" + "y" * 50, "[50]: …'xxxxxxxxxxleftyyyyyyyyyyyyyyyy' and "),
        ({"a": [1, 2, 3]}, {"a": [1, 2, 4]}, "['a'][2]: 3 and 4"),
        ({"a": 1}, {"b": 1}, "the key 'a' and none"),
        ({}, {"b": 1}, "no key 'b' and one"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "the order of the keys: 'a' and 'b' in one place"),
        ([1, 2], [1], "[1]: 2 is in the first only"),
        ((1,), (1, "more"), "[1]: 'more' is in the second only"),
        ({1, 2}, {1, 3}, "2 is in the first only"),
        ({1}, {1}, "the order of a set, which is another in each process: sort it"),
        (Holder(a=1, b={"c": 2}), Holder(a=1, b={"c": 3}), ".b['c']: 2 and 3"),
        (Slotted(1, 2), Slotted(1, 3), ".right: 2 and 3"),
        (range(3), range(4), "[3]: 3 is in the second only"),
        (1 + 2j, 1 + 3j, "(1+2j) and (1+3j)"),
    ],
)
def test_the_first_difference(one: object, other: object, told: str) -> None:
    found = first_difference(one, other)
    assert found == told or (told.endswith(" and ") and found.startswith(told))


def test_values_that_hold_themselves() -> None:
    one: list[Any] = [1]
    other: list[Any] = [1]
    one.append(one)
    other.append(other)
    assert first_difference(one, other) == ""
    other.append(2)
    assert first_difference(one, other) == "[2]: 2 is in the second only"


def test_files_and_folders(tmp_path: Path) -> None:
    for name, text in (("one", "hello"), ("two", "help!")):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file.txt").write_text(text)
    one, two = tmp_path / "one", tmp_path / "two"
    assert first_difference(one / "inner" / "file.txt", two / "inner" / "file.txt") == "file.txt: byte 3 (of 5 and 5)"
    assert first_difference({"at": one}, {"at": two}) == "['at']/inner/file.txt: byte 3 (of 5 and 5)"
    (one / "more").touch()
    assert first_difference(one, two) == "more is in the first only"
    assert first_difference(Path("/none/a"), Path("/none/b")) == "'/none/a' and '/none/b'"


def test_encodings() -> None:
    assert first_differing_byte(b"abc", b"abd") == "byte 2 (of 3 and 3)"
    assert first_differing_byte(b"abc", b"abcd") == "byte 3 (of 3 and 4)"


def test_arrays() -> None:
    np = pytest.importorskip("numpy", reason="pip install numpy to test arrays")
    zeros = np.zeros((2, 3))
    other = zeros.copy()
    other[1, 2] = 5
    other[1, 1] = 7
    assert first_difference({"a": zeros}, {"a": other}) == "['a'][1, 1]: 0.0 and 7.0 (2 of 6 differ)"
    assert first_difference(zeros, zeros.astype("f4")) == "arrays of float64 and of float32"
    assert first_difference(zeros, np.zeros(3)) == "arrays of shape (2, 3) and (3,)"
    nan = np.array([np.nan, 1.0])
    assert first_difference(nan, nan.copy()) == ""


def test_frames() -> None:
    pd = pytest.importorskip("pandas", reason="pip install pandas to test frames")
    frame = pd.DataFrame({"k": ["a", None], "v": [1.0, float("nan")]}, index=["r1", "r2"])
    assert first_difference(frame, frame.copy()) == ""
    other = frame.assign(v=[1.5, float("nan")])
    assert first_difference([frame], [other]) == "[0]['v'] row 'r1': 1.0 and 1.5"
    assert first_difference(frame, frame.assign(k=["a", "b"])).startswith("['k'] row 'r2': ")
    assert first_difference(frame, frame.rename(columns={"v": "w"})) == ".columns[1]: 'v' and 'w'"
    assert first_difference(frame, frame.iloc[:1]) == ".index: 2 and 1 rows"
    assert first_difference(frame["v"], frame["v"].astype("f4")) == "a column of float64 and of float32"
    assert first_difference(frame, frame.rename(index={"r2": "r3"})) == ".index row 1: 'r2' and 'r3'"
    counts = pd.Series([1, None], dtype="Int64")
    assert first_difference(counts, counts.copy()) == ""
    assert first_difference(counts, pd.Series([1, 2], dtype="Int64")).startswith(" row 1: ")
