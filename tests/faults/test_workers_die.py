"""Worker processes that die, hang or are left behind: only the node that they ran fails, and nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import stepcache
from stepcache.testing import Project

HEAD = """
    import ctypes, os, signal, sys, time
    from stepcache import parametrize, pipeline, resource, step
"""

ENDS = {
    "os.kill(os.getpid(), signal.SIGKILL)": "was killed by SIGKILL (out of memory?)",
    "os.kill(os.getpid(), signal.SIGTERM)": "was killed by SIGTERM",
    "ctypes.string_at(0)": "was killed by SIGSEGV",
    "os.abort()": "was killed by SIGABRT",
    "os._exit(3)": "ended with exit status 3",
    "os._exit(0)": "ended with exit status 0",
}


@pytest.mark.parametrize("written", ["b'garbage!' * 9", "(9).to_bytes(8, 'little') + b'no pickle'"])
def test_a_step_that_writes_where_its_worker_speaks_fails_alone(stepcache_project: Project, written: str) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + f"""
    @step
    def bad():
        import contextlib, stat
        for number in range(3, 256):
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    os.write(number, {written})
        time.sleep(5)

    @step
    def good(): ...
    """,
    )
    result = stepcache_project.run("-n", "2")
    assert result.outcomes == {"pipeline_x.py::bad": "failed", "pipeline_x.py::good": "ran"}
    assert result.nodes[0]["error"].startswith("WorkerDied: what came from the process that ran it is no message")


@pytest.mark.parametrize("end", ENDS)
def test_a_worker_that_dies_fails_only_its_node(stepcache_project: Project, end: str) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + f"""
    @step
    def bad():
        print("last words", flush=True)
        {end}

    @step
    @parametrize("n", range(6))
    def good(n):
        time.sleep(0.02)
        return n

    @pipeline
    def both(bad, builds=()): ...

    @pipeline(builds=["good"])
    def fine(): ...
    """,
    )
    result = stepcache_project.run("-n", "2")
    assert result.exit_code == 1
    outcomes = {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()}
    assert outcomes == {"bad": "failed", "both": "blocked", "fine": "ran"} | {f"good[{n}]": "ran" for n in range(6)}
    error = next(row["error"] for row in result.nodes if row["outcome"] == "failed")
    assert error == f"WorkerDied: the process that ran it {ENDS[end]}"
    assert "last words" in result.stdout
    again = stepcache_project.run("-n", "2")
    assert again.reasons == {"pipeline_x.py::bad": ["new"]}, "nothing was stored for it"


def test_what_a_dead_step_has_started_ends_with_it(stepcache_project: Project) -> None:
    child = stepcache_project.path.parent / "child"
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + f"""
    import subprocess

    @step
    def bad():
        started = subprocess.Popen(["sleep", "60"])
        with open({str(child)!r}, "w") as file:
            file.write(str(started.pid))
        os._exit(1)
    """,
    )
    assert stepcache_project.run("-n", "2").exit_code == 1
    assert gone(int(child.read_text()))


def test_a_step_that_takes_too_long_is_ended_and_shows_where_it_was(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + """
    @step(timeout=0.2)
    def slow():
        time.sleep(60)  # here

    @step(timeout="1h")
    def quick():
        return os.getpid()
    """,
    )
    for arguments in ((), ("-n", "2")):
        began = time.monotonic()
        result = stepcache_project.run(*arguments, "--cache-refresh")
        assert time.monotonic() - began < 30
        assert result.outcomes == {"pipeline_x.py::slow": "failed", "pipeline_x.py::quick": "ran"}
        assert result.nodes[0]["error"] == "TimeoutError: it took longer than its timeout of 0.2 seconds"
        assert ">       time.sleep(60)  # here" in result.stdout


def test_a_step_that_hangs_in_c_is_killed_and_says_so(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + """
    @step(timeout=0.2)
    def stuck():
        print("before it hung", flush=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        ctypes.CDLL(None).pause()

    @step
    def other():
        return 1
    """,
    )
    result = stepcache_project.run()
    assert result.outcomes == {"pipeline_x.py::stuck": "failed", "pipeline_x.py::other": "ran"}
    assert result.nodes[0]["error"] == (
        "TimeoutError: it took longer than its timeout of 0.2 seconds, did not stop when asked to, and was killed"
    )
    assert "before it hung" in result.stdout


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_worker_that_dies_fails_only_the_element_that_it_ran(stepcache_project: Project, end: str) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + f"""
    from stepcache import Each

    @step
    def numbers():
        return list(range(200))

    @step(takes={{"number": "numbers"}})
    def part(number: Each):
        if number in (77, 150):
            print("last words", number, flush=True)
            {end}
        return number
    """,
    )
    result = stepcache_project.run("-n", "2")
    assert result.exit_code == 1
    row = result.nodes[1]
    assert row["elements"] == {"cached": 0, "ran": 198, "failed": 2}
    assert row["error"] == f"element 77: WorkerDied: the process that ran it {ENDS[end]} (and 1 more element)"
    assert [line for line in result.lines if line.startswith(("element ", "last words"))] == [
        "element 77:", "element 150:", "last words 77", "last words 150",
    ]  # fmt: skip
    stepcache_project.edit("pipeline_x.py", "range(200)", "[*range(77), *range(78, 150), *range(151, 200)]")
    again = stepcache_project.run("-n", "2")
    assert again.nodes[1]["elements"] == {"cached": 198, "ran": 0, "failed": 0}


def test_each_element_has_its_own_time_and_fails_alone_when_it_is_over(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + """
    from stepcache import Each

    @step
    def numbers():
        return list(range(12))

    @step(takes={"number": "numbers"}, timeout=0.5)
    def part(number: Each):
        if number == 3:
            time.sleep(60)  # here
        if number == 8:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            ctypes.CDLL(None).pause()
        time.sleep(0.1)
        return number
    """,
    )
    for arguments in ((), ("-n", "2")):
        result = stepcache_project.run(*arguments, "--cache-refresh")
        row = result.nodes[1]
        assert row["elements"] == {"cached": 0, "ran": 10, "failed": 2}
        took = "TimeoutError: it took longer than its timeout of 0.5 seconds"
        assert row["error"] == f"element 3: {took} (and 1 more element)"
        assert ">           time.sleep(60)  # here" in result.stdout
        assert f"{took}, did not stop when asked to, and was killed" in result.stdout


def test_time_counts_while_what_elements_are_given_is_made_and_not_after_them(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + """
    from stepcache import Each

    @step
    def numbers():
        return [1]

    @resource
    def hanging():
        time.sleep(60)

    @resource(scope="node")
    def slow_end():
        yield 1
        time.sleep(1)

    @step(takes={"number": "numbers"}, timeout=0.3)
    def given(number: Each, hanging):
        return number

    @step(takes={"number": "numbers"}, timeout=0.3)
    def fine(number: Each, slow_end):
        return number
    """,
    )
    result = stepcache_project.run()
    outcomes = {node.partition("::")[2]: outcome for node, outcome in result.outcomes.items()}
    assert outcomes == {"numbers": "ran", "given": "failed", "fine": "ran"}
    error = next(row["error"] for row in result.nodes if row["outcome"] == "failed")
    assert error.startswith("element 0: TimeoutError: it took longer than its timeout of 0.3 seconds")


def gone(pid: int) -> bool:
    """Is the process gone, or a zombie that nobody has asked after? It may take a moment."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stepcache", "--no-header", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=project.path,
        process_group=0,
    )


