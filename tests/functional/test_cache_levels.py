"""Which nodes have their cache on: the run decides before the pipeline, the pipeline before the step."""

from __future__ import annotations

from itertools import product

import pytest

from stepcache.testing import Project

PIPELINE = """
    from stepcache import pipeline, step

    @step(enable_cache={step})
    def a():
        return 1

    @step
    def b(a):
        return a + 1

    @pipeline(enable_cache={pipeline})
    def whole(b):
        return b
"""

# What the run says, as arguments of the command and as `run(enable_cache=…)`.
RUNS = {"nothing": ([], None), "on": (["--cache=on"], True), "off": (["--no-cache"], False)}


def is_on(run: str, pipeline: bool, step: bool) -> bool:
    """The contract's three lines: the first that applies decides."""
    if run != "nothing":
        return run == "on"
    return pipeline and step


TABLE = list(product(RUNS, (True, False), (True, False)))


@pytest.mark.parametrize(("run", "pipeline", "step"), TABLE)
def test_the_levels(stepcache_project: Project, run: str, pipeline: bool, step: bool) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", PIPELINE.format(step=step, pipeline=pipeline))
    arguments, _ = RUNS[run]
    project.run(*arguments)
    again = project.run(*arguments)
    rest = is_on(run, pipeline, True)
    assert again.outcomes == {
        "pipeline_x.py::a": "cached" if is_on(run, pipeline, step) else "ran",
        "pipeline_x.py::b": "cached" if rest else "ran",
        "pipeline_x.py::whole": "cached" if rest else "ran",
    }
    assert set(map(tuple, again.reasons.values())) <= {("cache off",)}


@pytest.mark.parametrize(("run", "pipeline", "step"), TABLE)
def test_the_levels_from_python(stepcache_project: Project, run: str, pipeline: bool, step: bool) -> None:
    import stepcache

    project = stepcache_project
    project.write("pipeline_x.py", PIPELINE.format(step=step, pipeline=pipeline))
    _, enable = RUNS[run]
    stepcache.run(enable_cache=enable)
    again = stepcache.run(enable_cache=enable)
    outcomes = {row["id"].partition("::")[2]: row["outcome"] for row in again.nodes}
    rest = "cached" if is_on(run, pipeline, True) else "ran"
    assert outcomes == {"a": "cached" if is_on(run, pipeline, step) else "ran", "b": rest, "whole": rest}
    assert again["whole"] == 2


@pytest.mark.parametrize("enable", [True, False])
def test_a_pipelines_own_run_decides_for_all_its_nodes(stepcache_project: Project, enable: bool) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", PIPELINE.format(step=not enable, pipeline=not enable))
    project.write("script.py", "import pipeline_x\nfor _ in range(2):\n"
                  f"    run = pipeline_x.whole.run(enable_cache={enable})\n"
                  "print([row['outcome'] for row in run.nodes])\n")  # fmt: skip
    outcome = "cached" if enable else "ran"
    assert project.python("script.py").stdout == f"{[outcome] * 3}\n"


def test_a_pipeline_that_is_off_turns_off_what_it_shares(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import pipeline, step

        @step
        def shared():
            return 1

        @step
        def only_in_first(shared):
            return 2

        @step
        def only_in_second(shared):
            return 3

        @pipeline(enable_cache=False)
        def first(only_in_first): ...

        @pipeline
        def second(only_in_second): ...
        """,
    )
    project.run()
    assert project.run().ran == ["shared", "only_in_first", "first"]
    # Alone, the second pipeline has its cache; nothing of `shared` was ever stored.
    assert project.run("pipeline_x.py::second").ran == ["shared"]
    assert project.run("pipeline_x.py::second").ran == []


def test_checks_of_a_pipeline_that_is_off_run_each_time(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        from stepcache import pipeline, step

        @step
        def a():
            return 1

        def check_a(a):
            assert a == 1

        @pipeline(enable_cache=False)
        def whole(a): ...
        """,
    )
    project.run()
    assert project.run().outcomes["pipeline_x.py::check_a"] == "passed"
    project.run("--cache=on")
    assert project.run("--cache=on").outcomes["pipeline_x.py::check_a"] == "cached"


def test_a_step_selected_by_its_id_goes_by_the_run_and_itself(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", PIPELINE.format(step=True, pipeline=False))
    project.run("pipeline_x.py::b")
    assert project.run("pipeline_x.py::b").ran == []
    # A pipeline that is selected in the same run and needs it decides for it.
    assert project.run("pipeline_x.py::b", "pipeline_x.py::whole").ran == ["a", "b", "whole"]
    # A pipeline selected by its id goes by all three lines.
    assert project.run("pipeline_x.py::whole").ran == ["a", "b", "whole"]
    assert project.run("pipeline_x.py::b", "--no-cache").ran == ["a", "b"]


def test_a_step_that_is_off_selected_by_its_id_is_off(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", PIPELINE.format(step=False, pipeline=True))
    project.run("pipeline_x.py::b")
    assert project.run("pipeline_x.py::b").outcomes == {"pipeline_x.py::a": "ran", "pipeline_x.py::b": "cached"}


def test_saying_on_switches_nothing_back_on(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", PIPELINE.format(step=True, pipeline=False))
    project.run()
    assert project.run().ran == ["a", "b", "whole"]


def test_what_a_step_that_is_off_makes_stops_the_wave(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", PIPELINE.format(step=False, pipeline=True))
    project.run()
    result = project.run()
    assert result.ran == ["a"]
    assert result.reasons == {"pipeline_x.py::a": ["cache off"]}
    project.edit("pipeline_x.py", "return 1", "return 5")
    assert project.run().ran == ["a", "b", "whole"]


def test_off_writes_nothing_that_a_later_run_would_read(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", PIPELINE.format(step=True, pipeline=True))
    project.run("--no-cache")
    assert not project.cache.exists()
    assert project.run().ran == ["a", "b", "whole"]


def test_turning_the_cache_on_or_off_causes_no_run(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", PIPELINE.format(step=True, pipeline=True))
    project.run()
    project.edit("pipeline_x.py", "@step(enable_cache=True)", "@step(enable_cache=False)")
    assert project.run().ran == ["a"]
    project.edit("pipeline_x.py", "@step(enable_cache=False)", "@step")
    assert project.run().ran == []


@pytest.mark.parametrize("decorator", ["step", "pipeline"])
def test_enable_cache_is_true_or_false(stepcache_project: Project, decorator: str) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        f"""
        from stepcache import {decorator}

        @{decorator}(enable_cache="no")
        def a(): ...
        """,
    )
    result = project.run()
    assert (result.exit_code, len(result.errors)) == (2, 1)
    assert f"@{decorator}(enable_cache=…) takes True or False, not 'no'" in result.errors[0]
