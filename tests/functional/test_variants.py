"""parametrize: which variants there are, what they are called, and who gets which."""

from __future__ import annotations

import pytest

import stepcache
from stepcache.testing import Project

HEAD = """
from stepcache import All, check, mark, param, parametrize, pipeline, resource, step
"""


def pipeline(project: Project, text: str, name: str = "pipeline_x.py") -> None:
    import textwrap

    project.write(name, HEAD + textwrap.dedent(text))


def names(project: Project, *args: str) -> list[str]:
    result = project.run("--collect-only", "-q", *args)
    assert result.stderr == ""
    return [line.partition("::")[2] for line in result.lines if "::" in line]


# --- ids --------------------------------------------------------------------------------------

IDS = [
    ("[1, 2.5, True, None, 1e-7, -3]", ["1", "2.5", "True", "None", "1e-07", "-3"]),
    ("['a', 'b c', '', 'ü', 'a-b']", ["a", "b c", "", "ü", "a-b"]),
    (r"['line\n', 'tab\t', b'bytes\xff']", [r"line\n", r"tab\t", r"bytes\xff"]),
    ("[[1], {'a': 1}, frozenset()]", ["x0", "x1", "x2"]),
    ("[1, 1, 2, 'a', 'a']", ["1_0", "1_1", "2", "a0", "a1"]),
    ("['a', 'a', 'a0']", ["a1", "a2", "a0"]),
    ("[date(2024, 2, 29), datetime(2024, 2, 29, 12, 30)]", ["2024-02-29", "2024-02-29T12:30:00"]),
    ("[Path('data/one.csv'), File('two.csv')]", ["one.csv", "two.csv"]),
    ("[Colour.RED, Colour.GREEN]", ["RED", "GREEN"]),
    ("[int, len, re.compile('a.c')]", ["int", "len", "a.c"]),
    ("[param(1, id='one'), param(2), 3]", ["one", "2", "3"]),
    ("[1, 2], ids=['first', None]", ["first", "2"]),
    ("[1, 2], ids=lambda v: f'v{v}' if v == 1 else None", ["v1", "2"]),
    ("[1, 2], ids=[10, 2.5]", ["10", "2.5"]),
    ("range(3)", ["0", "1", "2"]),
    ("(n * n for n in (2, 3))", ["4", "9"]),
    ("[]", ["NOTSET"]),
]


@pytest.mark.parametrize(("values", "wanted"), IDS, ids=[values for values, _ in IDS])
def test_ids(stepcache_project: Project, values: str, wanted: list[str]) -> None:
    pipeline(
        stepcache_project,
        f"""
        import enum, re
        from datetime import date, datetime
        from pathlib import Path
        from stepcache import File

        class Colour(enum.Enum):
            RED = 1
            GREEN = 2

        @step
        @parametrize("x", {values})
        def work(x):
            return repr(x)
        """,
    )
    assert names(stepcache_project) == [f"work[{each}]" for each in wanted]


@pytest.mark.parametrize(
    ("decorators", "wanted"),
    [
        ('@parametrize("x, y", [(1, 2), (3, 4)])', ["1-2", "3-4"]),
        ('@parametrize(("x", "y"), [[1, 2], param(3, 4, id="p")])', ["1-2", "p"]),
        ('@parametrize("y", [1, 2])\n@parametrize("x", ["a", "b"])', ["a-1", "a-2", "b-1", "b-2"]),
        ('@parametrize("x", [1])\n@parametrize("y", [param(2, id="p")])', ["p-1"]),
    ],
)
@pytest.mark.parametrize("above", [True, False])
def test_several_names_and_several_decorators(
    stepcache_project: Project, decorators: str, wanted: list[str], above: bool
) -> None:
    """The decorator next to the function comes first in the id, as in pytest, above `@step` or below it."""
    head = f"{decorators}\n@step" if above else f"@step\n{decorators}"
    stepcache_project.write("pipeline_x.py", f"{HEAD}\n{head}\ndef work(x, y):\n    return x, y\n")
    assert names(stepcache_project) == [f"work[{each}]" for each in wanted]


# --- who gets which ---------------------------------------------------------------------------


def test_a_consumer_has_the_variants_of_what_it_needs(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("size", [1, 2])
        def source(size):
            return size

        @step
        def double(source):
            return 2 * source

        @step
        @parametrize("way", ["up", "down"])
        def last(double, way):
            return way, double
        """,
    )
    run = stepcache.run(check=True)
    assert dict(run["last"]) == {
        "1-up": ("up", 2),
        "1-down": ("down", 2),
        "2-up": ("up", 4),
        "2-down": ("down", 4),
    }
    assert run["last[2-up]"] == ("up", 4)
    assert run.table("double") == [{"size": 1, "value": 2}, {"size": 2, "value": 4}]


def test_one_parametrised_ancestor_reached_along_two_ways_is_one_choice(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("size", [1, 2])
        def source(size):
            return size

        @step
        def left(source):
            return "left", source

        @step
        def right(source):
            return "right", source

        @step
        def last(left, right, source):
            return left, right, source
        """,
    )
    assert dict(stepcache.run(check=True)["last"]) == {
        "1": (("left", 1), ("right", 1), 1),
        "2": (("left", 2), ("right", 2), 2),
    }


