"""What is in a run: by node id, -k, -m, --deselect, --ignore, --lf and --ff; and what is listed instead of run."""

from __future__ import annotations

import textwrap

import pytest

from stepcache.testing import Project, Result

PIPELINE = """
from stepcache import All, mark, parametrize, pipeline, resource, step

@step
def source():
    return 1

@step
@mark.slow
@mark.gpu(count=2)
def features(source):
    return source + 1

@step
@parametrize("depth", [3, 5])
def model(features, depth):
    return features * depth

@step
def best(model: All):
    return max(model.values())

def check_features(features):
    assert features

@pipeline
def report(best):
    return best
"""

EVERYTHING = ["source", "features", "check_features", "model[3]", "model[5]", "best", "report"]


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PIPELINE)
    return stepcache_project


def names(result: Result) -> list[str]:
    return [line.partition("::")[2] for line in result.lines if "::" in line]


def chosen(project: Project, *args: str) -> list[str]:
    result = project.run("--collect-only", "-q", *args)
    assert result.stderr == ""
    return names(result)


TABLE: list[tuple[tuple[str, ...], list[str]]] = [
    ((), EVERYTHING),
    (("-k", "features"), ["source", "features", "check_features"]),
    (("-k", "source"), ["source"]),
    (("-k", "MODEL and 5"), ["source", "features", "check_features", "model[5]"]),
    (("-k", "model[5]"), ["source", "features", "check_features", "model[5]"]),
    (("-k", "slow"), ["source", "features", "check_features"]),
    (("-k", "pipeline_x"), []),
    (("-k", "best or source"), EVERYTHING[:-1]),
    (("-k", "not report"), EVERYTHING[:-1]),
    (("-k", "not best"), [name for name in EVERYTHING if name != "best"]),
    (("-k", "model", "-m", "not slow"), ["source", "check_features", "model[3]", "model[5]"]),
    (("-m", "slow"), ["source", "features", "check_features"]),
    (("-m", "gpu(count=2)"), ["source", "features", "check_features"]),
    (("-m", "gpu(count=3)"), []),
    (("-m", "slow and not gpu"), []),
    (("-m", "slow", "-k", "report"), []),
    (("--no-checks",), [name for name in EVERYTHING if name != "check_features"]),
    (("--no-checks", "-k", "features"), ["source", "features"]),
    (("pipeline_x.py::best",), EVERYTHING[:-1]),
    (("pipeline_x.py::model[5]", "pipeline_x.py::source"), ["source", "features", "check_features", "model[5]"]),
    (("pipeline_x.py::model",), ["source", "features", "check_features", "model[3]", "model[5]"]),
    (("pipeline_x.py::check_features",), ["source", "features", "check_features"]),
    (("pipeline_x.py::model", "-k", "3"), ["source", "features", "check_features", "model[3]"]),
]


@pytest.mark.parametrize(("args", "wanted"), TABLE, ids=[" ".join(args) or "everything" for args, _ in TABLE])
def test_what_is_chosen(project: Project, args: tuple[str, ...], wanted: list[str]) -> None:
    assert sorted(chosen(project, *args)) == sorted(wanted)


def test_nothing_chosen_is_exit_status_five(project: Project) -> None:
    for args in (("-k", "nothing"), ("-m", "nothing"), ("--collect-only", "-k", "nothing")):
        assert project.run(*args).exit_code == 5


EXCLUDING: list[tuple[tuple[str, ...], dict[str, str]]] = [
    (("-m", "not slow"), {"source": "ran", "features": "skipped"}),
    (("-k", "not features"), {"source": "ran", "features": "skipped"}),
    (("--deselect", "pipeline_x.py::features"), {"source": "ran", "features": "skipped"}),
    (("--deselect=pipeline_x.py::model[3]",), {"features": "ran", "model[3]": "skipped", "model[5]": "ran"}),
    (("--deselect=pipeline_x.py::model",), {"features": "ran", "model[3]": "skipped", "model[5]": "skipped"}),
    (("--deselect=pipeline_x.py::check_features",), {"features": "ran", "model[3]": "ran", "report": "ran"}),
]


@pytest.mark.parametrize(("args", "wanted"), EXCLUDING, ids=[" ".join(args) for args, _ in EXCLUDING])
def test_what_is_excluded_is_not_run(project: Project, args: tuple[str, ...], wanted: dict[str, str]) -> None:
    outcomes = {node.partition("::")[2]: outcome for node, outcome in project.run(*args).outcomes.items()}
    assert {name: outcomes.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("prefix", "left"),
    [
        ("sub", ["pipeline_x.py::a", "subway/pipeline_z.py::c"]),
        ("sub/", ["pipeline_x.py::a", "subway/pipeline_z.py::c"]),
        ("sub/deep", ["pipeline_x.py::a", "subway/pipeline_z.py::c"]),
        ("pipeline_x.py", ["sub/deep/pipeline_y.py::b", "subway/pipeline_z.py::c"]),
    ],
)
def test_a_file_or_folder_is_excluded(stepcache_project: Project, prefix: str, left: list[str]) -> None:
    for file, name in (("pipeline_x.py", "a"), ("sub/deep/pipeline_y.py", "b"), ("subway/pipeline_z.py", "c")):
        stepcache_project.write(file, f"from stepcache import step\n@step\ndef {name}():\n    return {name!r}\n")
    assert sorted(stepcache_project.run("--deselect", prefix).outcomes) == left


