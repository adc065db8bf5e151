"""The files that tell of a run: --junitxml and --graph; and log records as they come, under --log-cli-level."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from stepcache.testing import Project

PIPELINE = """
    import sys
    from stepcache import check, mark, parametrize, pipeline, step

    @step
    def raw():
        print("not told for what went well")
        return [1, 2, 3]

    @step
    @parametrize("factor", [2, 3])
    def scaled(raw, factor):
        if factor == 3:
            print("half way \\x1b[31m", "three & <more>")
            print("aside", file=sys.stderr)
            raise ValueError("three is too much")
        return [factor * each for each in raw]

    @check(warn=True)
    def check_small(raw):
        assert max(raw) < 3, "three is large"

    @mark.skip("not now")
    @step
    def later(raw):
        return raw

    @pipeline
    def whole(scaled, later):
        return scaled
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PIPELINE)
    return stepcache_project


def suite(path: Path) -> ET.Element:
    (found,) = ET.parse(path).getroot()
    return found


# --- --junitxml


def cases(path: Path) -> dict[str, tuple[str, str, str]]:
    """Of each case: the outcome, in what way it is no passed one, and what that says."""
    found = {}
    for case in suite(path).iter("testcase"):
        outcome = case.find("properties/property[@name='outcome']")
        assert outcome is not None
        other = next((each for each in case if each.tag in ("failure", "skipped", "error")), None)
        found[f"{case.get('classname')}::{case.get('name')}"] = (
            outcome.get("value", ""),
            other.tag if other is not None else "",
            other.get("message", "") if other is not None else "",
        )
    return found


def test_every_node_is_a_test_case(project: Project) -> None:
    project.run("--junitxml", "reports/junit.xml")
    assert cases(project.path / "reports/junit.xml") == {
        "pipeline_x::raw": ("ran", "", ""),
        "pipeline_x::scaled[2]": ("ran", "", ""),
        "pipeline_x::scaled[3]": ("failed", "failure", "ValueError: three is too much"),
        "pipeline_x::check_small": ("warned", "", ""),
        "pipeline_x::later": ("skipped", "skipped", "not now"),
        "pipeline_x::whole[2]": ("skipped", "skipped", "needs pipeline_x.py::later, which is skipped"),
        "pipeline_x::whole[3]": ("blocked", "skipped", "blocked by pipeline_x.py::scaled[3]"),
    }
    assert {name: suite(project.path / "reports/junit.xml").get(name) for name in ("tests", "failures", "skipped", "errors")} == {
        "tests": "7", "failures": "1", "skipped": "3", "errors": "0",
    }  # fmt: skip


def test_what_failed_says_how_and_what_it_printed(project: Project) -> None:
    project.run("--junitxml=junit.xml")
    texts = {case.get("name"): case for case in suite(project.path / "junit.xml").iter("testcase")}
    failed = texts["scaled[3]"]
    assert (failed.findtext("failure") or "").endswith("pipeline_x.py:15: ValueError")
    # XML has no form for the escape character.
    assert failed.findtext("system-out") == "half way #x1B[31m three & <more>\n"
    assert failed.findtext("system-err") == "aside\n"
    assert "three is large" in (texts["check_small"].findtext("system-out") or "")
    assert texts["raw"].find("system-out") is None


def test_a_hit_is_passed_and_says_what_it_saved(project: Project) -> None:
    project.run("pipeline_x.py::raw")
    for _ in range(2):  # the second time, a run with nothing to do
        project.run("pipeline_x.py::raw", "--no-checks", "--junitxml=junit.xml")
        (case,) = suite(project.path / "junit.xml").iter("testcase")
        told = {each.get("name"): each.get("value") for each in case.iter("property")}
        assert (told["outcome"], told["kind"]) == ("cached", "step")
        assert float(told["saved_seconds"] or "-1") >= 0
        (project.path / "junit.xml").unlink()


def test_collection_errors_are_errors(project: Project) -> None:
    project.write("pipeline_y.py", "import absent_module\n")
    assert project.run("--junitxml=junit.xml").exit_code == 2
    (case,) = suite(project.path / "junit.xml").iter("testcase")
    assert (case.get("classname"), case.get("name")) == ("pipeline_y", "pipeline_y.py")
    assert "No module named 'absent_module'" in (case.findtext("error") or "")


@pytest.mark.parametrize("option", ["--json", "--junitxml", "--graph"])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("file/below/it.dot", "Not a directory"),
        ("file/it.dot", "Not a directory"),
        ("folder.dot", "Is a directory"),
        pytest.param(
            "locked/it.dot",
            "Permission denied",
            marks=pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere"),
        ),
    ],
)
def test_a_report_that_cannot_be_written_is_told_before_anything_runs(
    project: Project, option: str, path: str, why: str
) -> None:
    project.write("file", "")
    (project.path / "folder.dot").mkdir()
    (project.path / "locked").mkdir(mode=0o500)
    result = project.run(f"{option}={path}")
    assert (result.exit_code, result.stderr) == (4, f"ERROR: {option}={path}: cannot be written: {why}\n")
    assert result.stdout == ""
    assert "cached" not in project.run("--plan").outcomes.values()