def test_two_parametrised_ancestors_are_a_product(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("size", [1, 2])
        def one(size):
            return size

        @step
        @parametrize("size", ["a", "b"])
        def other(size):
            return size

        @step
        def last(one, other):
            return one, other
        """,
    )
    assert dict(stepcache.run(check=True)["last"]) == {
        "1-a": (1, "a"),
        "1-b": (1, "b"),
        "2-a": (2, "a"),
        "2-b": (2, "b"),
    }


def test_all_gives_every_variant_by_id_with_its_values(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("depth", [3, 5])
        @parametrize("lr", [0.1, 0.2])
        def model(lr, depth):
            return lr * depth

        @step
        def best(model: "All"):
            return {"ids": list(model), "values": list(model.values()), "params": dict(model.params)}
        """,
    )
    best = stepcache.run(check=True)["best"]
    assert best["ids"] == ["0.1-3", "0.1-5", "0.2-3", "0.2-5"]
    assert best["values"] == [0.1 * 3, 0.1 * 5, 0.2 * 3, 0.2 * 5]
    assert best["params"]["0.2-3"] == {"lr": 0.2, "depth": 3}


def test_all_is_over_the_variants_that_agree_with_the_consumers_own(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("size", [1, 2])
        def source(size):
            return size

        @step
        @parametrize("way", ["up", "down"])
        def model(source, way):
            return way, source

        @step
        def best(source, model: All[tuple]):
            return source, dict(model), {k: dict(v) for k, v in model.params.items()}
        """,
    )
    assert dict(stepcache.run(check=True)["best"]) == {
        "1": (1, {"up": ("up", 1), "down": ("down", 1)}, {"up": {"way": "up"}, "down": {"way": "down"}}),
        "2": (2, {"up": ("up", 2), "down": ("down", 2)}, {"up": {"way": "up"}, "down": {"way": "down"}}),
    }


def test_parametrising_a_steps_name_replaces_that_edge(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        def source():
            raise AssertionError("not needed")

        @step
        @parametrize("source", ["given"])
        def work(source):
            return source

        @pipeline
        def report(work):
            return work
        """,
    )
    run = stepcache.run(check=True)
    assert [row["id"] for row in run.nodes] == ["pipeline_x.py::work[given]", "pipeline_x.py::report[given]"]
    assert dict(run["report"]) == {"given": "given"}


def test_parametrising_a_setting_replaces_its_default(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("size", [1, 2])
        def work(size=7, other=8):
            return size, other
        """,
    )
    assert dict(stepcache.run(check=True)["work"]) == {"1": (1, 8), "2": (2, 8)}


def test_marks_of_one_choice(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("size", [1, param(2, marks=mark.skip("too large")), param(3, marks=[mark.slow, mark.gpu])])
        def work(size):
            return size

        @step
        def after(work):
            return work

        @step
        def every(work: All):
            return dict(work)
        """,
    )
    run = stepcache.run(check=True)
    assert {row["id"]: row["outcome"] for row in run.nodes} == {
        "pipeline_x.py::work[1]": "ran",
        "pipeline_x.py::work[2]": "skipped",
        "pipeline_x.py::work[3]": "ran",
        "pipeline_x.py::after[1]": "ran",
        "pipeline_x.py::after[2]": "skipped",
        "pipeline_x.py::after[3]": "ran",
        "pipeline_x.py::every": "ran",
    }
    assert run["every"] == {"1": 1, "3": 3}
    assert names(stepcache_project, "-m", "slow and gpu") == ["work[3]"]


def test_a_parametrize_without_values_is_skipped(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("size", [])
        def work(size):
            return size

        @step
        def every(work: All):
            return dict(work)
        """,
    )
    result = stepcache_project.run("-rs")
    assert result.outcomes == {"pipeline_x.py::work[NOTSET]": "skipped", "pipeline_x.py::every": "ran"}
    assert "SKIPPED pipeline_x.py::work[NOTSET] - no values are given for size" in result.lines


def test_parametrised_checks_and_pipelines(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        def source():
            return 5

        @parametrize("least", [1, 9])
        def check_source(source, least):
            assert source >= least

        @pipeline
        @parametrize("name", ["a", "b"])
        def report(name):
            return name
        """,
    )
    assert stepcache_project.run().outcomes == {
        "pipeline_x.py::source": "ran",
        "pipeline_x.py::check_source[1]": "passed",
        "pipeline_x.py::check_source[9]": "failed",
        "pipeline_x.py::report[a]": "ran",
        "pipeline_x.py::report[b]": "ran",
    }


