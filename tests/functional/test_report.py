"""What the command prints: it looks as pytest's report does."""

from __future__ import annotations

import json
import platform
import re
import sys

import pytest

import stepcache
from stepcache.testing import Project, Result

PROJECT = """
    import logging
    import warnings
    from stepcache import mark, step

    @step
    def raw(n=3):
        print("raw says hello")
        return list(range(n))

    @step
    def bad(raw, limit=2):
        total = sum(raw)
        print("to stdout")
        print("to stderr", file=__import__("sys").stderr)
        logging.getLogger("mine").warning("to the log")
        if total > limit:
            raise ValueError(f"{total} is too much")
        return total

    @step
    def after(bad):
        return bad

    @mark.skip("not now")
    @step
    def later():
        return 1
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PROJECT)
    return stepcache_project


def told(result: Result) -> str:
    """The output with what differs from run to run replaced."""
    return re.sub(r"\d+\.\d+s", "0.00s", result.stdout)


def section(result: Result, title: str) -> list[str]:
    """The lines below a ruled title, up to the next one."""
    lines = result.lines
    at = next((n for n, line in enumerate(lines) if f"= {title} =" in line), None)
    assert at is not None, result.stdout
    end = next((n for n in range(at + 1, len(lines)) if lines[n].startswith("=====")), len(lines))
    return lines[at + 1 : end]


def test_a_whole_report(project: Project) -> None:
    *lines, last = project.run().lines
    assert (
        # Which plugins are installed beside is no matter of this test.
        "\n".join([*(line for line in lines if not line.startswith("plugins: ")), ""])
        == f"""\
============================= stepcache run starts =============================
platform {sys.platform} -- Python {platform.python_version()}, stepcache-{stepcache.__version__}, pluggy-{PLUGGY}
rootdir: {project.path}
configfile: pyproject.toml
cache: {project.cache}
collected 4 nodes

pipeline_x.py .Fbs                                                       [100%]

=================================== FAILURES ===================================
______________________________ pipeline_x.py::bad ______________________________

raw = [0, 1, 2], limit = 2

    @step
    def bad(raw, limit=2):
        total = sum(raw)
        print("to stdout")
        print("to stderr", file=__import__("sys").stderr)
        logging.getLogger("mine").warning("to the log")
        if total > limit:
>           raise ValueError(f"{{total}} is too much")
E           ValueError: 3 is too much

pipeline_x.py:17: ValueError
------------------------------- Captured stdout --------------------------------
to stdout
------------------------------- Captured stderr --------------------------------
to stderr
--------------------------------- Captured log ---------------------------------
WARNING  mine:pipeline_x.py:15 to the log
============================== short run summary ===============================
FAILED pipeline_x.py::bad - ValueError: 3 is too much
BLOCKED pipeline_x.py::after - blocked by pipeline_x.py::bad
"""
    )
    assert re.fullmatch(r"=+ 1 failed, 1 blocked, 1 ran, 1 skipped in \d\.\d\ds =+", last)


PLUGGY = __import__("importlib.metadata", fromlist=["version"]).version("pluggy")


def test_letters_of_a_second_run(project: Project) -> None:
    project.run()
    assert "pipeline_x.py cFbs                                                       [100%]" in project.run().lines


def test_one_line_a_node(project: Project) -> None:
    lines = [line for line in project.run("-v").lines if re.match(r"pipeline_x.py::\w+ [A-Z]", line)]
    assert lines == [
        "pipeline_x.py::raw RAN                                                   [ 25%]",
        "pipeline_x.py::bad FAILED                                                [ 50%]",
        "pipeline_x.py::after BLOCKED (blocked by pipeline_x.py::bad)             [ 75%]",
        "pipeline_x.py::later SKIPPED (not now)                                   [100%]",
    ]
    assert re.search(r"pluggy-\S+ -- /", project.run("-v").lines[1])


def test_quiet(project: Project) -> None:
    project.run("-P", "limit=5")
    assert told(project.run("-q", "-P", "limit=5")) == (
        "cccs                                                                     [100%]\n3 cached, 1 skipped in 0.00s\n"
    )
    assert project.run("-qq", "-P", "limit=5").lines == [
        "cccs                                                                     [100%]"
    ]


def test_many_nodes_wrap_with_percentages(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import parametrize, step

        @step
        @parametrize("n", range(100))
        def part(n):
            return n
        """,
    )
    lines = [line for line in project.run().lines if line.endswith("%]")]
    assert lines == [
        "pipeline_x.py " + "." * 58 + " [ 58%]",
        "." * 42 + " " * 30 + " [100%]",
    ]