def test_what_needs_an_excluded_node_is_skipped_and_all_leaves_it_out(project: Project) -> None:
    result = project.run("--deselect=pipeline_x.py::model[3]", "-rs")
    assert result.exit_code == 0
    assert result.outcomes == {
        "pipeline_x.py::source": "ran",
        "pipeline_x.py::features": "ran",
        "pipeline_x.py::check_features": "passed",
        "pipeline_x.py::model[3]": "skipped",
        "pipeline_x.py::model[5]": "ran",
        "pipeline_x.py::best": "ran",
        "pipeline_x.py::report": "ran",
    }
    assert "SKIPPED pipeline_x.py::model[3] - deselected, and not in the cache" in result.lines


def test_what_is_excluded_may_come_from_the_cache(project: Project) -> None:
    project.run()
    result = project.run("-m", "not slow")
    assert set(result.outcomes.values()) == {"cached"}
    project.edit("pipeline_x.py", "features * depth", "features * depth * 2")
    result = project.run("-m", "not slow")
    assert result.outcomes["pipeline_x.py::features"] == "cached"
    assert result.ran == ["model[3]", "model[5]", "best", "report"]


# --- --lf and --ff ----------------------------------------------------------------------------

FAILING = """
from stepcache import step

@step
def one():
    return 1

@step
def two():
    {two}

@step
def three(two):
    return two

@step
def four():
    {four}
"""


def failing(project: Project, two: str, four: str) -> None:
    project.write("pipeline_x.py", FAILING.format(two=two, four=four))


def test_last_failed_are_those_that_failed_and_those_they_blocked(stepcache_project: Project) -> None:
    project = stepcache_project
    failing(project, "1/0", "return 4")
    assert project.run().exit_code == 1
    assert chosen(project, "--lf") == ["two", "three"]
    assert chosen(project, "--last-failed", "-k", "three") == ["two", "three"]
    assert chosen(project, "--last-failed", "-k", "one") == []
    failing(project, "return 2", "return 4")
    assert project.run("--lf").outcomes == {"pipeline_x.py::two": "ran", "pipeline_x.py::three": "ran"}
    assert chosen(project, "--lf") == ["one", "two", "three", "four"]


def test_without_a_failure_last_failed_is_everything(stepcache_project: Project) -> None:
    failing(stepcache_project, "return 2", "return 4")
    assert chosen(stepcache_project, "--lf") == ["one", "two", "three", "four"]
    stepcache_project.run()
    assert chosen(stepcache_project, "--lf") == ["one", "two", "three", "four"]


def test_failed_first(stepcache_project: Project) -> None:
    failing(stepcache_project, "return 2", "1/0")
    stepcache_project.run()
    assert chosen(stepcache_project, "--ff") == ["four", "one", "two", "three"]


def test_what_was_planned_or_listed_is_no_run(stepcache_project: Project) -> None:
    failing(stepcache_project, "1/0", "return 4")
    stepcache_project.run()
    for flag in ("--plan", "--collect-only", "--steps", "--markers"):
        stepcache_project.run(flag)
    assert chosen(stepcache_project, "--lf") == ["two", "three"]


# --- lists ------------------------------------------------------------------------------------


def test_collect_only_shows_the_nodes_by_file(project: Project) -> None:
    project.write("pipeline_y.py", "from stepcache import step\n\n@step\ndef other():\n    return 1\n")
    result = project.run("--collect-only", "--no-header")
    assert result.exit_code == 0
    text = "\n".join(result.lines)
    assert "pipeline_x.py" in text
    assert "pipeline_y.py" in text
    for name in (*EVERYTHING, "other"):
        assert name in text
    assert project.run("--collect-only").outcomes == {}


def test_collect_only_runs_and_writes_nothing(project: Project) -> None:
    project.write("pipeline_x.py", PIPELINE.replace("return 1\n", "raise AssertionError\n"))
    assert project.run("--collect-only").exit_code == 0
    assert project.run("--cache-show").lines == project.run("--cache-show").lines
    assert not [line for line in project.run("--cache-show").lines if "pipeline_x" in line]


def test_steps_lists_what_can_be_asked_for(project: Project) -> None:
    project.write("stepconf.py", 'from stepcache import resource\n\n@resource\ndef connection():\n    """A line."""\n')
    result = project.run("--steps", "--no-header")
    assert result.exit_code == 0
    listed = [line.partition(" -- ")[0] for line in result.lines if " -- " in line]
    assert listed == ["source", "features", "model", "best", "report [pipeline]", "connection [resource]"]


