"""Whole runs that are killed, interrupted, meet another run, or a clock that goes back: right values, and hits again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import stepcache
from stepcache.testing import Project

PACKAGE = str(Path(stepcache.__file__).parent)
# More of them: STEPCACHE_TEST_EVERYTHING=1.
TRIALS = 500 if os.environ.get("STEPCACHE_TEST_EVERYTHING") else 8
Child = Callable[[Callable[[], object]], int]

PIPELINE = """
    import random
    from stepcache import parametrize, step

    @step
    def base(seed=1):
        return random.Random(seed).randbytes(30_000)

    @step
    @parametrize("n", range(4))
    def part(base, n):
        return base[n * 5000 :] + bytes(20_000) if n % 2 else [n, len(base), {"text": "x" * n * 700}]

    @step(outputs=("left", "right"))
    def halves(base):
        return base[:20_000], base[20_000:]

    @step
    def total(part, left, right):
        return repr(part)[:50], len(left), len(right)
"""


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PIPELINE)
    return stepcache_project


def values(run: stepcache.Run) -> dict[str, Any]:
    return {row["id"]: run[row["id"]] for row in run.nodes}


def check(right: dict[str, Any], project: Project) -> None:
    """Values as without a cache, and the time after all of them hits."""
    again = stepcache.run(params={"seed": 2})
    assert values(again) == right
    assert set(project.run("-P", "seed=2").outcomes.values()) == {"cached"}
    old = project.run()
    assert set(old.outcomes.values()) == {"cached"}, "what no fault touched was lost"
    assert "the cache in" not in old.stdout


def test_killed_at_any_time(project: Project, in_child: Child) -> None:
    draw = random.Random(1)
    right = values(stepcache.run(params={"seed": 2}, enable_cache=False))
    project.run()
    began = time.perf_counter()
    project.run("-P", "seed=3")
    span = time.perf_counter() - began
    killed = 0
    for _ in range(TRIALS):

        def work(after: float = draw.uniform(0.0001, span)) -> None:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, after)
            stepcache.run(params={"seed": 2})

        killed += in_child(work) == -signal.SIGKILL
        check(right, project)
        project.run("--cache-clear", "--collect-only", "-q")
        project.run()
    assert killed


def interrupted_at(number: int) -> Callable[[FrameType, str, object], Any]:
    """Raises KeyboardInterrupt at that line of the package's, counted from now on."""
    lines = 0

    def local(_: FrameType, event: str, __: object) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == number:
                sys.settrace(None)
                raise KeyboardInterrupt
        return local

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        return local(frame, event, argument) if frame.f_code.co_filename.startswith(PACKAGE) else None

    trace.lines = lambda: lines  # type: ignore[attr-defined]
    return trace


def test_interrupted_at_any_line(project: Project, in_child: Child) -> None:
    right = values(stepcache.run(params={"seed": 2}, enable_cache=False))
    project.run()
    stepcache.run(params={"seed": 4})  # what is imported when it is first needed is there then
    counting: Any = interrupted_at(0)
    sys.settrace(counting)
    try:
        stepcache.run(params={"seed": 3})
    finally:
        sys.settrace(None)
    for number in random.Random(1).sample(range(1, counting.lines()), TRIALS):

        def work(number: int = number) -> None:
            sys.settrace(interrupted_at(number))
            stepcache.run(params={"seed": 2})

        assert in_child(work) == 42, f"the interrupt at line {number} did not get through"
        check(right, project)
        project.run("--cache-clear", "--collect-only", "-q")
        project.run()


def test_only_the_main_thread_takes_signals(stepcache_project: Project, in_child: Child) -> None:
    """One that another thread is given does not end what a step waits for in the main thread."""
    stepcache_project.write(
        "pipeline_x.py",
        """
        import os, signal, threading, time
        from stepcache import step

        @step
        def interrupted():
            assert threading.active_count() == 2, "the status line has a thread"
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)  # another thread has its chance to take it
            assert signal.sigtimedwait([signal.SIGINT], 5), "another thread took it"
        """,
    )
    assert in_child(lambda: os._exit(stepcache.main([]))) == 0


def test_an_interrupt_in_a_fork_gets_through(stepcache_project: Project) -> None:
    """Python swallows what is raised by a hook around a fork, or by the first one after it.

    In a process of its own: the hooks of a step that ran earlier in this one would be inside of those of this project.
    """
    stepcache_project.write(
        "pipeline_x.py",
        """
        import os, signal, time
        from stepcache import step

        armed = []
        os.register_at_fork(before=lambda: armed and armed.pop() and os.kill(os.getpid(), signal.SIGINT))

        @step
        def forks():
            armed.append(True)
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
            for _ in range(100):
                time.sleep(0.01)
        """,
    )
    assert stepcache_project.command().exit_code == 2


