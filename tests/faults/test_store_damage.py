"""Whatever happens to the bytes on disk: a right value, made anew where need be, and hits again after that."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepcache.store import frame, rows
from stepcache.testing import Project

STEPS = (0, 1, 2)
# All bytes: STEPCACHE_TEST_EVERYTHING=1; else a sample of them.
EVERYTHING = bool(os.environ.get("STEPCACHE_TEST_EVERYTHING"))


def positions(size: int, sample: int) -> list[int]:
    if EVERYTHING or size <= sample:
        return list(range(size))
    return sorted(random.Random(size).sample(range(size), sample))


def damaged(cache: Any, tmp_path: Path, path: Path, data: bytes) -> Any:
    """A copy of the cache in which the file has other content."""
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    copy = cache.copy(tmp_path / "copy")
    (copy.folder / path.relative_to(cache.folder)).write_bytes(data)
    return copy


def blobs(cache: Any) -> list[Path]:
    return [path for path in cache.files() if "blobs" in path.parts]


def database(cache: Any) -> Path:
    (path,) = (path for path in cache.files() if path.suffix == ".db")
    return Path(path)


def test_a_flipped_bit_in_a_blob(cache: Any, tmp_path: Path) -> None:
    cache.fill(*STEPS)
    for path in blobs(cache):
        data = path.read_bytes()
        for position in {*range(0, 256, 1 if EVERYTHING else 7), *positions(len(data), 40)}:
            changed = bytearray(data)
            changed[position] ^= 1 << position % 8
            outcomes = damaged(cache, tmp_path, path, bytes(changed)).check(*STEPS)
            assert sorted(outcomes) == ["hit", "hit", "ran"], position


def test_a_blob_cut_short_or_zeroed_or_with_more_to_it(cache: Any, tmp_path: Path) -> None:
    cache.fill(*STEPS)
    for path in blobs(cache):
        data = path.read_bytes()
        wrong = [data[:length] for length in positions(len(data), 40)]
        wrong += [data[:start] + bytes(4096) + data[start + 4096 :] for start in range(0, len(data) - 4096, 4096)]
        wrong += [data + b"\0", data + data]
        for content in wrong:
            assert sorted(damaged(cache, tmp_path, path, content).check(*STEPS)) == ["hit", "hit", "ran"]


def test_two_blobs_in_each_others_place(cache: Any) -> None:
    cache.fill(1, 4)
    one, two = blobs(cache)
    one.rename(one.with_name("aside"))
    two.rename(one)
    one.with_name("aside").rename(two)
    assert cache.check(1, 4) == ["ran", "ran"]


@pytest.mark.parametrize("kind", ["missing", "fifo", "folder", "link", "unreadable"])
def test_something_else_in_place_of_a_blob(cache: Any, kind: str) -> None:
    cache.fill(*STEPS)
    for path in blobs(cache):
        content = path.read_bytes()
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.with_name("target").write_bytes(content)
            path.symlink_to("target")
        elif kind == "unreadable":
            path.write_bytes(content)
            path.chmod(0)
    assert cache.check(*STEPS) == ["hit", *(["hit"] * 2 if kind == "unreadable" and os.geteuid() == 0 else ["ran"] * 2)]


def test_a_damaged_blob_is_set_aside_but_never_many(cache: Any) -> None:
    for _ in range(15):
        cache.check(1)
        (path,) = blobs(cache)
        path.write_bytes(path.read_bytes()[:-1])
    cache.check(1)
    assert 1 <= len(os.listdir(cache.folder / "damaged")) <= 10


def test_a_flipped_bit_in_the_database(cache: Any, tmp_path: Path) -> None:
    cache.fill(*STEPS)
    path = database(cache)
    data = path.read_bytes()
    outcomes: set[str] = set()
    for position in positions(len(data), 120):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        outcomes.update(damaged(cache, tmp_path, path, bytes(changed)).check(*STEPS))
    assert "hit" in outcomes


def test_a_flipped_bit_where_rows_lie(cache: Any, tmp_path: Path) -> None:
    """Most of a small database is empty space: here, the bytes that are not."""
    cache.fill(*STEPS)
    path = database(cache)
    data = path.read_bytes()
    full = [position for position, byte in enumerate(data) if byte]
    for position in full if EVERYTHING else random.Random(1).sample(full, 150):
        changed = bytearray(data)
        changed[position] ^= 1 << (position * 5) % 8
        damaged(cache, tmp_path, path, bytes(changed)).check(*STEPS)


@pytest.mark.parametrize("table", ["traces", "contents", "records", "memos"])
def test_a_flipped_bit_in_what_the_tables_are(cache: Any, tmp_path: Path, table: str) -> None:
    """SQLite may take it for tables of another kind, in which nothing is ever found again."""
    cache.fill(*STEPS)
    path = database(cache)
    data = path.read_bytes()
    begins = data.index(b"CREATE TABLE " + table.encode())
    ends = data.index(b")", begins)
    found = set()
    for position in range(begins, ends, 1 if EVERYTHING else 3):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        found.update(damaged(cache, tmp_path, path, bytes(changed)).check(*STEPS))
    assert found == {"hit"}


def test_a_database_cut_short_or_zeroed(cache: Any, tmp_path: Path) -> None:
    cache.fill(*STEPS)
    path = database(cache)
    data = path.read_bytes()
    wrong = [data[:length] for length in (0, 1, 15, 16, 99, 100, 101, *positions(len(data), 40))]
    wrong += [data[:start] + bytes(4096) + data[start + 4096 :] for start in range(0, len(data), 4096)]
    wrong += [b"nonsense" * 1000, b"SQLite format 3\0"]
    for content in wrong:
        damaged(cache, tmp_path, path, content).check(*STEPS)


def test_what_can_be_read_of_a_damaged_database_is_saved(cache: Any) -> None:
    cache.fill(*range(0, 120, 3))
    path = database(cache)
    connection = sqlite3.connect(path)
    (root,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_traces_1'"
    ).fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 : root * 4096] = os.urandom(4096)
    path.write_bytes(data)
    store = cache.open()
    outcomes = [cache.ask(number, store)[0] for number in range(0, 120, 3)]
    store.close()
    assert outcomes == ["hit"] * 40
    (problem,) = store.problems
    assert problem.startswith(f"the cache in {cache.folder} was damaged: its database was damaged; ")
    assert cache.open().problems == []


def test_a_value_that_its_index_does_not_find_is_found_all_the_same(cache: Any) -> None:
    cache.fill(0)
    path = database(cache)
    connection = sqlite3.connect(path)
    (root,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_contents_1'"
    ).fetchone()
    (name,) = connection.execute("SELECT name FROM contents").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    data[data.index(name, (root - 1) * 4096)] ^= 1
    path.write_bytes(data)
    assert cache.check(0) == ["hit"]


def test_a_lost_row_is_noticed_and_made_anew(cache: Any) -> None:
    cache.fill(*STEPS)
    connection = sqlite3.connect(database(cache))
    connection.execute("DELETE FROM contents")
    connection.commit()
    connection.close()
    assert cache.check(*STEPS) == ["ran", "hit", "hit"]


def test_rows_under_another_key_are_not_taken_for_its_own(cache: Any) -> None:
    cache.fill(0, 3)
    connection = sqlite3.connect(database(cache))
    (one, frame_one), (two, frame_two) = connection.execute("SELECT id, frame FROM traces").fetchall()
    connection.execute("UPDATE traces SET frame = ? WHERE id = ?", (frame_two, one))
    connection.execute("UPDATE traces SET frame = ? WHERE id = ?", (frame_one, two))
    connection.commit()
    connection.close()
    store = cache.open()
    assert store.traces(f"{0:064x}") == ()
    assert store.trouble(f"{0:064x}") == "damaged"
    store.close()
    assert cache.check(0, 3) == ["ran", "ran"]


def test_a_record_cannot_be_pointed_at_another_nodes_trace(cache: Any) -> None:
    cache.fill(0, 3)
    connection = sqlite3.connect(database(cache))
    connection.execute("UPDATE records SET node = 'aside' WHERE key = x'" + f"{0:064x}'")
    connection.execute("UPDATE records SET node = CAST('pipeline_x.py::step0' AS BLOB) WHERE key = x'" + f"{3:064x}'")
    connection.commit()
    connection.close()
    assert cache.open().latest("pipeline_x.py::step0") is None


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_nonsense_beside_the_database(cache: Any, suffix: str) -> None:
    cache.fill(*STEPS)
    path = database(cache)
    path.with_name(path.name + suffix).write_bytes(os.urandom(5000))
    cache.check(*STEPS)


def test_a_log_cut_anywhere_loses_its_end_at_most(cache: Any, tmp_path: Path) -> None:
    cache.fill(0)
    store = cache.open()
    cache.ask(3, store)
    cache.ask(6, store)
    store.flush()
    log = database(cache).with_name(database(cache).name + "-wal")
    data = log.read_bytes()
    for length in positions(len(data), 60):
        copy = damaged(cache, tmp_path, log, data[:length])
        assert copy.check(0, 3, 6)[0] == "hit"
    for position in positions(len(data), 60):
        changed = bytearray(data)
        changed[position] ^= 0x10
        damaged(cache, tmp_path, log, bytes(changed)).check(0, 3, 6)
    store.close()


def test_an_entry_of_a_later_format_is_left_alone(cache: Any) -> None:
    cache.fill(1)
    (path,) = blobs(cache)
    later = bytearray(path.read_bytes())
    later[8] ^= 1
    other = path.with_name("0" * 62)
    other.write_bytes(later)
    os.utime(other, (1, 1))
    database(cache).with_name("entries-2.0.db").write_bytes(b"of a later format")
    assert cache.open().gc(0).count == 1
    assert other.exists()
    assert (cache.folder / "entries-2.0.db").exists()


def test_a_document_that_another_version_sealed_is_left_alone(cache: Any) -> None:
    cache.fill(0)
    key = f"{0:064x}"
    with closing(sqlite3.connect(database(cache))) as connection, connection:
        ((variant,),) = connection.execute("SELECT variant FROM traces").fetchall()
        name = bytes.fromhex(key) + variant
        row = rows.sealed(frame.TRACE, name, b'{"key": "of another form"}', cache.seal, long=100)
        connection.execute("UPDATE traces SET frame = ?", (row,))
    store = cache.open()
    assert store.traces(key) == ()
    assert store.trouble(key) == "foreign"
    assert store.problems == []
    with closing(sqlite3.connect(database(cache))) as connection:
        assert connection.execute("SELECT frame FROM traces").fetchall() == [(row,)]


OTHER_COLUMNS = """
    import importlib.util, pathlib, sys, types
    schema = "stepcache.store.schema"
    source = pathlib.Path(importlib.util.find_spec(schema).origin).read_text()
    changed = source.replace("seconds REAL NOT NULL,", "seconds REAL NOT NULL, room REAL,")
    assert changed != source
    sys.modules[schema] = types.ModuleType(schema)
    exec(changed, sys.modules[schema].__dict__)
    import stepcache
    stepcache.main(sys.argv[1:])
