"""*Edit × does what a step reaches change*: the heart of the key, row by row."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))

from reach_rows import ROWS, Row  # noqa: E402

DRIVER = HERE / "reach_driver.py"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def read(
    projects: Sequence[tuple[Path, dict[str, Any]]], seed: str = "1", python: str = sys.executable
) -> list[dict[str, Any]]:
    """What the steps of the projects reach, as one process after another sees it."""
    asked = json.dumps([(str(folder), options) for folder, options in projects])
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([python, str(DRIVER)], input=asked, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    for answer in answers:
        assert "error" not in answer, answer["error"]
    return answers


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[dict[str, Any], dict[str, Any]]]]:
    """For each row, what is reached before and after."""
    folder = tmp_path_factory.mktemp("rows")
    projects = []
    for number, row in enumerate(ROWS):
        projects.append((write(folder / f"{number}a", row.before), row.options))
        projects.append((write(folder / f"{number}b", row.after), row.options))
    found = read(projects[::2], seed="1"), read(projects[1::2], seed="2")
    yield {row.id: pair for row, pair in zip(ROWS, zip(*found, strict=True), strict=True)}


def told(answer: dict[str, Any]) -> tuple[str, list[list[str]]]:
    return answer["digest"], [pair[:2] for pair in answer["variables"]]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in ROWS])
def test_an_edit_changes_what_is_reached(row: Row, answers: dict[str, Any]) -> None:
    before, after = answers[row.id]

    assert (told(before) != told(after)) is row.changes