def test_the_folder_of_a_report_is_made(project: Project) -> None:
    project.run("--plan", "--junitxml=new/folder/junit.xml")
    assert (project.path / "new/folder/junit.xml").is_file()


# --- --graph


def test_graphviz(project: Project) -> None:
    project.run("--graph=graph.dot", "--deselect=pipeline_x.py::whole")
    assert (
        (project.path / "graph.dot").read_text()
        == """\
digraph stepcache {
  rankdir="LR";
  node [style="filled,rounded", fontname="sans-serif"];
  subgraph cluster_0 {
    label="pipeline_x.py"; style="dotted"; fontname="sans-serif";
    n0 [label="raw\\nran", shape="box", fillcolor="#e8f5e9", color="#2e7d32", tooltip="pipeline_x.py::raw"];
    n1 [label="check_small\\nwarned", shape="hexagon", fillcolor="#fffde7", color="#f9a825", tooltip="pipeline_x.py::check_small"];
    n2 [label="scaled[2]\\nran", shape="box", fillcolor="#e8f5e9", color="#2e7d32", tooltip="pipeline_x.py::scaled[2]"];
    n3 [label="later\\nskipped", shape="box", fillcolor="#f5f5f5", color="#757575", tooltip="pipeline_x.py::later"];
    n4 [label="scaled[3]\\nfailed", shape="box", fillcolor="#ffebee", color="#c62828", tooltip="pipeline_x.py::scaled[3]"];
  }
  n0 -> n1;
  n0 -> n2;
  n0 -> n3;
  n0 -> n4;
}
"""
    )


def test_mermaid_of_what_would_run(project: Project) -> None:
    project.edit("pipeline_x.py", "@check(warn=True)\n", "")
    project.edit("pipeline_x.py", "[2, 3])", "['a\"b', 2])")
    project.run("--plan", "--graph=graph.mmd", "-k", "not later and not whole")
    assert (
        (project.path / "graph.mmd").read_text()
        == """\
flowchart LR
  subgraph f0["pipeline_x.py"]
    n0["raw"]:::would_run
    n1{{"check_small"}}:::unknown
    n2["scaled[a#34;b]"]:::unknown
    n3["scaled[2]"]:::unknown
  end
  n0 --> n1
  n0 --> n2
  n0 --> n3
  n1 -.-> n2
  n1 -.-> n3
  classDef unknown fill:#f5f5f5,stroke:#757575
  classDef would_run fill:#fffde7,stroke:#f9a825
"""
    )


def test_a_picture_shows_each_node_right_of_what_it_needs(project: Project) -> None:
    project.run("--graph=graph.svg", "--collect-only")
    root = ET.parse(project.path / "graph.svg").getroot()
    space = {"s": "http://www.w3.org/2000/svg"}
    left = {}
    for group in root.findall("s:g", space):
        rect = group.find("s:rect", space)
        assert rect is not None
        left[group.findtext("s:title", "", space)] = float(rect.get("x", "0"))
    names = ("raw", "scaled[2]", "scaled[3]", "check_small", "later", "whole[2]", "whole[3]")
    assert set(left) == {f"pipeline_x.py::{name}" for name in names}
    column = {name.partition("::")[2]: at for name, at in left.items()}
    assert column["raw"] < column["scaled[2]"] == column["later"] < column["whole[2]"] == column["whole[3]"]
    assert len(root.findall("s:path", space)) == 8