def pids_in(folder: Path, count: int) -> list[int]:
    """The process numbers that steps have written, once there are so many."""
    for _ in range(1500):
        found = [int(path.name) for path in folder.iterdir()]
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"only {found} came up")


@pytest.fixture
def pids(stepcache_project: Project) -> Path:
    folder = stepcache_project.path.parent / "pids"
    folder.mkdir()
    stepcache_project.configure(f'observe_ignore = ["file:{folder}"]')
    return folder


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
@pytest.mark.parametrize(
    "body",
    ["time.sleep(60)", "ctypes.PyDLL(None).sleep(60)", "subprocess.run(['sleep', '60'])", "os.fork(); time.sleep(60)"],
)
def test_nothing_is_left_when_the_run_is_killed(stepcache_project: Project, pids: Path, body: str) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + f"""
    import subprocess

    @step
    @parametrize("n", [1, 2])
    def part(n):
        open(os.path.join({str(pids)!r}, str(os.getpid())), "w").close()
        {body}
    """,
    )
    run = start(stepcache_project, "-n", "2")
    workers = pids_in(pids, 2)
    groups = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _group(pid) in workers]
    assert set(workers) <= set(groups)
    run.kill()
    with run:
        run.wait()
    assert all(gone(pid) for pid in groups)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


