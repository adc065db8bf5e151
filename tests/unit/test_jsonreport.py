"""The report for programs: schema 1, whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from stepcache.errors import UsageError
from stepcache.model import Failure, NodeReport, Output, Problem, Reason, RunReport, Value
from stepcache.report.jsonreport import json_report, write_json

FILE = "pipeline_flights.py"
RAN = NodeReport(
    f"{FILE}::delays",
    "step",
    "ran",
    FILE,
    0.2,
    (Reason("code", "helpers.py::clean"), Reason("setting", "lr", 0.1, 0.2, shown=True)),
    "ab" * 32,
    Value("cd" * 32, "plain", 812345, 90211),
    (f"{FILE}::flights",),
    output=Output("printed", "", ""),
)
CACHED = NodeReport(f"{FILE}::flights", "step", "cached", FILE, saved_seconds=12.4)
FAILED = NodeReport(f"{FILE}::check", "check", "failed", FILE, failure=Failure("ValueError: bad", "...", "x:3"))


def test_it_is_the_contracts():
    report = json_report(RunReport(1, 0.31, (CACHED, RAN, FAILED), (Problem("a.py", "a.py:1: bad"),)), "0.1.0")

    assert list(report) == ["schema", "stepcache", "exit_code", "seconds", "saved_seconds", "nodes", "errors"]
    assert {key: report[key] for key in report if key != "nodes"} == {
        "schema": 1,
        "stepcache": "0.1.0",
        "exit_code": 1,
        "seconds": 0.31,
        "saved_seconds": 12.4,
        "errors": [{"id": "a.py", "message": "a.py:1: bad"}],
    }
    assert [row["id"] for row in report["nodes"]] == [CACHED.id, RAN.id, FAILED.id]
    assert report["nodes"][1] == {
        "id": f"{FILE}::delays",
        "kind": "step",
        "outcome": "ran",
        "seconds": 0.2,
        "why": [
            {"kind": "code", "what": "helpers.py::clean", "was": None, "now": None},
            {"kind": "setting", "what": "lr", "was": 0.1, "now": 0.2},
        ],
        "key": "ab" * 32,
        "digest": "cd" * 32,
        "outputs": None,
        "bytes": 812345,
        "stored_bytes": 90211,
        "elements": None,
        "needs": [f"{FILE}::flights"],
        "error": None,
    }
    assert report["nodes"][2]["error"] == "ValueError: bad"
    assert report["nodes"][0]["digest"] is None


def test_what_may_not_be_told_is_not():
    row = NodeReport("a", "step", "ran", "a", why=(Reason("setting", "region", "old secret", "new secret"),))

    assert "secret" not in json.dumps(json_report(RunReport(0, 0.1, (row,)), "0"))


def test_numbers_that_json_has_not_are_text():
    row = NodeReport("a", "step", "ran", "a", why=(Reason("setting", "lr", float("nan"), float("-inf"), shown=True),))
    report = json_report(RunReport(0, 0.1, (row,)), "0")

    assert report["nodes"][0]["why"] == [{"kind": "setting", "what": "lr", "was": "nan", "now": "-inf"}]
    json.dumps(report, allow_nan=False)


def test_to_a_file(tmp_path: Path):
    report = RunReport(0, 0.31, (RAN,))
    target = tmp_path / "made" / "report.json"
    write_json(report, "0.1.0", str(target))
    first = target.read_bytes()
    write_json(report, "0.1.0", str(target))

    assert json.loads(first) == json_report(report, "0.1.0")
    assert target.read_bytes() == first
    assert os.listdir(target.parent) == ["report.json"]


def test_to_a_link_and_to_a_pipe(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "real.json")
    write_json(RunReport(0, 0.1), "0", str(tmp_path / "link"))
    reading, writing = os.pipe()
    write_json(RunReport(0, 0.1), "0", f"/dev/fd/{writing}")
    os.close(writing)

    assert (tmp_path / "link").is_symlink()
    assert os.read(reading, 9999) == (tmp_path / "real.json").read_bytes()
    os.close(reading)


def test_to_standard_output(capsys: pytest.CaptureFixture[str]):
    write_json(RunReport(0, 0.1), "0", "-")

    assert json.loads(capsys.readouterr().out)["schema"] == 1


def test_a_path_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as caught:
        write_json(RunReport(0, 0.1), "0", f"{tmp_path}/file/report.json")

    assert str(caught.value) == f"--json={tmp_path}/file/report.json: cannot be written: File exists"
