"""How a failure is shown: pytest's styles, from the user's frame on."""

from __future__ import annotations

import linecache
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stepcache.model import Failure
from stepcache.report import traceback
from stepcache.report.traceback import failure_text

SOURCE = '''\
"""A module."""


def helper(rows):
    total = sum(rows)
    raise ValueError(f"bad\\nsecond {total}")


def middle(rows):
    return helper(rows)


def step(flights, n=3):
    x = middle(
        flights)
    return x


def caused():
    try:
        helper([])
    except ValueError as error:
        raise RuntimeError("other") from error


def handled():
    try:
        helper([])
    except ValueError:
        {}["x"]


def group():
    raise ExceptionGroup("many", [ValueError("one"), TypeError("two")])


def check(a):
    assert a == 2


def check_told(a):
    assert a == 2, "wrong"


def noted():
    error = ValueError("bad")
    error.add_note("a note")
    raise error


def hidden(a):
    __tracebackhide__ = True
    check(a)


def uses_hidden():
    hidden(1)


class array:
    """reprlib goes by the names of types, and believes that this has a typecode."""


class Odd:
    def __repr__(self):
        raise OSError("no repr")


def long_values(odd, text, table):
    raise ValueError


def endless(n):
    return endless(n + 1)


def to(n, depth):
    if n == depth:
        raise ValueError("deep")
    return fro(n + 1, depth)


def fro(n, depth):
    return to(n, depth)


def wander(digits):
    if digits[0] == "1":
        return wander(digits[1:])
    if digits[0] == "2":
        return wander(digits[1:])
    if digits[0] == "3":
        return wander(digits[1:])
    raise ValueError("lost")
'''


@pytest.fixture
def fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Failure]:
    """Calls a function of SOURCE as the run does, and tells how it failed."""
    file = tmp_path / "pipeline_x.py"
    file.write_text(SOURCE)
    namespace: dict[str, object] = {"__name__": "pipeline_x", "__file__": str(file)}
    exec(compile(SOURCE, str(file), "exec"), namespace)
    # This test's own frame stands for those of stepcache, which are left out.
    monkeypatch.setattr(traceback, "_PACKAGE", __file__)
    linecache.clearcache()

    def run(name: str, *args: object, style: str = "auto", showlocals: bool = False) -> Failure:
        function = namespace[name]
        assert callable(function)
        try:
            function(*[namespace[arg]() if arg in ("Odd", "array") else arg for arg in args])  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - whatever they raise
            return failure_text(error, style, showlocals=showlocals, start=str(tmp_path))  # type: ignore[arg-type]
        raise AssertionError("it did not fail")

    return run


BAR = ("_ " * 40).rstrip()


def test_auto(fail):
    found = fail("step", [1, 2])

    assert found.summary == "ValueError: bad"
    assert found.location == "pipeline_x.py:6"
    assert isinstance(found.exception, ValueError)
    assert found.text.split("\n") == [
        "",
        "flights = [1, 2], n = 3",
        "",
        "    def step(flights, n=3):",
        ">       x = middle(",
        "            flights)",
        "",
        "pipeline_x.py:14: ",
        BAR,
        "pipeline_x.py:10: in middle",
        "    return helper(rows)",
        BAR,
        "",
        "rows = [1, 2]",
        "",
        "    def helper(rows):",
        "        total = sum(rows)",
        '>       raise ValueError(f"bad\\nsecond {total}")',
        "E       ValueError: bad",
        "E       second 3",
        "",
        "pipeline_x.py:6: ValueError",
    ]


def test_short(fail):
    assert fail("step", [1, 2], style="short").text.split("\n") == [
        "pipeline_x.py:14: in step",
        "    x = middle(",
        "pipeline_x.py:10: in middle",
        "    return helper(rows)",
        "pipeline_x.py:6: in helper",
        '    raise ValueError(f"bad\\nsecond {total}")',
        "E   ValueError: bad",
        "E   second 3",
    ]


def test_long_shows_every_frame_whole(fail):
    lines = fail("step", [1], style="long").text.split("\n")

    assert "    def middle(rows):" in lines
    assert ">       return helper(rows)" in lines


def test_line_native_and_no(fail, tmp_path: Path):
    assert fail("step", [1], style="line").text == f"{tmp_path}/pipeline_x.py:6: ValueError: bad"
    assert fail("step", [1], style="no").text == ""
    native = fail("step", [1], style="native").text.split("\n")
    assert native[:2] == ["Traceback (most recent call last):", f'  File "{tmp_path}/pipeline_x.py", line 14, in step']
    assert native[-2:] == ["ValueError: bad", "second 1"]


def test_locals(fail):
    lines = fail("helper", [1, 2], showlocals=True).text.split("\n")

    assert lines[-5:] == ["", "rows       = [1, 2]", "total      = 3", "", "pipeline_x.py:6: ValueError"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("caused", "The above exception was the direct cause of the following exception:"),
        ("handled", "During handling of the above exception, another exception occurred:"),
    ],
)
def test_what_led_to_it_comes_first(fail, name: str, words: str):
    lines = fail(name, style="short").text.split("\n")

    assert lines.index("E   ValueError: bad") < lines.index(words) < len(lines) - 1
    assert lines[-1] == {"caused": "E   RuntimeError: other", "handled": "E   KeyError: 'x'"}[name]


