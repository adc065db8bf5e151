"""Checks: when they are in a run, what they gate, what is stored of them."""

from __future__ import annotations

import pytest

import stepcache
from stepcache import NotCached
from stepcache.testing import Project

BASE = """
    from stepcache import pipeline, step

    @step
    def raw(n=1):
        return n

    @step
    def clean(raw):
        return raw * 2

    @step
    def model(clean):
        return clean + 1

    @step
    def other():
        return 0

    def check_clean(clean):
        assert clean > 0

    @pipeline
    def whole(model, other):
        return model
"""


def names(result: object) -> dict[str, str]:
    return {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()}  # type: ignore[attr-defined]


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", BASE)
    return stepcache_project


def test_a_check_runs_when_what_it_takes_is_new(project: Project) -> None:
    assert names(project.run())["check_clean"] == "passed"
    assert names(project.run())["check_clean"] == "cached"
    project.edit("pipeline_x.py", "clean + 1", "clean + 2")
    assert project.run().ran == ["model", "whole"]
    assert project.run("-P", "n=2").ran == ["raw", "clean", "check_clean", "model", "whole"]
    assert project.run("-P", "n=2").ran == []


def test_an_edited_check_runs_alone(project: Project) -> None:
    project.run()
    project.edit("pipeline_x.py", "clean > 0", "clean >= 0")
    result = project.run()
    assert result.ran == ["check_clean"]
    assert result.reasons == {"pipeline_x.py::check_clean": ["code: pipeline_x.py::check_clean"]}


def test_what_needs_the_value_is_blocked_until_it_passes(project: Project) -> None:
    result = project.run("-P", "n=0")
    assert result.exit_code == 1
    assert names(result) == {
        "raw": "ran", "clean": "ran", "check_clean": "failed", "model": "blocked", "other": "ran", "whole": "blocked",
    }  # fmt: skip
    assert "BLOCKED pipeline_x.py::model - blocked by pipeline_x.py::check_clean" in result.lines
    assert "BLOCKED pipeline_x.py::whole - blocked by pipeline_x.py::check_clean" in result.lines


def test_a_failed_check_runs_again(project: Project) -> None:
    project.run("-P", "n=0")
    again = project.run("-P", "n=0")
    assert names(again) == {
        "raw": "cached", "clean": "cached", "check_clean": "failed", "model": "blocked", "other": "cached",
        "whole": "blocked",
    }  # fmt: skip


def test_hits_are_gated_too(project: Project) -> None:
    project.run("-P", "n=0", "--no-checks")
    assert names(project.run("-P", "n=0"))["model"] == "blocked"
    assert names(project.run("-P", "n=0", "--no-checks"))["model"] == "cached"


def test_the_value_that_did_not_pass_can_be_looked_at(project: Project) -> None:
    run = stepcache.run(params={"n": 0})
    assert run["clean"] == 0
    assert stepcache.load("pipeline_x.py::clean", params={"n": 0}) == 0
    with pytest.raises(NotCached):
        stepcache.load("pipeline_x.py::model", params={"n": 0})


@pytest.mark.parametrize("flag", ["--no-checks", "--deselect=pipeline_x.py::check_clean"])
def test_left_out_it_gates_nothing(project: Project, flag: str) -> None:
    result = project.run("-P", "n=0", flag)
    assert result.exit_code == 0
    assert names(result) == {"raw": "ran", "clean": "ran", "model": "ran", "other": "ran", "whole": "ran"}


@pytest.mark.parametrize(
    ("selected", "there"),
    [
        (["pipeline_x.py::clean"], True),
        (["pipeline_x.py::raw"], False),
        (["-k", "model"], True),
        (["-k", "raw"], False),
    ],
)
def test_it_is_in_the_run_when_what_it_takes_is(project: Project, selected: list[str], there: bool) -> None:
    assert ("check_clean" in names(project.run(*selected))) is there


def test_selected_by_its_id_it_brings_what_it_takes(project: Project) -> None:
    assert names(project.run("pipeline_x.py::check_clean")) == {
        "raw": "ran", "clean": "ran", "check_clean": "passed"
    }  # fmt: skip


def test_warn_gates_nothing_and_leaves_the_exit_status_alone(project: Project) -> None:
    project.edit("pipeline_x.py", "def check_clean", "@check(warn=True)\ndef check_clean")
    project.edit("pipeline_x.py", "import pipeline", "import check, pipeline")
    result = project.run("-P", "n=0")
    assert result.exit_code == 0
    assert names(result)["check_clean"] == "warned"
    assert names(result)["whole"] == "ran"
    assert "WARNED pipeline_x.py::check_clean - assert 0 > 0" in result.lines
    assert names(project.run("-P", "n=0"))["check_clean"] == "warned"
    assert stepcache.run(params={"n": 0}, check=True).exit_code == 0