def test_one_line_a_file(project: Project) -> None:
    project.write("sub/pipeline_y.py", "from stepcache import step\n@step\ndef y():\n    return 'y'\n")
    lines = [line for line in project.run("-P", "limit=5").lines if line.endswith("%]")]
    assert lines == [
        "pipeline_x.py ...s                                                       [ 80%]",
        "sub/pipeline_y.py .                                                      [100%]",
    ]


# --- failures


def test_the_traceback_starts_at_the_users_frame(project: Project) -> None:
    project.write("helper.py", "def deep(n):\n    if n:\n        return deep(n - 1)\n    raise KeyError('deep')\n")
    project.write(
        "pipeline_x.py",
        "from helper import deep\nfrom stepcache import step\n\n@step\ndef a():\n    return deep(1)\n",
    )
    for style in ("auto", "long", "short", "native"):
        text = "\n".join(section(project.run(f"--tb={style}"), "FAILURES"))
        assert "stepcache/" not in text.replace(str(project.path), ""), text
        assert "KeyError: 'deep'" in text
    assert (
        "\n".join(section(project.run("--tb=short"), "FAILURES"))
        == """\
_______________________________ pipeline_x.py::a _______________________________
pipeline_x.py:6: in a
    return deep(1)
helper.py:3: in deep
    return deep(n - 1)
helper.py:4: in deep
    raise KeyError('deep')
E   KeyError: 'deep'"""
    )
    assert section(project.run("--tb=line"), "FAILURES") == [f"{project.path}/helper.py:4: KeyError: 'deep'"]
    assert not any("FAILURES" in line for line in project.run("--tb=no").lines)


def test_causes_are_told(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def a():
            try:
                {}["x"]
            except KeyError as error:
                raise ValueError("no x") from error
        """,
    )
    text = "\n".join(section(project.run(), "FAILURES"))
    assert text.index("KeyError: 'x'") < text.index("direct cause") < text.index("ValueError: no x")


def test_local_variables(project: Project) -> None:
    lines = section(project.run("-l"), "FAILURES")
    assert "total      = 3" in lines
    assert "raw        = [0, 1, 2]" in lines
    assert "total      = 3" not in section(project.run(), "FAILURES")


def test_a_failed_check(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step
        def a():
            return [1, 2]

        def check_a(a):
            assert len(a) == 3, "there should be three"
        """,
    )
    result = project.run()
    lines = section(result, "FAILURES")
    assert lines[0] == "____________________________ pipeline_x.py::check_a ____________________________"
    assert '>       assert len(a) == 3, "there should be three"' in lines
    assert "FAILED pipeline_x.py::check_a - AssertionError: there should be three" in result.lines


# --- what steps write


