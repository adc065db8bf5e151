"""Checks that are no plain functions of asserts: what counts as one, and what each way to end means."""

from __future__ import annotations

import pytest

from stepcache.testing import Project, Result

START = """\
import functools
import unittest

import pytest
import stepcache
from stepcache import Each, parametrize, step

from decorators import *


@step
def raw():
    return [1, 2, 3]


@step
def after(raw):
    return len(raw)


"""

DECORATORS = """
    import functools

    def careful(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)
        return wrapper

    def careless(function):
        def wrapper(raw):
            return function(raw)
        return wrapper

    def shapeless(function):
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)
        return wrapper

    def check_imported(raw):
        assert False
"""


def run(project: Project, text: str, *args: str) -> Result:
    project.write("decorators.py", DECORATORS)
    project.path.joinpath("pipeline_x.py").write_text(START + text)
    return project.run(*(args or ("--tb=no",)))


def outcomes(result: Result) -> dict[str, str]:
    return {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()}


def errors(result: Result) -> dict[str, str]:
    return {row["id"].partition("::")[2]: row["error"] for row in result.nodes if row["error"]}


# --- which are checks

ODD = """\
def base(raw, n=3):
    assert n == 2

check_lambda = lambda raw: [][len(raw)]
check_partial = functools.partial(base, n=1)
check_alias = base

@careful
def check_wrapped(raw):
    assert not raw

@careless
def check_wrapped_by_another_module(raw):
    assert not raw

@functools.cache
def check_cached(limit=3):
    assert limit == 4
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_what_a_file_calls_check_is_one(stepcache_project: Project, workers: tuple[str, ...]) -> None:
    assert outcomes(run(stepcache_project, ODD, "--tb=no", *workers)) == {
        "raw": "ran",
        "check_lambda": "failed",
        "check_partial": "failed",
        "check_alias": "failed",
        "check_wrapped": "failed",
        "check_wrapped_by_another_module": "failed",
        "check_cached": "failed",
        "after": "blocked",
    }


def test_what_is_imported_or_no_function_is_none(stepcache_project: Project) -> None:
    text = """\
from decorators import check_imported as check_renamed

check_limit = 3

class check_class:
    def __init__(self, raw):
        assert False

class Schema:
    def __call__(self, raw):
        assert False

check_schema = Schema()

@stepcache.check(False)
@careless
def check_none(raw):
    assert False
"""
    assert outcomes(run(stepcache_project, text)) == {"raw": "ran", "after": "ran"}


def test_a_decorator_that_hides_the_signature_is_told(stepcache_project: Project) -> None:
    result = run(stepcache_project, "@shapeless\ndef check_it(raw):\n    assert False\n")
    assert result.exit_code == 2
    assert result.errors[0] == (
        "pipeline_x.py:22: check 'check_it' has *args in its signature\n  name each step and setting that it takes"
    )


# --- how they end


def test_one_that_returns_something_fails(stepcache_project: Project) -> None:
    result = run(
        stepcache_project,
        """\
def check_one(raw):
    return raw == [1]

def check_each(raw: Each):
    return True

def check_generator(raw):
    yield
    assert False
""",
    )
    asks = "and a check asserts and returns nothing: did you mean `assert` instead of `return`?"
    assert errors(result) == {
        "check_one": f"pipeline_x.py:21: pipeline_x.py::check_one returned a bool, {asks}",
        "check_each": f"element 0: pipeline_x.py:24: pipeline_x.py::check_each returned a bool, {asks} "
        "(and 2 more elements)",
        "check_generator": f"pipeline_x.py:27: pipeline_x.py::check_generator returned a generator, {asks}",
    }
    assert outcomes(result)["after"] == "blocked"


def test_one_that_awaits(stepcache_project: Project) -> None:
    result = run(
        stepcache_project,
        "async def check_good(raw):\n    assert raw\n\n\nasync def check_bad(raw):\n    assert len(raw) == 4\n",
        "--tb=short",
    )
    assert outcomes(result) == {"raw": "ran", "check_good": "passed", "check_bad": "failed", "after": "blocked"}
    text = result.stdout.partition(" FAILURES ")[2].partition("\n")[2]
    assert text.splitlines()[1:5] == [
        "pipeline_x.py:26: in check_bad",
        "    assert len(raw) == 4",
        "E   assert 3 == 4",
        "E    +  where 3 = len([1, 2, 3])",
    ]


def test_every_way_to_skip_skips(stepcache_project: Project) -> None:
    ways = ("pytest.skip('why')", "raise unittest.SkipTest('why')", "stepcache.skip('why')")
    text = "".join(f"def check_{n}(raw):\n    {way}\n\n" for n, way in enumerate(ways))
    text += "def check_each(raw: Each):\n    pytest.skip('why')\n"
    result = run(stepcache_project, text, "-rs")
    assert outcomes(result) == {
        "raw": "ran", "check_0": "skipped", "check_1": "skipped", "check_2": "skipped", "check_each": "skipped",
        "after": "skipped",
    }  # fmt: skip
    assert "SKIPPED pipeline_x.py::check_1 - why" in result.lines


def test_every_other_way_to_end_fails(stepcache_project: Project) -> None:
    ways = {
        "raise SystemExit(0)": "SystemExit: 0",
        "pytest.fail('no good')": "Failed: no good",
        "pytest.xfail('later')": "_pytest.outcomes.XFailed: later",
        "with pytest.raises(ValueError): pass": "Failed: DID NOT RAISE ValueError",
        "raise AssertionError": "AssertionError",
        "raise GeneratorExit": "GeneratorExit",
    }
    text = "".join(f"def check_{n}(raw):\n    {way}\n\n" for n, way in enumerate(ways))
    assert [*errors(run(stepcache_project, text)).values()] == [*ways.values()]


@pytest.mark.parametrize("args", [(), ("-n2",)])
@pytest.mark.parametrize("signature", ["raw", "raw: Each"])
def test_an_interrupt_ends_the_run(stepcache_project: Project, args: tuple[str, ...], signature: str) -> None:
    result = run(stepcache_project, f"def check_it({signature}):\n    raise KeyboardInterrupt\n", *args)
    assert (result.exit_code, outcomes(result)) == (2, {"raw": "ran", "check_it": "skipped", "after": "skipped"})


# --- in which order


def test_they_run_as_they_stand_in_the_file(stepcache_project: Project) -> None:
    text = "".join(f"def check_{name}(raw):\n    pass\n\n\n" for name in ("z", "a", "m"))
    assert [*outcomes(run(stepcache_project, text))] == ["raw", "check_z", "check_a", "check_m", "after"]