def test_markers_lists_the_known_marks(project: Project) -> None:
    project.configure("markers = ['slow: takes long']\n")
    result = project.run("--markers", "--no-header")
    assert result.exit_code == 0
    assert [line for line in result.lines if line.startswith("@mark.")] == [
        "@mark.skip(reason): never run it: it, and what needs it, is skipped",
        "@mark.skipif(condition, reason=...): skip it where the condition is true",
        "@mark.slow: takes long",
    ]


def test_strict_markers_refuses_unknown_marks(project: Project) -> None:
    assert project.run("--collect-only").exit_code == 0
    result = project.run("--strict-markers")
    line = PIPELINE[: PIPELINE.index("@step\n@mark.slow")].count("\n")
    assert result.exit_code == 2
    assert sorted(result.errors) == [
        f"pipeline_x.py:{line}: 'gpu' is no known mark\n"
        "  add it to `markers` in the configuration, or correct the name",
        f"pipeline_x.py:{line}: 'slow' is no known mark\n"
        "  add it to `markers` in the configuration, or correct the name",
    ]
    project.configure("markers = ['slow: takes long', 'gpu(count)']\naddopts = '--strict-markers'\n")
    assert project.run().exit_code == 0


# --- errors -----------------------------------------------------------------------------------

HALF_BROKEN = """
from stepcache import pipeline, step

@step
def sound():
    return 1

@step
def broken(nothing):
    return 1

@step
def below(broken, sound):
    return 1

def check_sound(sound):
    assert sound

def check_broken(broken):
    assert broken
"""


def test_with_errors_nothing_is_run(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", HALF_BROKEN)
    stepcache_project.write("pipeline_y.py", "import no_such_module_at_all\n")
    result = stepcache_project.run()
    assert result.exit_code == 2
    assert result.outcomes == {}
    assert len(result.errors) == 2


def test_in_spite_of_errors_what_could_be_collected_is_run(stepcache_project: Project) -> None:
    """Nodes with errors, and what needs them, are not."""
    stepcache_project.write("pipeline_x.py", HALF_BROKEN)
    stepcache_project.write("pipeline_y.py", "import no_such_module_at_all\n")
    stepcache_project.write("sub/stepconf.py", "1/0\n")
    stepcache_project.write("sub/pipeline_z.py", "from stepcache import step\n\n@step\ndef far():\n    return 1\n")
    result = stepcache_project.run("--continue-on-collection-errors")
    assert result.exit_code == 1
    assert result.outcomes == {"pipeline_x.py::sound": "ran", "pipeline_x.py::check_sound": "passed"}
    assert result.errors == [
        "pipeline_y.py:1: cannot be imported: ModuleNotFoundError: No module named 'no_such_module_at_all'\n"
        "    import no_such_module_at_all\n"
        "  install it, correct the name, or name its folder in `pythonpath` of the configuration",
        "sub/stepconf.py:1: cannot be imported: ZeroDivisionError: division by zero\n    1/0",
        "pipeline_x.py:7: step 'broken' wants 'nothing', and nothing provides it\n"
        "    def broken(nothing)\n"
        "  as a required setting it can be given with -P broken.nothing=VALUE\n"
        "  `stepcache --steps` lists what can be asked for",
    ]


def test_in_spite_of_a_circle_what_stands_beside_it_is_run(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        textwrap.dedent("""
        from stepcache import step

        @step
        def one(two):
            return 1

        @step
        def two(one):
            return 1

        @step
        def beside():
            return 1
        """),
    )
    result = stepcache_project.run("--continue-on-collection-errors")
    assert (result.exit_code, result.outcomes) == (1, {"pipeline_x.py::beside": "ran"})
    assert len(result.errors) == 1


def test_node_ids_that_are_not_there_are_all_named(project: Project) -> None:
    result = project.run("pipeline_x.py::bets", "pipeline_x.py::model[4]", "pipeline_x.py::zzz", "pipeline_x.py::best")
    assert result.exit_code == 4
    assert result.stderr == (
        "ERROR: pipeline_x.py::bets: there is no such node in pipeline_x.py\n"
        "  did you mean pipeline_x.py::best?\n"
        "  `stepcache --collect-only -q` lists the nodes\n"
        "pipeline_x.py::model[4]: there is no such node in pipeline_x.py\n"
        "  'model' has model[3], model[5]\n"
        "  `stepcache --collect-only -q` lists the nodes\n"
        "pipeline_x.py::zzz: there is no such node in pipeline_x.py\n"
        "  `stepcache --collect-only -q` lists the nodes\n"
    )


def test_arguments_that_mean_nothing_are_all_named(project: Project) -> None:
    project.write("data.csv")
    project.write("test_x.py")
    result = project.run("pipeline_no.py", "data.csv", "test_x.py", ".::x", "nothing::here")
    assert result.exit_code == 4
    assert result.stderr == (
        "ERROR: file or directory not found: pipeline_no.py\n"
        "data.csv is no Python file: give a pipeline file, a directory or a node id\n"
        "test_x.py is a file of tests: pytest runs those, stepcache never does\n"
        ".::x: . is a directory: a node id starts with a file\n"
        "file or directory not found: nothing::here\n"
    )