"""


def test_a_version_with_other_columns_shares_the_folder(stepcache_project: Project) -> None:
    """Neither reads, replaces or removes what the other stored, and neither speaks of damage."""
    stepcache_project.write(
        "pipeline_x.py",
        """
        import random
        from stepcache import step

        @step
        def large():
            return random.Random(1).randbytes(20_000)

        @step
        def small(large):
            return "text" * 300
        """,
    )

    def other(*arguments: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(OTHER_COLUMNS), "-v", *arguments]
        return subprocess.run(command, cwd=stepcache_project.path, capture_output=True, text=True, check=True).stdout

    assert set(stepcache_project.run().outcomes.values()) == {"ran"}
    for path in stepcache_project.cache.rglob("*"):
        os.utime(path, (1, 1))  # what nothing refers to goes after an hour
    assert "2 ran in" in other()
    other("--cache-gc=0")
    assert "0 entries checked, none damaged" in other("--cache-verify")
    assert "2 ran in" in other()
    again = stepcache_project.run()
    assert set(again.outcomes.values()) == {"cached"}
    assert "damaged" not in again.stdout
    assert "2 cached in" in other()


def test_verify_names_the_damaged_and_drops_them(cache: Any) -> None:
    cache.fill(*range(6))
    for path in blobs(cache)[:2]:
        path.write_bytes(path.read_bytes()[:-1])
    connection = sqlite3.connect(database(cache))
    connection.execute("UPDATE traces SET frame = zeroblob(200) WHERE key = ?", (bytes.fromhex(f"{0:064x}"),))
    connection.commit()
    connection.close()
    store = cache.open()
    report = store.verify()
    assert report.checked == 6
    assert len(report.damaged) == 3
    assert "pipeline_x.py::step0" in report.damaged
    again = store.verify()
    assert (again.checked, again.damaged) == (3, ())
    assert len(store.entries()) == 3
    store.close()
    assert sorted(cache.check(*range(6))) == ["hit"] * 3 + ["ran"] * 3


def test_rows_behind_a_damaged_header_are_saved(cache: Any) -> None:
    cache.fill(*STEPS)
    path = database(cache)
    path.write_bytes(b"x" * 100 + path.read_bytes()[100:])
    assert cache.check(*STEPS) == ["hit"] * 3
