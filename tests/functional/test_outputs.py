"""`outputs=`: a step that returns several values, each asked for, selected and stored by its own name."""

from __future__ import annotations

import pytest

import stepcache
from stepcache.testing import Project

SPLIT = """
from stepcache import All, parametrize, pipeline, resource, step

@step(outputs=("train", "test"))
def split(rows=(1, 2, 3), tests=("t",)):
    return list(rows), list(tests)

@step
def model(train):
    return sum(train)

@step
def score(model, test):
    return [model, *test]

@step
def whole(split):
    return sorted(split)
"""


def short(outcomes: dict[str, str]) -> dict[str, str]:
    return {node.partition("::")[2]: outcome for node, outcome in outcomes.items()}


def test_each_output_is_asked_for_by_its_own_name(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    run = stepcache.run()
    assert (run["train"], run["test"], run["model"], run["score"]) == ([1, 2, 3], ["t"], 6, [6, "t"])
    assert run["split"] == {"train": [1, 2, 3], "test": ["t"]}
    assert run["whole"] == ["test", "train"]


def test_each_output_has_a_digest_of_its_own(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    row = next(row for row in stepcache_project.run().nodes if row["id"].endswith("split"))
    assert set(row["outputs"]) == {"train", "test"}
    assert row["outputs"]["train"] != row["outputs"]["test"]
    other = next(row for row in stepcache_project.run().nodes if row["id"].endswith("model"))
    assert other["outputs"] is None


# What is edited, and the steps that run then.
EDITS = [
    ('("t",)', '("u",)', {"split", "score", "whole"}),
    ("(1, 2, 3)", "(1, 2, 4)", {"split", "model", "score", "whole"}),
    ("(1, 2, 3)", "(3, 2, 1)", {"split", "model", "whole"}),
    ('outputs=("train", "test")', 'outputs=["train", "test"]', set()),
    (
        "return list(rows), list(tests)",
        "return {'test': list(tests), 'train': list(rows)}",
        {"split"},
    ),
]


@pytest.mark.parametrize(("old", "new", "ran"), EDITS, ids=[f"{new}" for _, new, _ in EDITS])
def test_what_an_edit_runs(stepcache_project: Project, old: str, new: str, ran: set[str]) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    stepcache_project.run()
    stepcache_project.edit("pipeline_x.py", old, new)
    result = stepcache_project.run()
    assert {*result.ran} == ran
    assert set(result.outcomes.values()) <= {"ran", "cached"}


def test_the_names_are_in_the_key(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    stepcache_project.run("pipeline_x.py::split")
    stepcache_project.edit("pipeline_x.py", '("train", "test")', '("test", "train")')
    result = stepcache_project.run("pipeline_x.py::split")
    assert result.reasons == {"pipeline_x.py::split": ["setting: @step(outputs=…) changed"]}


@pytest.mark.parametrize("name", ["train", "test", "split"])
def test_an_output_is_selected_by_its_name(stepcache_project: Project, name: str) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    assert short(stepcache_project.run(f"pipeline_x.py::{name}").outcomes) == {"split": "ran"}
    assert short(stepcache_project.run("-k", f"{name} and not score").outcomes)["split"] == "cached"


def test_load_gives_one_output(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    stepcache.run("pipeline_x.py::split")
    assert stepcache.load("pipeline_x.py::test") == ["t"]
    assert stepcache.load("pipeline_x.py::split") == {"train": [1, 2, 3], "test": ["t"]}


def test_a_given_output_replaces_that_one_alone(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    run = stepcache.run("pipeline_x.py::score", values={"test": ["given"]})
    assert run["score"] == [6, "given"]
    assert {row["id"].partition("::")[2]: row["outcome"] for row in run.nodes} == {
        "split": "ran",
        "model": "ran",
        "test": "given",
        "score": "ran",
    }
    assert short(stepcache_project.run("pipeline_x.py::score").outcomes)["score"] == "ran"


@pytest.mark.parametrize("value", [([4], ["given"]), {"test": ["given"], "train": [4]}], ids=["tuple", "dict"])
def test_all_outputs_are_given_by_the_step_s_own_name(stepcache_project: Project, value: object) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    run = stepcache.run(values={"split": value})
    assert (run["train"], run["test"], run["model"], run["score"]) == ([4], ["given"], 4, [4, "given"])
    assert run["split"] == {"train": [4], "test": ["given"]}
    assert run["whole"] == ["test", "train"]
    assert {row["id"].partition("::")[2]: row["outcome"] for row in run.nodes}["split"] == "given"


def test_given_outputs_that_cannot_be_stored_are_handed_on(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    rows = (number for number in (1, 2))
    assert stepcache.run("pipeline_x.py::model", values={"split": (rows, ["t"])})["model"] == 3


@pytest.mark.parametrize(
    ("value", "got"),
    [(5, "a int"), (None, "None"), (([1],), "a tuple of 1"), ({"train": [1]}, "a dict of 'train'")],
)
def test_what_is_given_in_the_place_of_several_outputs_is_that_many(
    stepcache_project: Project, value: object, got: str
) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT)
    with pytest.raises(stepcache.UsageError) as wrong:
        stepcache.run(values={"split": value})
    assert str(wrong.value) == (
        f"values=: the outputs of 'split' are train, test, and what is given is {got}: "
        "give a tuple of 2 values in that order, or a dict of those names"
    )


def test_variants_have_outputs(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import All, parametrize, step

        @step(outputs=("low", "high"))
        @parametrize("size", [2, 3])
        def halves(size):
            return {"low": [0] * size, "high": [1] * size}

        @step
        def one(low):
            return len(low)

        @step
        def every(high: All):
            return {variant: len(value) for variant, value in high.items()}
        """,
    )
    run = stepcache.run()
    assert run["every"] == {"2": 2, "3": 3}
    assert dict(run["one"]) == {"2": 2, "3": 3}
    assert run["low[3]"] == [0, 0, 0]
    assert dict(run["high"]) == {"2": [1, 1], "3": [1, 1, 1]}
    assert short(stepcache_project.run("pipeline_x.py::high[2]").outcomes) == {"halves[2]": "cached"}


def test_takes_imports_and_resources_reach_outputs(stepcache_project: Project) -> None:
    stepcache_project.write("parts.py", SPLIT)
    stepcache_project.write(
        "pipeline_y.py",
        """
        from stepcache import resource, step
        from parts import split

        @resource
        def scale(test):
            return len(test) * 10

        @step(takes={"rows": "train"})
        def scaled(rows, scale):
            return [row * scale for row in rows]
        """,
    )
    assert stepcache.run("pipeline_y.py")["scaled"] == [10, 20, 30]


def test_an_inner_step_extends_an_outer_output(stepcache_project: Project) -> None:
    stepcache_project.write("stepconf.py", SPLIT)
    stepcache_project.write(
        "pipeline_z.py",
        """
        from stepcache import step

        @step
        def train(train):
            return [*train, "more"]
        """,
    )
    assert stepcache.run("pipeline_z.py")["train"] == [1, 2, 3, "more"]


WRONG = [
    ("return 1, 2, 3", "a tuple of 3"),
    ("return [1]", "a list of 1"),
    ("return None", "None"),
    ("return 'ab'", "a str"),
    ("return {'train': 1}", "a dict of 'train'"),
    ("return {'train': 1, 'tests': 2}", "a dict of 'train', 'tests'"),
    ("yield 1; yield 2", "a generator"),
    ("return (each for each in (1, 2))", "a generator"),
]


@pytest.mark.parametrize(("body", "got"), WRONG, ids=[body for body, _ in WRONG])
def test_other_values_than_the_outputs_are_an_error(stepcache_project: Project, body: str, got: str) -> None:
    stepcache_project.write(
        "pipeline_x.py", SPLIT.replace("return list(rows), list(tests)", body).replace("rows=(1, 2, 3)", "rows=()")
    )
    result = stepcache_project.run()
    row = next(row for row in result.nodes if row["id"] == "pipeline_x.py::split")
    assert row["error"] == (
        f"pipeline_x.py:3: pipeline_x.py::split returned {got}, and its outputs are train, test: return a tuple of 2 "
        "values in that order, or a dict of those names"
    )
    assert short(result.outcomes)["model"] == "blocked"
    assert row["error"] in result.lines


def test_an_asynchronous_generator_has_no_outputs(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        "from stepcache import step\n@step(outputs=('a', 'b'))\nasync def s():\n    yield 1\n    yield 2\n",
    )
    (row,) = stepcache_project.run().nodes
    assert "pipeline_x.py::s returned a generator, and its outputs are a, b" in row["error"]


CLASHES = [
    (
        "@step\ndef train(): ...",
        "pipeline_x.py:20: 'train' is defined twice in pipeline_x.py: as a step, and at pipeline_x.py:3 as an output of "
        "step 'split'\n  rename one of them",
    ),
    (
        "@resource\ndef test(): ...",
        "pipeline_x.py:20: 'test' is defined twice in pipeline_x.py: as a resource, and at pipeline_x.py:3 as an output "
        "of step 'split'\n  rename one of them",
    ),
    (
        "@step(outputs=('model', 'x'))\ndef other(): ...",
        "pipeline_x.py:20: 'model' is defined twice in pipeline_x.py: as an output of step 'other', and at "
        "pipeline_x.py:7 as a step\n  rename one of them",
    ),
    (
        "@step(outputs=('x', 'test'))\ndef other(): ...",
        "pipeline_x.py:20: 'test' is defined twice in pipeline_x.py: as an output of step 'other', and at "
        "pipeline_x.py:3 as an output of step 'split'\n  rename one of them",
    ),
]


@pytest.mark.parametrize(("more", "message"), CLASHES, ids=[more.split()[-2] for more, _ in CLASHES])
def test_two_definitions_of_a_name_are_an_error(stepcache_project: Project, more: str, message: str) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT + "\n\n" + more + "\n")
    result = stepcache_project.run()
    assert result.exit_code == 2
    assert result.errors == [message]


NO_NAMES = [
    ('"train"', '@step(outputs=…) takes a tuple of names, such as ("train", "test"), not \'train\''),
    ("()", '@step(outputs=…) takes a tuple of names, such as ("train", "test"), not ()'),
    ('("a", "a")', "@step(outputs=('a', 'a')): each name may stand only once"),
    ('("a", "b c")', "@step(outputs=…): a name must be a Python name, and 'b c' is none"),
    ('("split",)', "@step(outputs=…): 'split' is the name of the step, which gives all of its outputs"),
]


@pytest.mark.parametrize(("outputs", "message"), NO_NAMES, ids=[outputs for outputs, _ in NO_NAMES])
def test_outputs_are_names(stepcache_project: Project, outputs: str, message: str) -> None:
    stepcache_project.write(
        "pipeline_x.py", f"from stepcache import step\n\n@step(outputs={outputs})\ndef split(): ...\n"
    )
    result = stepcache_project.run()
    assert result.exit_code == 2
    assert message in result.errors[0]


def test_a_misspelt_output_is_told_the_nearest(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", SPLIT.replace("def model(train)", "def model(trian)"))
    (error,) = stepcache_project.run().errors
    assert "did you mean 'train' (pipeline_x.py:3)?" in error


def test_damage_to_one_output_is_healed(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        SPLIT.replace("list(rows)", "__import__('random').Random(1).randbytes(100_000)").replace(
            "sum(train)", "len(train)"
        ),
    )
    stepcache_project.run()
    for blob in stepcache_project.cache.glob("blobs/*/*"):
        blob.unlink()
    result = stepcache_project.run("-P", "tests=['u']")
    assert short(result.outcomes) == {"split": "ran", "model": "cached", "score": "ran", "whole": "ran"}
    for blob in stepcache_project.cache.glob("blobs/*/*"):
        blob.unlink()
    result = stepcache_project.run()
    assert result.exit_code == 0
    assert short(result.outcomes)["split"] == "ran"
    assert result.reasons["pipeline_x.py::split"] == ["evicted"]