WAITING = """
    import os, time
    from stepcache import step

    @step
    def slow():
        open(os.path.join({folder!r}, str(os.getpid())), "w").close()
        while not os.path.exists({go!r}):
            time.sleep(0.01)
        return 41
"""


class Runs:
    """Runs, each a process of its own, of a step that tells who executes it and waits for a file."""

    def __init__(self, project: Project) -> None:
        self.pids, self.go = project.path.parent / "pids", project.path.parent / "go"
        self.pids.mkdir()
        project.configure(f'observe_ignore = ["file:{project.path.parent}/*"]')
        project.write("pipeline_x.py", WAITING.format(folder=str(self.pids), go=str(self.go)))
        self.project = project
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "stepcache", *arguments]
        process = subprocess.Popen(
            command, cwd=self.project.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """End what still runs: without its runs, a worker ends too."""
        for process in self._started:
            with process:
                process.kill()  # nothing, if it has ended

    def executing(self, count: int) -> set[int]:
        """Who has executed the step by now, once there are so many."""
        for _ in range(6000):
            found = {int(path.name) for path in self.pids.iterdir()}
            if len(found) >= count:
                return found
            time.sleep(0.01)
        raise AssertionError(f"only {found} came up")


@pytest.fixture
def runs(stepcache_project: Project) -> Iterator[Runs]:
    """They end with the test, however it ends."""
    started = Runs(stepcache_project)
    yield started
    started.end()


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_of_two_runs_one_computes_and_the_other_takes_the_result(runs: Runs, arguments: tuple[str, ...]) -> None:
    both = [runs.start(*arguments), runs.start(*arguments)]
    runs.executing(1)
    time.sleep(1)  # the other has its chance to run it too
    runs.go.touch()
    said = sorted(process.communicate()[0].splitlines()[-1].partition(" in ")[0].strip("= ") for process in both)
    assert said == ["1 cached", "1 ran"]
    assert len(runs.executing(1)) == 1


def test_who_waits_says_so(runs: Runs) -> None:
    told = runs.project.path.parent / "told"
    runs.project.write(
        "stepconf.py",
        f"""
        from pathlib import Path
        from stepcache import hookimpl

        @hookimpl
        def stepcache_node_waits(node):
            Path({str(told)!r}).write_text(node.id)
        """,
    )
    first = runs.start()
    runs.executing(1)
    assert not told.exists()
    second = runs.start()
    deadline = time.monotonic() + 60
    while not told.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert told.read_text() == "pipeline_x.py::slow"
    runs.go.touch()
    assert "1 ran" in first.communicate()[0]
    assert "1 cached" in second.communicate()[0]


def test_who_waits_for_a_run_that_is_killed_computes_itself(runs: Runs) -> None:
    both = {process.pid: process for process in (runs.start(), runs.start())}
    (owner,) = runs.executing(1)
    time.sleep(1)
    assert runs.executing(1) == {owner}
    killed = both.pop(owner)
    killed.kill()
    killed.communicate()
    ((heir, process),) = both.items()
    assert runs.executing(2) == {owner, heir}
    runs.go.touch()
    assert "1 ran in" in process.communicate()[0]


@pytest.mark.parametrize("hours", [-1, -24 * 10, 24 * 10])
def test_a_clock_that_was_set(project: Project, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    right = values(stepcache.run(params={"seed": 2}))
    stepcache.run(params={"seed": 1})
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + hours * 3600)
    assert set(project.run("-P", "seed=2").outcomes.values()) == {"cached"}
    assert set(project.run("-P", "seed=3").outcomes.values()) == {"ran"}
    assert "none damaged" in project.run("--cache-verify").stdout
    project.run("--cache-gc")
    monkeypatch.setattr(time, "time", real)
    for seed in (1, 2, 3):
        assert set(project.run("-P", f"seed={seed}").outcomes.values()) == {"cached"}
    assert values(stepcache.run(params={"seed": 2})) == right


@pytest.mark.parametrize("flags", [(), ("-n", "2")])
def test_what_is_finished_is_stored_before_anything_else_is_waited_for(
    project: Project, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    begun = tmp_path / "begun"
    project.write(
        "pipeline_x.py",
        f"""
        import time
        from stepcache import step

        @step
        def first():
            return 1

        @step
        def second(first):
            return 2

        @step(reads=())
        def slow(second):
            open({str(begun)!r}, "w").close()
            time.sleep(600)
        """,
    )
    command = [sys.executable, "-m", "stepcache"]
    run = subprocess.Popen([*command, *flags], cwd=project.path, stdout=subprocess.DEVNULL)
    try:
        for _ in range(1500):
            if begun.exists():
                break
            time.sleep(0.02)
        another = subprocess.run(
            [*command, "pipeline_x.py::second"], cwd=project.path, capture_output=True, text=True, timeout=30
        )
        assert "2 cached" in another.stdout
    finally:
        run.kill()
        run.wait()
