"""`checkpoint_path`: what an execution that did not end well left is there at the next one with the same key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from stepcache.testing import Project

PIPELINE = """
import json, os, signal, sys
from pathlib import Path
from stepcache import step

@step
def fit(checkpoint_path, upto=3):
    found = sorted(path.name for path in checkpoint_path.iterdir())
    with open("found.jsonl", "a") as file:
        file.write(json.dumps(found) + "\\n")
    (checkpoint_path / str(len(found))).write_text("so far")
    if len(found) + 1 < upto:
        END
    return len(found)
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PIPELINE.replace("END", "raise ValueError('not yet')"))
    return stepcache_project


def found(project: Project) -> list[list[str]]:
    return [json.loads(line) for line in (project.path / "found.jsonl").read_text().splitlines()]


def kept(project: Project) -> list[Path]:
    return [path for path in (project.cache / "checkpoints").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "end", ["raise ValueError('not yet')", "raise KeyboardInterrupt", "os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_an_execution_goes_on_where_the_last_one_ended(project: Project, end: str) -> None:
    project.write("pipeline_x.py", PIPELINE.replace("END", end))
    assert [project.command("-q").exit_code != 0 for _ in range(3)] == [True, True, False]
    assert found(project) == [[], ["0"], ["0", "1"]]
    assert kept(project) == []
    assert project.run().outcomes == {"pipeline_x.py::fit": "cached"}


def test_another_key_has_a_folder_of_its_own(project: Project) -> None:
    project.run()
    project.run("-P", "fit.upto=1")
    project.edit("pipeline_x.py", "return len(found)", "return len(found) + 0")
    project.run()
    assert found(project) == [[], [], []]
    assert len(kept(project)) == 2


def test_in_a_worker_too(project: Project) -> None:
    project.command("-n", "2")
    project.command("-n", "2")
    assert found(project) == [[], ["0"]]


def test_without_a_cache_it_is_empty_each_time(project: Project) -> None:
    project.run("--no-cache")
    project.run("--no-cache")
    assert found(project) == [[], []]
    assert kept(project) == []


def test_clearing_the_cache_clears_it(project: Project) -> None:
    project.run()
    project.run("--cache-clear")
    assert found(project) == [[], []]


def test_the_value_is_that_of_a_run_in_one_go(project: Project) -> None:
    """Neither the folder's place nor its content counts."""
    project.edit("pipeline_x.py", "return len(found)", "return str(checkpoint_path.parent.name) != ''")
    for _ in range(3):
        project.run()
    assert project.run().outcomes == {"pipeline_x.py::fit": "cached"}


def test_each_element_has_its_own(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import Each, step

        @step
        def sizes():
            return [1, 2, 3]

        @step
        def fit(sizes: Each, checkpoint_path):
            before = [path.read_text() for path in checkpoint_path.iterdir()]
            (checkpoint_path / "so far").write_text(str(sizes))
            if sizes == 2 and not before:
                raise ValueError("not yet")
            return before
        """,
    )
    assert project.run().outcomes["pipeline_x.py::fit"] == "failed"
    assert [path.read_text() for path in kept(project)] == ["2"]
    assert project.run().outcomes["pipeline_x.py::fit"] == "ran"
    assert kept(project) == []