ORDERS = {
    "run": lambda run, workers: [(run, signal.SIGKILL)],
    "run, terminated": lambda run, workers: [(run, signal.SIGTERM)],
    "workers, run": lambda run, workers: [*((each, signal.SIGKILL) for each in workers), (run, signal.SIGKILL)],
    "run, workers": lambda run, workers: [(run, signal.SIGKILL), *((each, signal.SIGKILL) for each in workers)],
    "workers while the run is held up": lambda run, workers: [
        (run, signal.SIGSTOP),
        *((each, signal.SIGKILL) for each in workers),
        (run, signal.SIGKILL),
    ],
}


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
@pytest.mark.parametrize("order", ORDERS)
def test_what_workers_have_started_ends_with_the_run_in_any_order_of_ends(
    stepcache_project: Project, pids: Path, order: str
) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + f"""
    import subprocess

    @step
    @parametrize("n", [1, 2])
    def part(n):
        subprocess.Popen("sleep 60 & sleep 60; true", shell=True)
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
        open(os.path.join({str(pids)!r}, str(os.getpid())), "w").close()
        time.sleep(60)
    """,
    )
    run = start(stepcache_project, "-n", "2")
    workers = pids_in(pids, 2)
    groups = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _group(pid) in workers]
    assert len(groups) >= 2 * 3
    for pid, number in ORDERS[order](run.pid, workers):
        os.kill(pid, number)
    with run:
        run.wait()
    assert all(gone(pid) for pid in groups)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
def test_a_step_sees_no_children_but_its_own_and_no_guard_is_left(stepcache_project: Project) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + """
    @step
    def alone():
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert os.wait()[0] == child
        try:
            os.wait()
        except ChildProcessError:
            return os.getpgrp()
    """,
    )
    run = stepcache.run(workers=2)
    assert run.exit_code == 0, run.nodes
    group = run["alone"]
    assert all(gone(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _group(pid) == group)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
def test_ctrl_c_ends_the_run_and_keeps_what_was_finished(stepcache_project: Project, pids: Path) -> None:
    torn = stepcache_project.path.parent / "torn"
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + f"""
    @resource
    def live():
        yield 1
        open({str(torn)!r}, "a").write("torn down\\n")

    @step
    @parametrize("n", [1, 2, 3, 4])
    def part(n, live):
        return n

    @step
    @parametrize("m", [1, 2, 3])
    def slow(part, m):
        open(os.path.join({str(pids)!r}, str(os.getpid())), "w").close()
        time.sleep(60)
    """,
    )
    run = start(stepcache_project, "-n", "2", "-v")
    workers = pids_in(pids, 2)
    began = time.monotonic()
    os.killpg(run.pid, signal.SIGINT)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 2, output
    assert time.monotonic() - began < 10  # two seconds on a quiet machine: benchmarks/pool.py
    assert output.count(" RAN ") == 4
    assert torn.read_text() == "torn down\n" * len(workers)
    assert all(gone(pid) for pid in workers)
    again = stepcache_project.run("-k", "part and not slow")
    assert set(again.outcomes.values()) == {"cached"}


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
def test_a_second_ctrl_c_does_not_wait(stepcache_project: Project, pids: Path) -> None:
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + f"""
    @step
    @parametrize("n", [1, 2])
    def stubborn(n):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        open(os.path.join({str(pids)!r}, str(os.getpid())), "w").close()
        time.sleep(60)
    """,
    )
    run = start(stepcache_project, "-n", "2")
    workers = pids_in(pids, 2)
    os.killpg(run.pid, signal.SIGINT)
    time.sleep(1)  # two that come at once are one
    os.killpg(run.pid, signal.SIGINT)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 2, output
    assert all(gone(pid) for pid in workers)


def test_a_file_edited_after_the_run_began_is_not_run_by_a_worker_under_the_old_key(
    stepcache_project: Project,
) -> None:
    stepcache_project.write("helpers_of_x.py", "VALUE = 1\n\ndef value():\n    return VALUE\n")
    stepcache_project.write(
        "pipeline_x.py",
        HEAD
        + """
    from pathlib import Path
    from helpers_of_x import value

    @step
    def one():
        return 1

    @step
    def two(one):
        return value()
    """,
    )

    class Editor:
        """Edits the file when the run has begun and no worker has."""

        @staticmethod
        def stepcache_collected() -> None:
            stepcache_project.write("helpers_of_x.py", "VALUE = 2\n\ndef value():\n    return VALUE\n")

    from stepcache import hookimpl

    Editor.stepcache_collected = staticmethod(hookimpl(Editor.stepcache_collected))  # type: ignore[method-assign]
    run = stepcache.run(workers=2, plugins=(Editor(),))
    assert run["two"] == 1, "the run decided on the old source, and ran it"
    assert stepcache.run(workers=2)["two"] == 2
    stepcache_project.write("helpers_of_x.py", "VALUE = 1\n\ndef value():\n    return VALUE\n")
    again = stepcache.run(workers=2)
    assert (again["two"], again.nodes[1]["outcome"]) == (1, "cached")
