"""*Edit × which nodes run*: each row of edits.py in processes of their own, and within one process."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepcache.testing import Project, Result


def _rows() -> list:
    spec = importlib.util.spec_from_file_location("edits", Path(__file__).with_name("edits.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ROWS


ROWS = _rows()


def change(project: Project, row, undo: bool = False) -> None:
    for name, old, new in reversed(row.change) if undo else row.change:
        path = project.path / name
        if undo:
            old, new = new, old
        if new is None:
            path.unlink()
        elif old is None or not path.exists():
            project.write(name, new)
        else:
            project.edit(name, old, new)


def environment(monkeypatch: pytest.MonkeyPatch, values: dict) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def ran(result: Result) -> set[str]:
    assert result.exit_code == 0, result.stdout + result.stderr
    return set(result.ran)


def digests(result: Result) -> dict[str, str]:
    return {row["id"].partition("::")[2]: row["digest"] for row in result.nodes}


def play(
    project: Project,
    row,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., Result],
    ready: Callable[[], object] = lambda: None,
) -> None:
    """*ready* is called once nothing is left to do, before anything is changed."""
    if row.configuration:
        project.configure(row.configuration)
    for name, text in row.files.items():
        project.write(name, text)
    environment(monkeypatch, row.env)

    run()
    assert ran(run()) == set(), "nothing was changed"
    ready()

    change(project, row)
    environment(monkeypatch, row.new_env)
    after = run()
    assert ran(after) == set(row.runs)
    if row.counts:
        assert digests(after) == digests(run("--no-cache")), "something old came out of the cache"

    if row.reverts:
        change(project, row, undo=True)
        for name in row.new_env:
            monkeypatch.delenv(name)
        environment(monkeypatch, row.env)
        assert ran(run()) == set(), "undoing the change is a hit"


def answered_by_stamp(project: Project, row) -> None:
    """A run with nothing to do imports none of what runs anything, unless the row says why there is no stamp."""
    report = f"--json={project._report}"
    done = project.python("-X", "importtime", "-m", "stepcache", report)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert ("stepcache.command" in loaded) == bool(row.unstamped), row.unstamped or "no stamp was there"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_in_processes_of_their_own(row, stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing to do, a stamp answers: it stands there to be believed when the change is made."""
    play(
        stepcache_project,
        row,
        monkeypatch,
        stepcache_project.command,
        lambda: answered_by_stamp(stepcache_project, row),
    )


@pytest.mark.parametrize("row", [row for row in ROWS if not row.alone], ids=lambda row: row.id)
def test_within_one_process(row, stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    play(stepcache_project, row, monkeypatch, stepcache_project.run)
