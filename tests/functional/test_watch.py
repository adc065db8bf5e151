"""`--watch`: runs again when something changes that the last run depended on, and at a key."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stepcache.testing import Project

pytest.importorskip("watchfiles")

PIPELINE = """
    from pathlib import Path

    from helper import factor
    from stepcache import Dir, File, step

    @step
    def raw(path=File("data/raw.txt"), parts=Dir("parts")):
        return int(Path(path).read_text()) + len(list(Path(parts).iterdir()))

    @step
    def scaled(raw):
        return raw * factor() + len(Path("notes.txt").read_text())

    @step
    def other():
        return 1

    def check_scaled(scaled):
        assert scaled < 100
"""


class Watching:
    """A command under --watch: what it prints, and keys for it, through a terminal or through pipes."""

    def __init__(self, project: Project, *args: str, terminal: bool = False) -> None:
        self.terminal = terminal
        command = [sys.executable, "-m", "stepcache", "--watch", "--no-header", *args]
        started: dict[str, Any] = {"cwd": project.path, "env": {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}}
        if terminal:
            self.output, inner = pty.openpty()
            self.keys = self.output
            self.process = subprocess.Popen(
                command, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
                preexec_fn=_own_terminal, **started,
            )  # fmt: skip
            os.close(inner)
        else:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **started
            )
            assert self.process.stdout is not None
            assert self.process.stdin is not None
            self.output, self.keys = self.process.stdout.fileno(), self.process.stdin.fileno()
        self.text = ""

    def until(self, pattern: str) -> str:
        """What it prints up to that; it is to come within a minute."""
        end = time.monotonic() + 60
        while (found := re.search(pattern, self.text)) is None:
            assert select.select([self.output], [], [], max(0.0, end - time.monotonic()))[0], f"so far: {self.text}"
            self.text += os.read(self.output, 1 << 16).decode().replace("\r\n", "\n")
        before, self.text = self.text[: found.end()], self.text[found.end() :]
        return before

    def run(self) -> str:
        """What a whole run prints, up to where changes are waited for."""
        return self.until(r"\[watch\] waiting for changes[^\n]*\n")

    def press(self, key: str) -> None:
        os.write(self.keys, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.terminal:
            os.close(self.output)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def quit(self) -> int:
        self.press("q")
        return self.process.wait(60)


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PIPELINE)
    stepcache_project.write("helper.py", "def factor():\n    return 2\n")
    stepcache_project.write("data/raw.txt", "10")
    stepcache_project.write("parts/one", "")
    stepcache_project.write("notes.txt", "abc")
    return stepcache_project


@pytest.fixture
def watching(project: Project) -> Iterator[Callable[..., Watching]]:
    opened: list[Watching] = []

    def open_one(*args: str, terminal: bool = False) -> Watching:
        opened.append(Watching(project, *args, terminal=terminal))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def last(text: str) -> str:
    """The counts in a run's last line."""
    return re.findall(r"=+ (.*) in [0-9.]+s", text)[-1]


def test_whatever_the_run_depended_on(project: Project, watching: Callable[..., Watching]) -> None:
    it = watching()
    assert last(it.run()) == "3 ran, 1 passed"

    project.edit("helper.py", "2", "3")
    again = it.run()
    assert (last(again), "[watch] changed: helper.py\n" in again) == ("1 ran, 2 cached, 1 passed", True)

    project.write("data/raw.txt", "11")  # a File setting
    assert last(it.run()) == "2 ran, 1 cached, 1 passed"
    project.write("parts/two")  # a Dir setting
    assert last(it.run()) == "2 ran, 1 cached, 1 passed"
    project.write("unseen.txt", "nothing looked at it")
    other = project.write("notes.new", "abcd")
    other.replace(project.path / "notes.txt")  # observed, and written as editors write
    assert "[watch] changed: notes.txt\n" in (again := it.run())
    assert last(again) == "1 ran, 2 cached, 1 passed"

    project.write("pipeline_y.py", "from stepcache import step\n\n@step\ndef new():\n    return 5\n")
    assert last(it.run()) == "1 ran, 4 cached"
    project.configure("params = {'new.size' = 1}\n")
    assert "has no setting 'size'" in it.run()  # an error, and on it goes
    project.configure("")
    assert last(it.run()) == "5 cached"
    assert it.quit() == 0


def test_it_outlives_errors(project: Project, watching: Callable[..., Watching]) -> None:
    project.write("helper.py", "def factor(:\n")
    it = watching()
    assert last(it.run()) == "1 error"
    project.write(
        "helper.py", "def factor():\n    with open('missing.txt') as file:\n        return len(file.read())\n"
    )
    assert last(it.run()) == "1 failed, 1 blocked, 2 ran"
    project.write("missing.txt", "four")  # which the step that failed had asked for
    assert last(it.run()) == "1 ran, 2 cached, 1 passed"
    (project.path / "pipeline_x.py").unlink()
    assert "collected 0 nodes" in it.run()
    project.write("pipeline_x.py", PIPELINE)
    assert last(it.run()) == "4 cached"
    assert it.quit() == 0


def test_the_failing_come_first(project: Project, watching: Callable[..., Watching]) -> None:
    project.edit(
        "pipeline_x.py",
        "def check_scaled",
        "def check_other(other):\n    assert other == 2\n\n\ndef check_scaled",
    )
    it = watching("-v", "--color=no", terminal=True)
    assert last(it.run()) == "1 failed, 3 ran, 1 passed"
    project.edit("pipeline_x.py", "return 1", "return 2")
    again = it.run()
    assert again.index("\x1b[2J") < again.index("[watch] changed: pipeline_x.py")
    assert re.findall(r"::(\w+) (RAN|PASSED|CACHED|ran|passed|cached)", again)[0][0] == "other"

    it.press("f")
    assert "[watch] the failed\n" in it.run()
    it.press("\n")
    assert "[watch] again\n" in it.run()
    it.press("a")
    assert "waiting for changes (all)" in it.run()
    it.press("\x03")
    assert it.process.wait(60) == 0


def test_what_is_changed_during_a_run(project: Project, watching: Callable[..., Watching]) -> None:
    project.write(
        "pipeline_x.py",
        """
        import os

        from stepcache import step

        @step(enable_cache=False)
        def slow():
            open("reached", "w").close()
            while not os.path.exists("go"):
                pass
            return 1
        """,
    )
    it = watching("-s")
    while not (project.path / "reached").exists():
        assert it.process.poll() is None
        time.sleep(0.01)
    project.edit("pipeline_x.py", "return 1", "return 2")
    project.write("go")
    it.run()
    assert "[watch] changed: " in it.run()
    assert it.quit() == 0


def test_sigterm_ends_the_run_that_is_under_way_too(project: Project, watching: Callable[..., Watching]) -> None:
    project.write(
        "pipeline_x.py",
        """
        import os
        import time

        from stepcache import step

        @step
        def slow():
            with open("reached.tmp", "w") as file:
                file.write(str(os.getpid()))
            os.rename("reached.tmp", "reached")
            time.sleep(60)
        """,
    )
    it = watching("-s")
    while not (project.path / "reached").exists():
        assert it.process.poll() is None
        time.sleep(0.01)
    it.process.terminate()
    it.until("! KeyboardInterrupt")
    assert it.process.wait(60) == 2
    with pytest.raises(ProcessLookupError):
        os.kill(int((project.path / "reached").read_text()), 0)


def test_without_watchfiles(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    result = project.run("--watch")
    assert result.exit_code == 4
    assert result.stderr == "ERROR: --watch needs watchfiles: pip install 'stepcache[watch]'\n"