def test_a_parametrised_resource_makes_variants_too(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @resource
        @parametrize("region", ["eu", "us"])
        def connection(region):
            return region

        @step
        def work(connection):
            return connection
        """,
    )
    assert dict(stepcache.run(check=True)["work"]) == {"eu": "eu", "us": "us"}


def test_a_new_variant_runs_alone(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("size", [1, 2])
        def work(size):
            return size

        @step
        def every(work: All):
            return dict(work)
        """,
    )
    stepcache_project.run()
    stepcache_project.edit("pipeline_x.py", "[1, 2]", "[1, 2, 3]")
    assert stepcache_project.run().ran == ["work[3]", "every"]


# --- size -------------------------------------------------------------------------------------


def test_a_chain_of_three_thousand_steps(stepcache_project: Project) -> None:
    lines = [HEAD, "@step\ndef s0():\n    return 0\n"]
    lines += [f"@step\ndef s{n}(s{n - 1}):\n    return s{n - 1} + 1\n" for n in range(1, 3000)]
    lines += ["@pipeline\ndef end(s2999):\n    return s2999\n"]
    stepcache_project.write("pipeline_x.py", "\n".join(lines))
    listed = names(stepcache_project)
    assert listed == [*(f"s{n}" for n in range(3000)), "end"]
    run = stepcache.run(check=True)
    assert run["end"] == 2999
    assert set(stepcache_project.run().outcomes.values()) == {"cached"}
    assert names(stepcache_project, "pipeline_x.py::s1500")[-1] == "s1500"


def test_a_chain_of_imported_steps(stepcache_project: Project) -> None:
    lines = [HEAD, "@step\ndef s0():\n    return 0\n"]
    lines += [f"@step\ndef s{n}(s{n - 1}):\n    return s{n - 1} + 1\n" for n in range(1, 1500)]
    stepcache_project.write("pipeline_x.py", "\n".join(lines))
    text = "from pipeline_x import s1499\n" + HEAD + "@pipeline(params={})\ndef end(s1499):\n    return s1499\n"
    stepcache_project.write("pipeline_y.py", text)
    assert names(stepcache_project, "pipeline_y.py") == [*(f"s{n}" for n in range(1500)), "end"]


def test_a_thousand_variants(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("n", range(1000))
        def work(n):
            return n

        @step
        def after(work):
            return work + 1

        @step
        def total(after: All):
            return sum(after.values())
        """,
    )
    assert len(names(stepcache_project)) == 2001
    assert names(stepcache_project, "pipeline_x.py::after[777]") == ["work[777]", "after[777]"]


def test_a_product_of_five_decorators(stepcache_project: Project) -> None:
    names_of = "abcde"
    decorators = "".join(f"@parametrize('{n}', [0, 1, 2, 3])\n" for n in names_of)
    stepcache_project.write("pipeline_x.py", f"{HEAD}\n@step\n{decorators}def work(a, b, c, d, e):\n    return a\n")
    listed = names(stepcache_project)
    assert len(listed) == len(set(listed)) == 4**5
    assert listed[1] == "work[0-0-0-0-1]"


def test_ids_that_would_meet_are_told_apart(stepcache_project: Project) -> None:
    pipeline(
        stepcache_project,
        """
        @step
        @parametrize("y", ["b-c", "c"])
        @parametrize("x", ["a", "a-b"])
        def work(x, y):
            return x, y
        """,
    )
    assert names(stepcache_project) == ["work[a-b-c0]", "work[a-c]", "work[a-b-b-c]", "work[a-b-c1]"]
    run = stepcache.run("pipeline_x.py::work[a-b-c1]", check=True)
    assert run["work[a-b-c1]"] == ("a-b", "c")


def test_all_variants_may_be_handed_on(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        """
        from stepcache import All, parametrize, step

        @step
        @parametrize("size", [1, 2])
        def work(size):
            return [size]

        @step
        def collected(work: All):
            return work

        @step
        def first(collected):
            collected["1"].append("mine")
            return dict(collected), collected.params

        @step
        def second(collected):
            return dict(collected)
        """,
    )
    run = stepcache.run(check=True)
    assert run.warnings == ()
    assert run["first"] == ({"1": [1, "mine"], "2": [2]}, {"1": {"size": 1}, "2": {"size": 2}})
    assert run["second"] == dict(run["collected"]) == {"1": [1], "2": [2]}
    assert stepcache_project.run().ran == []


@pytest.mark.parametrize(
    ("annotation", "takes"),
    [
        ("model: All[int] | None", ""),
        ("model: 'None | stepcache.All'", ""),
        ("models: All = None", "(takes={'models': 'model'})"),
        ("models: All[int] | None = None", "(takes={'models': 'model'})"),
    ],
)
def test_all_in_any_annotation_that_means_it(stepcache_project: Project, annotation: str, takes: str) -> None:
    pipeline(
        stepcache_project,
        f"""
        import stepcache

        @step
        @parametrize("depth", [3, 5])
        def model(depth):
            return depth

        @step{takes}
        def depths({annotation}):
            return dict({annotation.partition(":")[0]})
        """,
    )
    assert stepcache.run()["depths"] == {"3": 3, "5": 5}