def test_output_is_captured_whoever_writes_it(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        import os, subprocess, sys
        from stepcache import step

        @step
        def loud():
            print("from print")
            os.write(1, b"from the descriptor\\n")
            subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
            raise ValueError
        """,
    )
    result = project.command()
    at = next(n for n, line in enumerate(result.lines) if "Captured stdout" in line)
    assert sorted(result.lines[at + 1 : at + 4]) == ["from a child", "from print", "from the descriptor"]
    assert result.stderr == ""


@pytest.mark.parametrize("flag", ["-s", "--capture=no"])
def test_nothing_is_captured_where_asked(project: Project, flag: str) -> None:
    result = project.command(flag)
    assert "raw says hello" in result.stdout
    assert "Captured stdout" not in result.stdout
    assert "%]" not in result.stdout


def test_what_hits_printed_is_stored(project: Project) -> None:
    project.run("-P", "limit=5")
    assert not any("raw says hello" in line for line in project.run("-P", "limit=5").lines)
    lines = section(project.run("-P", "limit=5", "-rA"), "OUTPUT")
    assert lines[:4] == [
        "_________________________ pipeline_x.py::raw (cached) __________________________",
        "------------------------------- Captured stdout --------------------------------",
        "raw says hello",
        "_________________________ pipeline_x.py::bad (cached) __________________________",
    ]


def test_warnings_are_told_once(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        import warnings
        from stepcache import step

        @step
        def a():
            for n in range(3):
                warnings.warn("old", DeprecationWarning)
            return "a"
        """,
    )
    result = project.run()
    assert section(result, "warnings summary") == [
        "pipeline_x.py::a",
        f"  {project.path}/pipeline_x.py:7: DeprecationWarning: old",
        "",
    ]
    assert " 1 ran, 1 warning in " in result.lines[-1]
    assert "warning" not in "".join(project.run().lines[5:])
    assert "warning" not in project.run("-W", "ignore", "--cache-refresh").lines[-1]
    failed = project.run("-W", "error", "--cache-refresh")
    assert failed.outcomes == {"pipeline_x.py::a": "failed"}


# --- -r, --durations, --why, --plan


@pytest.mark.parametrize(
    ("chars", "words"),
    [
        ("f", ["FAILED"]), ("b", ["BLOCKED"]), ("s", ["SKIPPED"]), ("p", ["RAN"]),
        ("a", ["FAILED", "BLOCKED", "SKIPPED"]), ("N", []), ("fs", ["FAILED", "SKIPPED"]),
    ],
)  # fmt: skip
def test_report_chars(project: Project, chars: str, words: list[str]) -> None:
    result = project.run(f"-r{chars}")
    found = [line.split()[0] for line in result.lines if re.match(r"[A-Z]+ pipeline_x", line)]
    assert sorted(found) == sorted(words)


def test_durations(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        "import time\nfrom stepcache import step\n@step\ndef slow():\n    time.sleep(0.05)\n@step\ndef fast():\n    return 1\n",
    )
    lines = section(project.run("--durations=5"), "slowest 5 durations")
    assert re.fullmatch(r"0\.\d\ds ran      pipeline_x\.py::slow", lines[0])
    assert lines[-1] == "(1 durations < 0.005s hidden.  Use -vv to show these durations.)"
    assert not any("slowest" in line for line in project.run("--durations=5").lines)


def test_why(project: Project) -> None:
    project.run("-P", "limit=5")
    result = project.run("--why", "-P", "n=2", "-P", "limit=7")
    assert section(result, "why") == [
        "pipeline_x.py::raw",
        "  setting: n 3 -> 2",
        "pipeline_x.py::bad",
        "  setting: limit 5 -> 7",
        "  input: raw",
        "pipeline_x.py::after",
        "  input: bad",
    ]
    assert not any("= why =" in line for line in project.run("--why", "-P", "n=2", "-P", "limit=7").lines)


def test_plan(project: Project) -> None:
    project.run("pipeline_x.py::raw")
    result = project.run("--plan")
    assert result.exit_code == 0
    at = result.lines.index("collected 4 nodes")
    assert result.lines[at + 1 : -1] == [
        "",
        "cached    pipeline_x.py::raw",
        "would-run pipeline_x.py::bad",
        "            new",
        "unknown   pipeline_x.py::after (depends on pipeline_x.py::bad)",
        "skipped   pipeline_x.py::later (not now)",
        "",
    ]
    assert " 1 cached, 1 skipped, 1 would-run, 1 unknown in " in result.lines[-1]
    assert project.run("--plan").outcomes == result.outcomes