def test_a_step_that_the_check_needs_itself_is_not_gated_by_it(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def source():
            return 1

        @step
        def product(source):
            return source

        def check_both(source, product):
            assert source != product

        @step
        def behind(product):
            return product
        """,
    )
    assert names(project.run()) == {
        "source": "ran", "product": "ran", "check_both": "failed", "behind": "blocked"
    }  # fmt: skip


def test_checks_never_gate_checks(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def a():
            return 1

        def check_one(a):
            assert a == 2

        def check_two(a):
            assert a == 1
        """,
    )
    assert names(project.run()) == {"a": "ran", "check_one": "failed", "check_two": "passed"}


def test_circles_of_gates_are_broken(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def source():
            return 1

        @step
        def left(source):
            return 1

        @step
        def right(source):
            return 2

        def check_left(source, left):
            assert left == source

        def check_right(source, right):
            assert right == source
        """,
    )
    result = project.run()
    assert names(result) == {
        "source": "ran", "left": "ran", "right": "ran", "check_left": "passed", "check_right": "failed",
    }  # fmt: skip


def test_a_check_takes_settings_and_resources(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import resource, step

        @resource
        def limit():
            yield 10

        @step
        def a():
            return 5

        def check_a(a, limit, least=1):
            assert least < a < limit
        """,
    )
    assert names(project.run())["check_a"] == "passed"
    result = project.run("-P", "check_a.least=5")
    assert (names(result)["check_a"], result.reasons["pipeline_x.py::check_a"]) == ("failed", ["setting: least 1 -> 5"])


def test_a_parametrised_check_is_one_node_for_each_choice(project: Project) -> None:
    project.edit(
        "pipeline_x.py", "def check_clean(clean)", '@parametrize("least", [-1, 1, 5])\ndef check_clean(clean, least)'
    )
    project.edit("pipeline_x.py", "clean > 0", "clean > least")
    project.edit("pipeline_x.py", "import pipeline", "import parametrize, pipeline")
    result = project.run()
    assert {n: o for n, o in names(result).items() if "check" in n} == {
        "check_clean[-1]": "passed", "check_clean[1]": "passed", "check_clean[5]": "failed",
    }  # fmt: skip
    assert "BLOCKED pipeline_x.py::model - blocked by pipeline_x.py::check_clean[5]" in result.lines


def test_one_that_takes_several_values_waits_for_all(project: Project) -> None:
    project.edit("pipeline_x.py", "def check_clean(clean)", "def check_clean(clean, other)")
    project.edit("pipeline_x.py", "clean > 0", "clean > other")
    result = project.run()
    order = [node.partition("::")[2] for node in result.outcomes]
    assert order.index("check_clean") > order.index("other")
    assert names(result)["check_clean"] == "passed"
    assert names(project.run("pipeline_x.py::model")) == {"raw": "cached", "clean": "cached", "model": "cached"}


def test_going_back_to_a_value_that_passed_is_a_hit(project: Project) -> None:
    project.run()
    project.run("-P", "n=0")
    assert set(names(project.run()).values()) == {"cached"}


# --- which of them are run


def test_checks_only(project: Project) -> None:
    assert names(project.run("--checks-only")) == {"raw": "ran", "clean": "ran", "check_clean": "passed"}
    result = project.run("--checks-only", "-P", "n=0")
    assert (result.exit_code, names(result)) == (1, {"raw": "ran", "clean": "ran", "check_clean": "failed"})
    assert "collected 6 nodes / 3 deselected / 3 selected" in result.lines


def test_checks_only_with_an_expression(project: Project) -> None:
    project.edit("pipeline_x.py", "def check_clean", "def check_other(other):\n    pass\n\ndef check_clean")
    assert names(project.run("--checks-only", "-k", "other")) == {"other": "ran", "check_other": "passed"}


def test_checks_only_without_checks_is_refused(project: Project) -> None:
    result = project.run("--checks-only", "--no-checks")
    assert (result.exit_code, result.stderr) == (
        4, "ERROR: --checks-only and --no-checks leave nothing to run: give one of them\n"
    )  # fmt: skip


def test_lf_runs_the_failed_check_and_what_it_blocked(project: Project) -> None:
    project.edit("pipeline_x.py", "clean > 0", "clean > 5")
    project.run()
    project.edit("pipeline_x.py", "clean > 5", "clean > 0")
    result = project.run("--lf")
    assert names(result) == {
        "raw": "cached", "clean": "cached", "check_clean": "passed", "model": "ran", "other": "cached", "whole": "ran",
    }  # fmt: skip
    assert names(project.run("--lf")) == names(project.run())


# --- which functions are checks


def test_check_false_makes_it_none(project: Project) -> None:
    project.edit("pipeline_x.py", "def check_clean", "@check(False)\ndef check_clean")
    project.edit("pipeline_x.py", "import pipeline", "import check, pipeline")
    assert "check_clean" not in names(project.run())


def test_check_makes_any_function_one(project: Project) -> None:
    project.edit("pipeline_x.py", "def check_clean(clean)", '@check(name="positive", takes={"v": "clean"})\ndef f(v)')
    project.edit("pipeline_x.py", "assert clean", "assert v")
    project.edit("pipeline_x.py", "import pipeline", "import check, pipeline")
    assert names(project.run())["positive"] == "passed"
    result = project.run("-P", "n=0")
    assert (names(result)["positive"], names(result)["model"]) == ("failed", "blocked")