def test_a_picture_of_nothing(project: Project) -> None:
    project.write("pipeline_x.py", "")
    assert project.run("--graph=graph.svg").exit_code == 5
    assert ET.parse(project.path / "graph.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_other_suffixes_are_refused(project: Project) -> None:
    result = project.run("--graph=graph.png")
    assert (result.exit_code, result.stderr) == (
        4,
        "ERROR: --graph expects a path that ends in .svg, .dot or .mmd, not 'graph.png'\n",
    )


# --- --log-cli-level, -W


LOGGING = """
    from stepcache import resource, step

    @resource
    def connection():
        import logging
        logging.getLogger("db").warning("connected")
        return 1

    @step
    def loud(connection):
        import logging
        log = logging.getLogger("mine")
        log.debug("too much")
        log.info("half %d", 2)
        log.warning("done")

    @step
    def wrong(loud):
        import logging
        logging.getLogger("mine").error("%d", "no number")
"""


def test_log_records_are_shown_as_they_come(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write("pipeline_x.py", LOGGING)
    lines = project.run("--log-cli-level=info", "pipeline_x.py::loud").lines
    start = next(number for number, line in enumerate(lines) if "live log" in line)
    assert lines[start : start + 5] == [
        "----------------------------------- live log -----------------------------------",
        "WARNING  db:pipeline_x.py:6 connected",
        "------------------------ live log: pipeline_x.py::loud -------------------------",
        "INFO     mine:pipeline_x.py:14 half 2",
        "WARNING  mine:pipeline_x.py:15 done",
    ]
    assert re.fullmatch(r"pipeline_x.py \. +\[100%\]", lines[start + 6])
    assert "too much" not in "\n".join(lines)
    assert "live log" not in project.run("--log-cli-level=info", "pipeline_x.py::loud").stdout


def test_a_wrong_logging_call_fails_nothing(stepcache_project: Project) -> None:
    stepcache_project.write("pipeline_x.py", LOGGING)
    # In a process of its own: pytest's own capturing of log records raises.
    assert stepcache_project.command("--log-cli-level=info").exit_code == 0


def test_warning_filters(stepcache_project: Project) -> None:
    project = stepcache_project
    project.write(
        "pipeline_x.py",
        """
        import warnings
        from stepcache import step

        @step
        def old():
            warnings.warn("an old way (of 3)", DeprecationWarning)
            return 1
        """,
    )
    result = project.run("-W", "error::DeprecationWarning")
    assert (result.exit_code, result.nodes[0]["error"]) == (1, "DeprecationWarning: an old way (of 3)")
    result = project.run("-W", "ignore:an old way (of 3)::pipeline_x", "-rA")
    assert (result.exit_code, "an old way" in result.stdout) == (0, False)
    assert "an old way" in project.run("-W", "ignore:.*:DeprecationWarning", "-rA", "--cache-refresh").stdout
    project.configure('filterwarnings = ["error"]\n')
    assert project.run("--cache-refresh", "-Wignore").exit_code == 0  # what is given later comes before
    assert project.run("--cache-refresh").exit_code == 1
    for wrong, said in (
        ("nonsense", "'nonsense' is no warning filter: action:message:category:module:line, action one of "),
        ("error::NoSuch", "'error::NoSuch': there is no warning category NoSuch"),
        ("error::::x", "'error::::x': the line of a warning is a number, not 'x'"),
    ):
        result = project.run("-W", wrong)
        assert (result.exit_code, said in result.stderr) == (4, True), result.stderr
    project.configure('filterwarnings = ["error:(of"]\n')
    result = project.run("--cache-refresh")
    assert (result.exit_code, result.stderr.partition("(of': ")[2]) == (
        4, "message and module are regular expressions: missing ), unterminated subpattern at position 0\n",
    )  # fmt: skip


# --- options from elsewhere


def test_options_from_the_environment_and_from_files(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("args.txt", "pipeline_x.py::raw\n--no-checks\n\n@more.txt\n")
    project.write("more.txt", "pipeline_x.py::scaled[2]\n")
    assert list(project.run("@args.txt").outcomes) == ["pipeline_x.py::raw", "pipeline_x.py::scaled[2]"]
    monkeypatch.setenv("STEPCACHE_ADDOPTS", "-q --no-checks '-k raw and not nothing'")
    result = project.run()
    assert (list(result.outcomes), result.lines[0].split()[0]) == (["pipeline_x.py::raw"], "c")


@pytest.mark.parametrize(
    ("argument", "environment", "said"),
    [
        ("@absent", "", "cannot read @absent: No such file or directory"),
        ("@loop.txt", "", "@loop.txt names itself (in loop.txt:1)"),
        ("@wrong.txt", "", "unknown option '--nonsense' (in wrong.txt:2)\n'stepcache --help' lists all options"),
        ("@latin.txt", "", "cannot read @latin.txt: it is not UTF-8"),
        ("", "--maxfail=x", "--maxfail expects a whole number, not 'x' (in STEPCACHE_ADDOPTS)"),
        ("", "'open", "STEPCACHE_ADDOPTS cannot be split into arguments: No closing quotation"),
    ],
)
def test_errors_in_options_from_elsewhere(
    project: Project, monkeypatch: pytest.MonkeyPatch, argument: str, environment: str, said: str
) -> None:
    project.write("loop.txt", "@loop.txt\n")
    project.write("wrong.txt", "-q\n--nonsense\n")
    (project.path / "latin.txt").write_bytes(b"\xe9\n")
    monkeypatch.setenv("STEPCACHE_ADDOPTS", environment)
    result = project.run(*filter(None, [argument]))
    assert (result.exit_code, result.stderr) == (4, f"ERROR: {said}\n")
