"""`--pdb`, `breakpoint()` and `--replay`: looking into a node that fails."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from stepcache.testing import Project, Result

PIPELINE = """
    from stepcache import All, pipeline, step

    @step
    def raw(n=2):
        return [1] * n

    @step
    def rows(raw, factor=3):
        print("in rows")
        made = [factor * each for each in raw]
        assert len(made) == 7
        return made

    @step
    def other():
        return 1

    @pipeline
    def whole(rows, other):
        return rows
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PIPELINE)
    return stepcache_project


def typed(project: Project, keys: str, *args: str) -> tuple[int, str]:
    """What the command prints, with these lines typed into it."""
    done = subprocess.run(
        [sys.executable, "-m", "stepcache", "--no-header", *args],
        input=keys,
        capture_output=True,
        text=True,
        cwd=project.path,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


# --- --pdb


def test_pdb_opens_where_a_body_fails(project: Project) -> None:
    code, out = typed(project, "p made, factor\nc\n", "--pdb")
    assert code == 1
    assert "----- captured stdout -----\nin rows\n" in out
    assert "E       assert len(made) == 7" in out
    assert "pipeline_x.py(11)rows()\n-> assert len(made) == 7\n(Pdb) ([3, 3], 3)\n(Pdb) " in out
    assert "1 failed, 1 blocked, 2 ran" in out.splitlines()[-1]


def test_quitting_ends_the_run(project: Project) -> None:
    code, out = typed(project, "q\n", "--pdb")
    assert code == 2
    assert "!!!! quit in the debugger !!!!" in out
    assert "1 failed, 1 ran, 2 skipped" in out.splitlines()[-1]


def test_pdb_opens_for_checks_too(project: Project) -> None:
    project.write("pipeline_x.py", PIPELINE + "\n    def check_raw(raw):\n        assert raw == [2]\n")
    code, out = typed(project, "p raw\nq\n", "--pdb")
    assert (code, "(Pdb) [1, 1]\n" in out) == (2, True)


# --- breakpoint()


@pytest.mark.parametrize("capture", ["fd", "sys", "no"])
def test_breakpoint_has_the_terminal(project: Project, capture: str) -> None:
    project.edit("pipeline_x.py", "assert len(made) == 7", "breakpoint()\n    print('after it')")
    code, out = typed(project, "p made\nc\n", f"--capture={capture}")
    assert code == 0
    assert "(Pdb) [3, 3]\n(Pdb) after it\n" in out
    assert ("in rows" in out) is (capture == "no")
    assert project.run().ran == []


def test_quitting_at_a_breakpoint_is_an_interrupt(project: Project) -> None:
    project.edit("pipeline_x.py", "assert len(made) == 7", "breakpoint()\n    print('after it')")
    code, out = typed(project, "q\n")
    assert code == 2
    assert "KeyboardInterrupt" in out
    assert project.run("--plan").outcomes["pipeline_x.py::rows"] == "would-run"


def test_under_workers_the_node_runs_where_the_terminal_is(project: Project) -> None:
    project.write("pipeline_x.py", MAPPED)
    project.edit("pipeline_x.py", "return 2 * raw", "if raw == 2:\n        breakpoint()\n    return 2 * raw")
    project.edit("pipeline_x.py", 'return {"a"', 'breakpoint()\n    return {"a"')
    code, out = typed(project, "p 1\nc\np raw\nc\n", "-n2", "--no-checks", "--deselect=pipeline_x.py::small")
    assert code == 0
    assert re.findall(r"\(Pdb\) (\d)", out) == ["1", "2"]
    assert "2 ran" in out.splitlines()[-1]


def test_breakpoints_can_be_switched_off(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.edit("pipeline_x.py", "assert len(made) == 7", "breakpoint()")
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    assert typed(project, "")[0] == 0
    assert typed(project, "", "-n2", "--cache-refresh")[0] == 0


# --- --replay


def outcomes(result: Result) -> dict[str, str]:
    return {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()}


def test_replay_runs_the_node_with_what_it_was_given(project: Project) -> None:
    project.run("-P", "n=3", "-P", "rows.factor=5")
    project.edit("pipeline_x.py", "return [1] * n", "raise OSError('the source is gone')")
    project.edit("pipeline_x.py", "== 7", "== 3")
    again = project.run("--replay=pipeline_x.py::rows")
    assert (again.exit_code, outcomes(again)) == (0, {"rows": "ran"})
    assert "in rows" in again.stdout  # nothing is captured
    project.edit("pipeline_x.py", "raise OSError('the source is gone')", "return [1] * n")
    later = project.run("-P", "n=3", "-P", "rows.factor=5")
    assert outcomes(later) == {"raw": "cached", "rows": "cached", "other": "cached", "whole": "ran"}


def test_replay_of_what_fails_still(project: Project) -> None:
    project.run()
    again = project.run("--replay", "rows")
    assert (again.exit_code, outcomes(again)) == (1, {"rows": "failed"})
    assert "E       assert len(made) == 7" in again.stdout
    assert outcomes(project.run("--replay", "rows")) == {"rows": "failed"}
    code, out = typed(project, "p made\nq\n", "--replay=pipeline_x.py::rows", "--pdb")
    assert (code, "(Pdb) [3, 3]" in out) == (2, True)


def test_replay_of_a_check(project: Project) -> None:
    project.write("pipeline_x.py", PIPELINE + "\n    def check_raw(raw):\n        assert raw == [2]\n")
    project.run()
    again = project.run("--replay=pipeline_x.py::check_raw")
    assert outcomes(again) == {"check_raw": "failed"}
    assert "assert [1, 1] == [2]" in again.stdout
    project.edit("pipeline_x.py", "raw == [2]", "raw == [1, 1]")
    assert outcomes(project.run("--replay=check_raw")) == {"check_raw": "passed"}


MAPPED = """
    from stepcache import Each, step

    @step
    def raw():
        return {"a": 1, "b": 2, "c/d": 3}

    @step
    def doubled(raw: Each):
        return 2 * raw

    @step
    def small(doubled: Each):
        print("small", doubled)
        assert doubled < 4
        return doubled

    def check_doubled(doubled: Each):
        assert doubled != 6
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_replay_of_a_mapped_step_runs_the_elements_that_failed(project: Project, workers: tuple[str, ...]) -> None:
    project.write("pipeline_x.py", MAPPED)
    project.run("--no-checks", "--tb=no", *workers)
    again = project.run("--replay=small", "--tb=no", *workers)
    assert (outcomes(again), again.nodes[0]["elements"]) == (
        {"small": "failed"}, {"cached": 1, "ran": 0, "failed": 2}
    )  # fmt: skip
    assert [line for line in again.lines if line.startswith("small")] == ["small 4", "small 6"]
    one = project.run("--replay=pipeline_x.py::small[c/d]", "--tb=no", *workers)
    assert (outcomes(one), [line for line in one.lines if line.startswith("small")]) == (
        {"small[c/d]": "failed"}, ["small 6"]
    )  # fmt: skip
    assert outcomes(project.run("--replay=small[a]")) == {"small[a]": "cached"}
    project.edit("pipeline_x.py", "doubled < 4", "doubled")
    assert outcomes(project.run("--replay=small[c/d]")) == {"small[c/d]": "ran"}
    assert project.run("--no-checks").nodes[2]["elements"] == {"cached": 1, "ran": 2, "failed": 0}


def test_replay_of_a_check_on_elements(project: Project) -> None:
    project.write("pipeline_x.py", MAPPED)
    project.run("--tb=no")
    again = project.run("--replay=check_doubled[c/d]")
    assert outcomes(again) == {"check_doubled[c/d]": "failed"}
    assert "E       assert 6 != 6" in again.lines
    assert outcomes(project.run("--replay=check_doubled[b]")) == {"check_doubled[b]": "cached"}


def test_from_another_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.run()
    (project.path / "inner").mkdir()
    monkeypatch.chdir(project.path / "inner")
    assert outcomes(project.run("--replay=../pipeline_x.py::rows")) == {"rows": "failed"}


def test_what_cannot_be_replayed(project: Project) -> None:
    def told(*args: str) -> str:
        result = project.run(*args)
        assert result.exit_code == 4
        return result.stderr

    assert told("--replay=rows") == "ERROR: --replay=rows: nothing failed in the last run of this project\n"
    project.run()
    assert told("--replay=pipeline_x.py::row") == (
        "ERROR: --replay=pipeline_x.py::row: it did not fail in the last run of this project; did you mean "
        "'pipeline_x.py::rows'?\n  what failed: pipeline_x.py::rows\n"
    )
    project.edit("pipeline_x.py", "def rows(raw, factor=3)", "def rows(raw, other, factor=3)")
    assert told("--replay=rows") == (
        "ERROR: --replay=pipeline_x.py::rows: it takes 'other' now, which it was not given when it failed: run it\n"
    )
    project.edit("pipeline_x.py", "def rows(raw, other, factor=3)", "def rows(raw, factor=3)")
    project.run("pipeline_x.py::rows")
    project.run("--cache-clear", "pipeline_x.py::other")
    assert told("--replay=rows") == "ERROR: --replay=rows: nothing failed in the last run of this project\n"
