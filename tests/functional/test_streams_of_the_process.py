"""Standard output and error: what steps do to them, and what the command does when they cannot be written to."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from stepcache.testing import Project

ODD = """
    import contextlib
    import io
    import os
    import sys
    from stepcache import step

    @step
    def a_closes():
        print("one")
        sys.stdout.close()
        sys.stderr.close()
        return 1

    @step
    def b_prints(a_closes):
        print("two")
        raise ValueError("told")

    @step
    def c_replaces():
        sys.stdout = io.StringIO()
        sys.stderr = None
        return 1

    @step
    def d_prints(c_replaces):
        print("four")
        print("five", file=sys.stderr)
        raise ValueError("told")

    @step
    def e_wraps():
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
        print("six")
        raise ValueError("told")

    @step
    def f_detaches(c_replaces):
        sys.stdout.detach()
        return 1

    @step
    def g_prints(f_detaches):
        print("seven")
        raise ValueError("told")

    @step
    def h_closes_descriptors():
        os.close(1)
        os.close(2)
        return 1

    @step
    def i_prints(h_closes_descriptors):
        os.write(1, b"eight")
        raise ValueError("told")
"""


def test_what_a_step_does_to_standard_output_ends_with_the_step(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", ODD)
    result = stepcache_project.command()
    assert (result.exit_code, result.stderr) == (1, "")
    assert {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()} == {
        "a_closes": "ran",
        "b_prints": "failed",
        "c_replaces": "ran",
        "d_prints": "failed",
        "e_wraps": "failed",
        "f_detaches": "ran",
        "g_prints": "failed",
        "h_closes_descriptors": "ran",
        "i_prints": "failed",
    }
    told = [line for line in result.lines if line in ("one", "two", "four", "five", "six", "seven", "eight")]
    assert told == ["two", "four", "five", "six", "seven", "eight"]


@pytest.mark.parametrize("arguments", [("-s",), ("-s", "-n", "2")])
def test_the_same_where_nothing_is_captured(stepcache_project: Project, arguments: tuple[str, ...]) -> None:
    """The terminal has all that is written to it, whatever a step before has done, and the report goes on."""
    replaced = """
    @step
    def j_opens_another(i_prints=None):
        os.dup2(os.open("elsewhere.txt", os.O_CREAT | os.O_WRONLY), 1)
        print("nine", flush=True)

    @step
    def k_prints(j_opens_another):
        print("ten")
        os.system("echo eleven")
    """
    stepcache_project.write("pipeline_x.py", ODD + replaced)
    result = stepcache_project.command("-v", "--tb=no", "--no-summary", *arguments)
    assert (result.exit_code, result.stderr.replace("five\n", "")) == (1, "")
    outcomes = {node.partition("::")[2][0]: outcome for node, outcome in result.outcomes.items()}
    assert "".join(letter for letter, outcome in sorted(outcomes.items()) if outcome == "failed") == "bdegi"
    assert len(outcomes) == 11
    words = ("one", "two", "four", "six", "seven", "eight", "ten", "eleven")
    assert sorted(re.findall("|".join(words), result.stdout)) == sorted(words)
    assert stepcache_project.path.joinpath("elsewhere.txt").read_text() == "nine\n"
    assert "5 failed, 6 ran" in result.stdout


def test_the_same_in_memory(stepcache_project: Project) -> None:
    text = ODD.replace(".buffer", "").replace("sys.stdout.detach()", "sys.stdout.close()").replace("os.close", "id")
    stepcache_project.write(
        "pipeline_x.py", text.replace("io.TextIOWrapper(sys.stdout, encoding='utf-8')", "sys.stdout")
    )
    result = stepcache_project.run("--capture=sys", "--deselect=pipeline_x.py::e_wraps")
    assert (result.exit_code, result.stderr) == (1, "")
    told = [line for line in result.lines if line in ("one", "two", "four", "five", "seven")]
    assert told == ["two", "four", "five", "seven"]


TWO = """
    from stepcache import step

    @step
    def a():
        return 1

    @step
    def b(a):
        raise ValueError("no")
"""


def shell(project: Project, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command.replace("stepcache", f"{sys.executable} -m stepcache")],
        cwd=project.path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("stepcache >&-", 1, ""),
        ("stepcache <&- >&- 2>&- -k a", 0, ""),
        ("stepcache -v | true; exit ${PIPESTATUS[0]}", 1, ""),
        ("stepcache --help | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("stepcache nope 2>&1 | true; exit ${PIPESTATUS[0]}", 4, ""),
        ("stepcache >/dev/full", 4, "ERROR: the report cannot be written: No space left on device\n"),
        ("stepcache --version >/dev/full", 4, "ERROR: the report cannot be written: No space left on device\n"),
    ],
)
def test_standard_output_that_nobody_reads(stepcache_project: Project, command: str, status: int, said: str) -> None:
    stepcache_project.write("pipeline_x.py", TWO)
    done = shell(stepcache_project, command)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)


def test_an_answer_without_a_run_says_the_same_to_nobody(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", TWO.partition("    @step\n    def b")[0])
    for _ in range(2):
        done = shell(stepcache_project, "stepcache -v | true; exit ${PIPESTATUS[0]}")
        assert (done.returncode, done.stderr) == (0, "")
    assert "1 cached" in shell(stepcache_project, "stepcache").stdout
    assert shell(stepcache_project, "stepcache >/dev/full").returncode == 4


@pytest.mark.parametrize("stream", ["None", "closed"])
def test_a_run_from_python_without_standard_output(stepcache_project: Project, stream: str) -> None:
    stepcache_project.write("pipeline_x.py", TWO)
    change = "sys.stdout = sys.stderr = None" if stream == "None" else "sys.stdout.close()"
    text = f"import stepcache, sys\n{change}\nassert stepcache.run().exit_code == 1\nsys.exit(7)\n"
    assert stepcache_project.python("-c", text).exit_code == 7
