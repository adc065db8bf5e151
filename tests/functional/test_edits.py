"""*Edit × which nodes run*: each row of edits.py in processes of their own, and within one process.

The processes are forked from one that has stepcache imported and nothing of a project: to start a Python for each of
some thousand runs would take most of the suite's time. Rows that need one started for them have it (`Row.started`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stepcache.testing import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from stepcache.testing import Project


def _table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("edits", Path(__file__).with_name("edits.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EDITS = _table()
ROWS = EDITS.ROWS


# What the process that is forked does: for each line of its input, the command in a child, and its exit status.
FORKING = """
import gc, json, os, sys
import stepcache.stamp, stepcache.cli, stepcache.command, stepcache.runs, stepcache.watching, stepcache.report.why
gc.freeze()
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(asked["environ"])
        os.chdir(asked["cwd"])
        sys.path[0] = asked["cwd"]
        sys.argv = ["stepcache", *asked["args"]]
        def command(*given, command=stepcache.command.command):
            open(asked["long"], "w").close()
            return command(*given)
        stepcache.command.command = command
        stepcache.cli.console_main()
        os._exit(70)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    """Runs the command in forked processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, *args: str) -> Result:
        report, out, long = (self._folder / name for name in ("report.json", "out", "long"))
        for each in (report, long):
            each.unlink(missing_ok=True)
        asked = {"args": [*args, f"--json={report}"], "cwd": os.getcwd(), "environ": dict(os.environ)}
        print(json.dumps({**asked, "out": str(out), "long": str(long)}), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        return Result(code, out.read_text(), "", json.loads(report.read_text()) if report.exists() else {})

    @property
    def went_long_way(self) -> bool:
        """Was the last run not answered by a stamp?"""
        return (self._folder / "long").exists()

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    found = Forks(tmp_path_factory.mktemp("forks"))
    yield found
    found.close()


def change(project: Project, row, undo: bool = False) -> None:
    for name, old, new in reversed(row.change) if undo else row.change:
        path = project.path / name
        if undo:
            old, new = new, old
        if new is None:
            path.unlink()
        elif ".zip/" in name:
            put(project, name, EDITS.archived(project.path, name)[name].replace(old, new))
        elif old is None or not path.exists() or isinstance(new, EDITS.Link | EDITS.Mode):
            put(project, name, new)
        else:
            project.edit(name, old, new)


def put(project: Project, name: str, text: str) -> None:
    """Write a file, into a zip archive where its name leads through one; make a link; give rights."""
    path = project.path / name
    if ".zip/" in name:
        EDITS.put_into_archive(project.path, name, text)
    elif isinstance(text, EDITS.Mode):
        path.chmod(text)
    elif isinstance(text, EDITS.Link):
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(text)
    else:
        project.write(name, text)


def environment(monkeypatch: pytest.MonkeyPatch, values: dict) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def ran(result: Result) -> set[str]:
    assert result.exit_code == 0, result.stdout + result.stderr
    return set(result.ran)


def digests(result: Result) -> dict[str, str]:
    return {row["id"].partition("::")[2]: row["digest"] for row in result.nodes}


def are_right(row, reasons: dict[str, list[str]]) -> None:
    """Each step that ran says what was changed, and what takes its value that it did."""
    assert set(reasons) == set(row.runs)
    for step, told in reasons.items():
        if step == "after" and "aside" not in row.runs:
            assert told == ["input: work"]
        elif row.why:
            assert sorted(told) == sorted(row.why), step
        else:
            assert told, step
            taken = ("input: work",) if step == "after" else ()
            assert all(each.startswith((*changed(row), *taken)) for each in told), (step, told)


def changed(row) -> tuple[str, ...]:
    """How the reasons begin that what a row changes may give: the file, the variable, a listing that has one more."""
    found = [f"env: {name}" for name in row.new_env]
    for name, old, _ in row.change:
        found += [f"code: {name}" if name.endswith(".py") else f"file: {name}"]
        if old is None and not name.endswith(".py"):
            found += [f"file: {os.path.dirname(name)}"]
    return tuple(found)


def play(
    project: Project,
    row,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., Result],
    ready: Callable[[], object] = lambda: None,
) -> None:
    """*ready* is called once nothing is left to do, before anything is changed."""
    if row.needs:
        pytest.importorskip(row.needs, reason=f"{row.needs} is not installed")
    if row.configuration:
        project.configure(row.configuration)
    for name, text in row.files.items():
        put(project, name, text)
    environment(monkeypatch, row.env)

    run()
    assert ran(run()) == set(), "nothing was changed"
    ready()

    change(project, row)
    environment(monkeypatch, row.new_env)
    after = run()
    assert ran(after) == set(row.runs)
    are_right(row, {node.partition("::")[2]: reasons for node, reasons in after.reasons.items()})
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
def test_in_processes_of_their_own(
    row, stepcache_project: Project, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is nothing to do, a stamp answers: it stands there to be believed when the change is made."""
    project = stepcache_project
    if row.started:
        play(project, row, monkeypatch, project.command, lambda: answered_by_stamp(project, row))
        return

    def ready() -> None:
        forks.run()
        assert forks.went_long_way == bool(row.unstamped), row.unstamped or "no stamp was there"

    play(project, row, monkeypatch, forks.run, ready)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.alone], ids=lambda row: row.id)
def test_within_one_process(row, stepcache_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = sys.getrecursionlimit()
    try:
        play(stepcache_project, row, monkeypatch, stepcache_project.run)
    finally:
        sys.setrecursionlimit(limit)  # some rows set it
