"""An end at any moment: the process is killed, or the user interrupts it, at each line of the store in turn."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import stepcache.store

HERE = str(Path(stepcache.store.__file__).parent)
# All lines: STEPCACHE_TEST_EVERYTHING=1; else some of them.
STRIDE = 1 if os.environ.get("STEPCACHE_TEST_EVERYTHING") else 23

Child = Callable[[Callable[[], object]], int]


def at_line(number: int, act: Callable[[], None]) -> Callable[[], int]:
    """From now on, count the lines of the store that run, and *act* before the one of that number."""
    lines = 0

    def local(_: FrameType, event: str, __: object) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == number:
                act()
        return local

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        return local(frame, event, argument) if frame.f_code.co_filename.startswith(HERE) else None

    sys.settrace(trace)

    def stop() -> int:
        sys.settrace(None)
        return lines

    return stop


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def work_of(cache: Any, number: int) -> Callable[[], None]:
    def work() -> None:
        store = cache.open()
        cache.ask(0, store)
        cache.ask(number, store)
        store.remember("kind", b"name", b"fact")
        store.close()

    return work


def lines_of(cache: Any, tmp_path: Path, work: Callable[[Any], Callable[[], object]]) -> int:
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    work(cache.copy(tmp_path / "copy"))()  # what is imported when it is first needed is there then
    shutil.rmtree(tmp_path / "copy")
    stop = at_line(0, interrupt)
    work(cache.copy(tmp_path / "copy"))()
    return stop()


WORKS: dict[str, Callable[[Any], Callable[[], object]]] = {
    "store a small value": lambda cache: work_of(cache, 3),
    "store a large value": lambda cache: work_of(cache, 4),
    "find what is there": lambda cache: work_of(cache, 1),
    "clear": lambda cache: lambda: cache.open().clear(None) and None,
    "collect": lambda cache: lambda: cache.open().gc(0) and None,
}


@pytest.mark.parametrize("name", WORKS)
def test_killed_at_any_line(cache: Any, tmp_path: Path, in_child: Child, name: str) -> None:
    cache.fill(0, 1)
    for number in range(1, lines_of(cache, tmp_path, WORKS[name]) + 1, STRIDE):
        shutil.rmtree(tmp_path / "copy")
        copy = cache.copy(tmp_path / "copy")

        def work(copy: Any = copy, number: int = number) -> None:
            at_line(number, kill)
            WORKS[name](copy)()

        assert in_child(work) == -signal.SIGKILL
        outcomes = copy.check(0, 1, 3, 4)
        if name not in ("clear", "collect"):
            assert outcomes[:2] == ["hit", "hit"], "another entry was lost"


@pytest.mark.parametrize("name", WORKS)
def test_interrupted_at_any_line(cache: Any, tmp_path: Path, in_child: Child, name: str) -> None:
    cache.fill(0, 1)
    for number in range(1, lines_of(cache, tmp_path, WORKS[name]) + 1, STRIDE):
        shutil.rmtree(tmp_path / "copy")
        copy = cache.copy(tmp_path / "copy")

        def work(copy: Any = copy, number: int = number) -> None:
            at_line(number, interrupt)
            WORKS[name](copy)()

        assert in_child(work) == 42, f"the interrupt at line {number} did not get through"
        left = [path.name for path in copy.files() if path.name.startswith(".new-")]
        assert left == []
        outcomes = copy.check(0, 1, 3, 4)
        if name not in ("clear", "collect"):
            assert outcomes[:2] == ["hit", "hit"], "another entry was lost"


def test_a_store_goes_on_after_an_interrupt(cache: Any, tmp_path: Path) -> None:
    """The command stops, but a notebook catches the interrupt and runs again with the same store."""
    cache.fill(0)
    for number in range(1, lines_of(cache, tmp_path, WORKS["store a large value"]) + 1, STRIDE * 3):
        shutil.rmtree(tmp_path / "copy")
        copy = cache.copy(tmp_path / "copy")
        store = copy.open()

        def work(copy: Any = copy, store: Any = store) -> None:
            for step in (0, 3, 4):
                copy.ask(step, store)
            store.flush()

        stop = at_line(number, interrupt)
        try:
            work()
        except KeyboardInterrupt:
            pass
        finally:
            stop()
        work()
        assert copy.check(0, 3, 4) == ["hit"] * 3
        store.close()
        assert store.problems == []


def test_killed_at_random_times(cache: Any, in_child: Child) -> None:
    cache.fill(0)
    for number in range(40):

        def work(number: int = number) -> None:
            signal.signal(signal.SIGALRM, lambda *_: kill())
            signal.setitimer(signal.ITIMER_REAL, 0.0005 + number * 0.0007)
            while True:
                store = cache.open()
                for step in range(1, 40):
                    cache.ask(step, store)
                store.clear([f"pipeline_x.py::step{step}" for step in range(1, 40)])
                store.gc(None)
                store.close()

        assert in_child(work) == -signal.SIGKILL
        assert cache.check(0, 4, 5, 6)[0] == "hit"
