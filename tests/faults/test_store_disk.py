"""Full, read-only and failing disks: the run gets its values, and one line says what is wrong."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stepcache.store import connection, database

STEPS = (0, 1, 2)
# All errors: STEPCACHE_TEST_EVERYTHING=1; else those that are met differently.
ERRORS = [errno.ENOSPC, errno.EIO]
if os.environ.get("STEPCACHE_TEST_EVERYTHING"):
    ERRORS += [errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EMFILE, errno.ENOLCK, errno.EFBIG]
Child = Callable[[Callable[[], object]], int]


def ask_all(cache: Any, *numbers: int) -> tuple[list[str], list[str]]:
    store = cache.open()
    outcomes = []
    for number in numbers:
        outcome, value = cache.ask(number, store)
        assert value == cache.value(number)
        outcomes.append(outcome)
    store.remember("kind", b"name", b"fact")
    store.close()
    return outcomes, store.problems


@contextmanager
def failing(function: str, error: int, *, after: int = 0, times: int = 10**9) -> Iterator[list[int]]:
    """`os.FUNCTION` raises from its call number *after* on."""
    original, calls = getattr(os, function), [0]

    def fail(*arguments: Any, **keywords: Any) -> Any:
        calls[0] += 1
        if after < calls[0] <= after + times:
            raise OSError(error, os.strerror(error))
        return original(*arguments, **keywords)

    setattr(os, function, fail)
    try:
        yield calls
    finally:
        setattr(os, function, original)


@pytest.mark.parametrize("function", ["open", "write", "pwrite", "rename", "fchmod", "read", "fstat", "mkdir", "lstat"])
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.__getitem__)
def test_any_call_may_fail(cache: Any, tmp_path: Path, function: str, error: int) -> None:
    cache.fill(1)
    for after in range(4):
        for times in (1, 10**9):
            shutil.rmtree(tmp_path / "copy", ignore_errors=True)
            copy = cache.copy(tmp_path / "copy")
            store = copy.open()
            with failing(function, error, after=after, times=times):
                for number in (1, 4, 5, 3):
                    assert copy.ask(number, store)[1] == copy.value(number)
                store.close()
            assert len(store.problems) <= 2
            assert copy.check(1, 3, 4, 5)[0] == "hit" or function in ("read", "fstat")


def test_a_full_disk_leaves_no_half_entries(cache: Any, in_child: Child) -> None:
    cache.fill(0)

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        outcomes, problems = ask_all(cache, 0, 1, 2, 3, 4)
        assert outcomes == ["hit", *["ran"] * 4]
        (problem,) = problems
        assert problem.startswith(f"the cache in {cache.folder} cannot be written: ")
        assert problem.endswith("; values are kept for this run only")

    assert in_child(work) == 0
    assert not [path for path in cache.files() if path.name.startswith(".new-")]
    assert cache.check(0, 1, 2, 3, 4)[0] == "hit"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_really_full_disk(cache: Any, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    for size in range(64, 400, 24):
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk], capture_output=True
        ).returncode:
            pytest.skip("mounting is not allowed here")
        try:
            full = type(cache)(disk / "cache", cache.opened)
            outcomes, problems = ask_all(full, *range(9))
            assert outcomes == ["ran"] * 9
            assert len(problems) <= 2
            subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
            full.check(*range(9))
        finally:
            subprocess.run(["umount", disk], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("log_left", [False, True])
def test_a_read_only_disk_is_read(cache: Any, tmp_path: Path, log_left: bool) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    store = None
    try:
        fixed = type(cache)(disk / "cache", cache.opened)
        fixed.fill(*STEPS)
        if log_left:
            store = fixed.open()
            fixed.ask(3, store)
            for path in list((disk / "cache").glob("*.db*")):
                shutil.copy(path, path.with_name("." + path.name))
            store.close()
            for path in list((disk / "cache").glob(".*.db*")):
                path.rename(path.with_name(path.name[1:]))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        outcomes, problems = ask_all(fixed, *STEPS, 4, 6)
        assert outcomes == ["hit"] * 3 + ["ran"] * 2
        (problem,) = problems
        assert problem.startswith(f"the cache in {fixed.folder} cannot be written: ")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_too_many_open_files(cache: Any, in_child: Child) -> None:
    cache.fill(*STEPS)

    def work() -> None:
        soft = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))
        ask_all(cache, *STEPS, 3, 4)

    assert in_child(work) == 0
    assert cache.check(*STEPS) == ["hit"] * 3


def test_a_database_that_says_the_disk_is_full(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.fill(0)
    real = connection.connect

    def small(*arguments: Any, **keywords: Any) -> sqlite3.Connection:
        connection = real(*arguments, **keywords)
        connection.execute("PRAGMA max_page_count=1")
        return connection

    monkeypatch.setattr(database, "connect", small)
    outcomes, problems = ask_all(cache, *range(0, 60, 3))
    assert outcomes == ["hit"] + ["ran"] * 19
    assert problems == [
        f"the cache in {cache.folder} cannot be written: database or disk is full; values are kept for this run only"
    ]


def test_a_lack_of_memory_is_no_damage(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.fill(*STEPS)
    real = connection.connect
    short = True

    class Hungry(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            if short:
                raise MemoryError
            return super().execute(*arguments)

    def connect(path: str, **keywords: Any) -> sqlite3.Connection:
        made = sqlite3.connect(path, isolation_level=None, factory=Hungry, **keywords)
        made.text_factory = bytes
        return made

    monkeypatch.setattr(database, "connect", connect)
    monkeypatch.setattr(database, "_is_memory_short", lambda: short)
    outcomes, problems = ask_all(cache, *STEPS)
    assert outcomes == ["ran"] * 3
    assert all("out of memory" in problem for problem in problems)
    monkeypatch.setattr(database, "connect", real)
    assert [path.name.split(".")[1] for path in cache.folder.glob("entries-*.db")] == ["0"]
    assert cache.check(*STEPS) == ["hit"] * 3


def test_a_file_system_without_shared_memory(cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_has_wal", lambda _: False)
    cache.fill(*STEPS)
    assert cache.check(*STEPS) == ["hit"] * 3
    store = cache.open()
    cache.ask(3, store)
    store.flush()
    assert not list(cache.folder.glob("*-wal"))
    store.close()


def test_a_folder_deleted_meanwhile_is_made_again(cache: Any) -> None:
    cache.fill(0, 1)
    store = cache.open()
    cache.ask(0, store)
    shutil.rmtree(cache.folder)
    for number in (0, 1, 2, 4):
        assert cache.ask(number, store)[1] == cache.value(number)
    store.close()
    assert cache.check(2, 4) == ["hit", "hit"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a user to drop to")
def test_a_folder_that_may_not_be_written(cache: Any, in_child: Child) -> None:
    reachable = Path(tempfile.mkdtemp())
    reachable.chmod(0o755)
    try:
        fixed = type(cache)(reachable / "cache", cache.opened)
        fixed.fill(*STEPS)
        for path in [fixed.folder, *fixed.folder.rglob("*")]:
            os.chown(path, 65534, 65534)
            path.chmod(0o500 if path.is_dir() else 0o400)

        def work() -> None:
            os.setgid(65534)
            os.setuid(65534)
            outcomes, problems = ask_all(fixed, *STEPS, 4, 3)
            assert outcomes == ["hit"] * 3 + ["ran"] * 2
            assert len(problems) == 1

        assert in_child(work) == 0
    finally:
        shutil.rmtree(reachable)