def test_groups_are_told_as_python_does(fail, tmp_path: Path):
    found = fail("group")

    assert found.summary == "ExceptionGroup: many (2 sub-exceptions)"
    assert found.text.split("\n") == [
        "  + Exception Group Traceback (most recent call last):",
        f'  |   File "{tmp_path}/pipeline_x.py", line 34, in group',
        '  |     raise ExceptionGroup("many", [ValueError("one"), TypeError("two")])',
        "  | ExceptionGroup: many (2 sub-exceptions)",
        "  +-+---------------- 1 ----------------",
        "    | ValueError: one",
        "    +---------------- 2 ----------------",
        "    | TypeError: two",
        "    +------------------------------------",
    ]


def test_assertions(fail):
    """A bare one shows what was asserted."""
    assert fail("check", 1).summary == "assert a == 2"
    assert fail("check", 1).text.split("\n")[-4:] == [
        ">       assert a == 2",
        "E       assert a == 2",
        "",
        "pipeline_x.py:38: AssertionError",
    ]
    assert fail("check_told", 1).summary == "AssertionError: wrong"


def test_notes_are_told(fail):
    assert fail("noted", style="short").text.split("\n")[-2:] == ["E   ValueError: bad", "E   a note"]


def test_hidden_frames(fail):
    lines = fail("uses_hidden", style="short").text.split("\n")

    assert [line for line in lines if line.startswith("pipeline_x.py")] == [
        "pipeline_x.py:57: in uses_hidden",
        "pipeline_x.py:38: in check",
    ]


def test_values_are_cut_whatever_their_repr_does(fail):
    told = fail("long_values", "Odd", "x" * 1000, "a\nb").text.split("\n")[1]

    assert told.startswith("odd = <Odd instance at 0x")
    assert told.endswith("table = 'a\\nb'")
    assert len(told) < 450


def test_a_value_that_cannot_be_shown(fail):
    told = fail("long_values", "array", 1, 2).text.split("\n")[1]

    assert told.startswith("odd = <[AttributeError raised in repr()] array object at 0x")


def test_an_exception_whose_text_cannot_be_had():
    class Bad(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    try:
        raise Bad
    except Bad as error:
        found = failure_text(error, "short")

    assert found.summary.endswith("Bad: <exception str() failed>")


def test_a_syntax_error_shows_where(tmp_path: Path):
    try:
        compile("a = (\n", "pipeline_bad.py", "exec")
    except SyntaxError as error:
        found = failure_text(error, "short", start=str(tmp_path))

    assert found.summary == "SyntaxError: '(' was never closed (pipeline_bad.py, line 1)"
    assert 'E     File "pipeline_bad.py", line 1' in found.text.split("\n")


def test_circles_of_causes_end():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one

    assert failure_text(one, "short").text.count("direct cause") == 1


def test_the_module_is_imported_only_for_a_failure():
    import subprocess

    code = "import sys, stepcache.report; print([m for m in ('traceback', 'difflib', 'textwrap') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert told == "[]\n"


def test_rounds_of_a_recursion_are_left_out(fail):
    text = fail("endless", 0, style="short").text
    line = next(each for each in text.split("\n") if each.startswith("..."))

    assert re.fullmatch(r"\.\.\. [89]\d\d more frames of this recursion \.\.\.", line)
    assert text.replace(line, "...").split("\n") == [
        "pipeline_x.py:74: in endless",
        "    return endless(n + 1)",
        "...",
        "pipeline_x.py:74: in endless",
        "    return endless(n + 1)",
        "E   RecursionError: maximum recursion depth exceeded",
    ]
    assert len(fail("endless", 0).text.split("\n")) < 30


def test_a_recursion_through_several_functions(fail):
    assert fail("to", 0, 50, style="short").text.split("\n") == [
        "pipeline_x.py:80: in to",
        "    return fro(n + 1, depth)",
        "pipeline_x.py:84: in fro",
        "    return to(n, depth)",
        "... 96 more frames of this recursion ...",
        "pipeline_x.py:80: in to",
        "    return fro(n + 1, depth)",
        "pipeline_x.py:84: in fro",
        "    return to(n, depth)",
        "pipeline_x.py:79: in to",
        '    raise ValueError("deep")',
        "E   ValueError: deep",
    ]


def test_two_calls_of_one_function_are_both_shown(fail):
    assert "more frames" not in fail("to", 0, 2, style="short").text


def test_the_middle_of_a_very_long_traceback_is_left_out(fail):
    draw = random.Random(7)
    text = fail("wander", "".join(draw.choice("123") for _ in range(300)) + "0", style="short").text

    assert re.search(r"\n\.\.\. \d{2,3} more frames \.\.\.\n", text)
    assert text.count(": in wander") == 100 - len(re.findall("of this recursion", text))
    assert text.endswith("E   ValueError: lost")