# --- the report for programs


def test_json_to_a_file(project: Project) -> None:
    result = project.run(f"--json={project.path}/out/report.json")
    report = json.loads((project.path / "out" / "report.json").read_text())
    assert list(report) == ["schema", "stepcache", "exit_code", "seconds", "saved_seconds", "nodes", "errors"]
    assert (report["schema"], report["exit_code"], result.exit_code) == (1, 1, 1)
    by_name = {row["id"].partition("::")[2]: row for row in report["nodes"]}
    assert by_name["bad"]["error"] == "ValueError: 3 is too much"
    assert by_name["after"]["needs"] == ["pipeline_x.py::bad"]
    assert by_name["raw"]["why"] == [{"kind": "new", "what": None, "was": None, "now": None}]
    assert len(by_name["raw"]["digest"]) == 64


def test_json_on_standard_output(project: Project) -> None:
    result = project.command("--json=-", "-P", "limit=5")
    report = json.loads(result.stdout)
    assert [row["outcome"] for row in report["nodes"]] == ["ran", "ran", "ran", "skipped"]
    assert "3 ran, 1 skipped in " in result.stderr


def test_json_of_a_collection_error(project: Project) -> None:
    project.write("pipeline_x.py", "import no_such_module\n")
    project.run(f"--json={project.path}/report.json")
    report = json.loads((project.path / "report.json").read_text())
    assert (report["exit_code"], report["nodes"], len(report["errors"])) == (2, [], 1)
    assert set(report["errors"][0]) == {"id", "message"}


# --- the last line


def test_the_time_saved(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        "import time\nfrom stepcache import step\n@step\ndef slow():\n    time.sleep(0.1)\n    return 1\n",
    )
    assert "saved" not in project.run().lines[-1]
    assert re.search(r" 1 cached in \d\.\d\ds \(0\.\ds saved\) ", project.run().lines[-1])


def test_deselected_and_collection_errors_are_counted(project: Project) -> None:
    result = project.run("-k", "raw")
    assert "collected 4 nodes / 3 deselected / 1 selected" in result.lines
    assert " 1 ran, 3 deselected in " in result.lines[-1]
    project.write("pipeline_y.py", "import no_such_module\n")
    result = project.run()
    assert result.exit_code == 2
    assert " 1 error in " in result.lines[-1]
    assert any(re.fullmatch("!+ Interrupted: 1 error during collection !+", line) for line in result.lines)


def test_no_header_and_no_summary(project: Project) -> None:
    result = project.run("--no-header", "--no-summary", "-v")
    assert not any(line.startswith(("platform", "rootdir", "cache:", "FAILED")) for line in result.lines)
    assert "FAILURES" not in result.stdout


def test_colours_only_where_asked(project: Project) -> None:
    assert "\x1b[" not in project.command().stdout
    assert "\x1b[31m" in project.command("--color=yes").stdout


def test_a_reader_that_goes_away(project: Project) -> None:
    import subprocess

    project.write(
        "pipeline_x.py",
        "from stepcache import parametrize, step\n@step\n@parametrize('n', range(2000))\ndef a(n):\n    return n\n",
    )
    done = subprocess.run(
        f"{sys.executable} -m stepcache -v | head -1", shell=True, cwd=project.path, capture_output=True, text=True
    )
    assert done.stdout.startswith("====")
    assert done.stderr == ""


def test_text_that_the_terminal_cannot_show(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        "from stepcache import step\n@step\ndef a():\n    print('\\udc80 ü 💥')\n    raise ValueError('ü')\n",
    )
    result = project.command(env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert result.exit_code == 1, result.stderr
    assert "ValueError: \\xfc" in result.stdout