def test_imported_functions_count_only_if_decorated(project: Project) -> None:
    project.write(
        "shared.py",
        """
        from stepcache import check

        def check_plain(clean):
            assert False

        @check
        def decorated(clean):
            assert clean
        """,
    )
    project.edit("pipeline_x.py", "from stepcache", "from shared import check_plain, decorated\nfrom stepcache")
    result = names(project.run())
    assert "check_plain" not in result
    assert result["decorated"] == "passed"


# --- stepconf.py


def test_a_check_in_stepconf_is_one_node_for_each_value_bound_below(project: Project) -> None:
    project.write("stepconf.py", "def check_everywhere(table):\n    assert table > 0\n")
    for folder, value in (("one", 1), ("two", 2)):
        project.write(
            f"{folder}/pipeline_{folder}.py",
            f"from stepcache import step\n@step\ndef table():\n    return {value}\n"
            f"@step\ndef after_{folder}(table):\n    return 1\n",
        )
    result = project.run("one", "two")
    found = [node for node in result.outcomes if "check_everywhere" in node]
    assert found == ["one/pipeline_one.py::check_everywhere", "two/pipeline_two.py::check_everywhere"]
    project.edit("two/pipeline_two.py", "return 2", "return -2")
    result = project.run("one", "two")
    assert result.outcomes["one/pipeline_one.py::check_everywhere"] == "cached"
    assert result.outcomes["two/pipeline_two.py::check_everywhere"] == "failed"
    assert result.outcomes["two/pipeline_two.py::after_two"] == "blocked"
    assert result.outcomes["one/pipeline_one.py::after_one"] == "cached"


def test_one_value_shared_by_two_files_is_checked_once(project: Project) -> None:
    project.write(
        "stepconf.py",
        "from stepcache import step\n@step\ndef table():\n    return 1\ndef check_table(table):\n    assert table\n",
    )
    for name in ("a", "b"):
        project.write(f"pipeline_{name}.py", f"from stepcache import step\n@step\ndef {name}(table):\n    return 1\n")
    result = project.run("pipeline_a.py", "pipeline_b.py")
    assert [node for node in result.outcomes if "check_" in node] == ["stepconf.py::check_table"]


# --- variants

VARIANTS = """
    from stepcache import All, parametrize, step

    @step
    @parametrize("n", [1, 2, 3])
    def part(n):
        return n

    @step
    def after(part):
        return part

    @step
    def total(part: All):
        return sum(part.values())

    def check_part(part):
        assert part != 2

    def check_all(part: All):
        assert list(part) == ["1", "2", "3"]
"""


def test_each_variant_is_checked_and_gated_alone(project: Project) -> None:
    project.write("pipeline_x.py", VARIANTS)
    assert names(project.run()) == {
        "part[1]": "ran", "part[2]": "ran", "part[3]": "ran",
        "check_part[1]": "passed", "check_part[2]": "failed", "check_part[3]": "passed", "check_all": "passed",
        "after[1]": "ran", "after[2]": "blocked", "after[3]": "ran", "total": "blocked",
    }  # fmt: skip


def test_only_the_variants_in_the_run_are_checked(project: Project) -> None:
    project.write("pipeline_x.py", VARIANTS)
    assert names(project.run("pipeline_x.py::after[1]")) == {
        "part[1]": "ran", "check_part[1]": "passed", "after[1]": "ran"
    }  # fmt: skip


def test_a_check_over_all_gates_what_takes_one(project: Project) -> None:
    project.write("pipeline_x.py", VARIANTS.replace("part != 2", "part").replace('["1", "2", "3"]', "[]"))
    result = names(project.run())
    assert {result[f"after[{n}]"] for n in (1, 2, 3)} == {"blocked"}
    assert result["total"] == "blocked"


# --- pipelines that bring their own params


def test_checks_hold_for_values_below_a_pipelines_params(project: Project) -> None:
    project.edit("pipeline_x.py", "@pipeline\n", '@pipeline(params={"n": 0})\n')
    result = project.run("pipeline_x.py::whole")
    assert result.exit_code == 1
    assert result.outcomes["pipeline_x.py::check_clean@whole"] == "failed"
    assert result.outcomes["pipeline_x.py::whole"] == "blocked"


@pytest.mark.parametrize("level", ["1", "2"])
def test_python_minus_o_leaves_no_assert_out(stepcache_project: Project, level: str) -> None:
    project = stepcache_project
    project.write("asserting.py", "def same(one, other):\n    assert one == other\n")
    project.write(
        "pipeline_x.py",
        """
        from asserting import same
        from stepcache import step

        @step
        def a():
            return 1

        def check_own(a):
            assert a == 2

        def check_of_helper(a):
            same(a, 2)
        """,
    )
    result = project.command(env={"PYTHONOPTIMIZE": level})
    assert result.exit_code == 1
    assert names(result) == {"a": "ran", "check_own": "failed", "check_of_helper": "failed"}
    assert "FAILED pipeline_x.py::check_own - assert 1 == 2" in result.lines
