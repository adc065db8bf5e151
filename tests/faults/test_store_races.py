"""Several processes, threads and forks at once: right values, no errors, and little done twice."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepcache.store.blobs import Blobs

Child = Callable[[Callable[[], object]], int]
KEY = f"{1:064x}"


def started(work: Callable[[], object]) -> int:
    """The id of a forked child that does it; it exits with 0 if nothing was raised."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the child must not go on as if it were the test run
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    return child


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("count", [2, 16, 32])
@pytest.mark.parametrize("present", [False, True])
def test_many_ask_for_one_key(cache: Any, tmp_path: Path, count: int, present: bool) -> None:
    runs = tmp_path / "runs"
    if present:
        cache.fill(0)

    def work() -> None:
        store = cache.open()
        outcome = "waited"
        while outcome == "waited":
            with store.claim(KEY) as ours:
                if ours:
                    outcome, value = cache.ask(1, store)
        if outcome == "ran":
            with runs.open("a") as file:
                file.write("x")
        assert value == cache.value(1)
        store.close()
        assert store.problems == []

    assert [ended(child) for child in [started(work) for _ in range(count)]] == [0] * count
    assert runs.read_text() == "x"
    assert cache.check(1) == ["hit"]


def test_many_ask_without_claims(cache: Any) -> None:
    def work() -> None:
        store = cache.open()
        for number in range(6):
            assert cache.ask(number, store)[1] == cache.value(number)
        store.close()
        assert store.problems == []

    for _ in range(3):
        assert [ended(child) for child in [started(work) for _ in range(12)]] == [0] * 12
        assert cache.check(*range(6)) == ["hit"] * 6
        shutil.rmtree(cache.folder)


def test_who_waits_is_told_to_look_again(cache: Any, tmp_path: Path) -> None:
    store = cache.open()
    with store.claim(KEY) as ours:
        assert ours

        def work() -> None:
            (tmp_path / "asking").touch()
            other = cache.open()
            with other.claim(KEY) as theirs:
                assert not theirs
            with other.claim(KEY) as theirs:
                assert theirs
            with other.claim(f"{2:064x}") as theirs:
                assert theirs

        child = started(work)
        while not (tmp_path / "asking").exists():
            time.sleep(0.01)
        time.sleep(0.1)
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    assert ended(child) == 0


def test_a_dead_owner_is_noticed(cache: Any, tmp_path: Path) -> None:
    def own() -> None:
        with cache.open().claim(KEY) as ours:
            assert ours
            # A child of the step that outlives it does not keep the claim.
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            (tmp_path / "owned").touch()
            time.sleep(60)

    def group() -> None:
        os.setsid()
        own()

    child = started(group)
    while not (tmp_path / "owned").exists():
        time.sleep(0.01)

    def work() -> None:
        with cache.open().claim(KEY) as ours:
            assert not ours

    waiter = started(work)
    time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    assert ended(waiter) == 0
    os.killpg(child, signal.SIGKILL)
    ended(child)


def test_an_interrupt_reaches_who_waits(cache: Any, tmp_path: Path) -> None:
    with cache.open().claim(KEY):

        def work() -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            store = cache.open()
            (tmp_path / "asking").touch()
            with pytest.raises(KeyboardInterrupt), store.claim(KEY):
                pass

        child = started(work)
        while not (tmp_path / "asking").exists():
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(child, signal.SIGINT)
        assert ended(child) == 0


def test_without_locks_everybody_computes(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def none(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none)
    monkeypatch.setattr(fcntl, "flock", none)
    with cache.open().claim(KEY) as ours:
        assert ours
    assert cache.check(0, 1) == ["ran", "ran"]


def test_the_folder_is_cleared_and_collected_and_deleted_meanwhile(cache: Any) -> None:
    def run() -> None:
        for _ in range(8):
            store = cache.open()
            for number in range(9):
                assert cache.ask(number, store)[1] == cache.value(number)
            store.close()

    def clear() -> None:
        for round_ in range(12):
            store = cache.open()
            if round_ % 3 == 0:
                store.clear(None)
            elif round_ % 3 == 1:
                store.gc(0)
            else:
                shutil.rmtree(cache.folder, ignore_errors=True)
            store.close()

    children = [started(run), started(clear), started(run)]
    assert [ended(child) for child in children] == [0, 0, 0]
    cache.check(*range(9))


@pytest.mark.parametrize("made_anew", [False, True])
def test_what_is_dropped_while_all_is_verified_is_not_damaged(
    cache: Any, monkeypatch: pytest.MonkeyPatch, made_anew: bool
) -> None:
    cache.fill(*range(9))
    read = Blobs.read

    def meanwhile(self: Blobs, name: bytes, digest: bytes) -> memoryview:
        monkeypatch.undo()
        cache.open().gc(0)
        try:
            return read(self, name, digest)
        finally:
            if made_anew:
                cache.fill(*range(9))

    monkeypatch.setattr(Blobs, "read", meanwhile)
    assert cache.open().verify().damaged == ()
    assert cache.check(*range(9)) == ["hit" if made_anew else "ran"] * 9


def test_several_find_the_database_damaged_at_once(cache: Any) -> None:
    for _ in range(5):
        shutil.rmtree(cache.folder, ignore_errors=True)
        cache.fill(*range(9))
        (path,) = cache.folder.glob("*.db")
        path.write_bytes(path.read_bytes()[:4096] + os.urandom(8192))

        def work() -> None:
            store = cache.open()
            for number in range(9):
                assert cache.ask(number, store)[1] == cache.value(number)
            store.close()

        assert [ended(child) for child in [started(work) for _ in range(6)]] == [0] * 6
        assert cache.check(*range(9)) == ["hit"] * 9


def test_a_store_is_used_by_threads(cache: Any) -> None:
    store = cache.open()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(30):
                assert cache.ask((step * number) % 30, store)[1] == cache.value((step * number) % 30)
        except BaseException as error:  # noqa: BLE001 - told to the thread that asks
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 7, 11, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    store.close()
    assert cache.check(*range(30)) == ["hit"] * 30


def test_a_store_is_used_in_forked_children(cache: Any, in_child: Child) -> None:
    store = cache.open()
    for number in (0, 1, 3):
        cache.ask(number, store)
    kept = store.save(["not committed yet"])

    def work() -> None:
        assert store.load(kept) == ["not committed yet"]
        for number, outcome in ((0, "hit"), (1, "hit"), (4, "ran"), (6, "ran")):
            assert cache.ask(number, store) == (outcome, cache.value(number))
        store.close()

    assert in_child(work) == 0
    assert cache.ask(9, store)[0] == "ran"
    assert cache.ask(6, store)[0] == "hit"
    store.close()
    assert store.problems == []
    assert cache.check(0, 1, 3, 4, 6, 9) == ["hit"] * 6


def test_forks_while_threads_use_the_store(cache: Any) -> None:
    store = cache.open()
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            cache.ask(number % 30, store)
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            children = []
            for _ in range(20):
                children.append(started(lambda: cache.ask(31, store)))
                time.sleep(0.005)
            assert [ended(child) for child in children] == [0] * 20
    finally:
        stop.set()
        thread.join()
    store.close()
    assert store.problems == []
    cache.check(*range(32))


def square(number: int) -> int:
    return number * number


def test_a_pool_of_forks_in_a_step(cache: Any) -> None:
    store = cache.open()
    cache.ask(0, store)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
    assert cache.ask(1, store)[0] == "ran"
    store.close()
    assert cache.check(0, 1) == ["hit", "hit"]
