"""What a run can do with the cache: keep, find, list, clear, collect, verify."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from stepcache.errors import Unstorable, ValueGone
from stepcache.model import Ingredient, Observation, Output, Trace, Value
from stepcache.store import Codecs, Refused, Seal, Store, StoreSettings, gc, ledger, open_store

SEAL = Seal(b"the key of these tests")
KEY, OTHER = "ab" * 32, "cd" * 32
INGREDIENTS = (Ingredient("code", "a.py::f", "11" * 32), Ingredient("setting", "n", "22" * 32, "3"))
NOISE = np.random.default_rng(0).random(10_000)

Opener = Callable[..., Store]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    stores = []

    def opener(project: str = "/project", seal: Seal = SEAL, mode: Any = "on", **settings: Any) -> Store:
        store = open_store(
            tmp_path / "cache",
            project=project,
            seal=seal,
            codecs=Codecs.builtin(),
            settings=StoreSettings(**settings),
            mode=mode,
        )
        assert isinstance(store, Store)
        stores.append(store)
        return store

    yield opener
    for store in stores:
        store.close()


def trace(key: str, node: str, value: Value | None, *seen: Observation, seconds: float = 0.001) -> Trace:
    return Trace(
        key, node, INGREDIENTS, seen, value, seconds, time.time(), Output("out", "err", "log", ("w",)), "world"
    )


def kept(store: Store, key: str = KEY, node: str = "p.py::x", value: object = (1, 2), **more: Any) -> Trace:
    made = trace(key, node, store.save(value), **more)
    store.put(made)
    return made


READ = Observation("file", "data.csv", "33" * 32, "file: data.csv")


def test_a_trace_is_found_at_once_and_by_the_next_process(opened: Opener) -> None:
    store = opened()
    assert store.traces(KEY) == ()
    made = kept(store)
    assert store.traces(KEY) == (made,)
    store.close()
    store = opened()
    assert store.traces(KEY) == (made,)
    assert made.value is not None
    assert store.holds(made.value)
    assert store.load(made.value) == (1, 2)
    assert store.problems == []


def test_given_ingredients_are_given_back(opened: Opener) -> None:
    store = opened()
    made = kept(store)
    store.close()
    given = (Ingredient("code", "the same", "44" * 32),)
    assert opened().traces(KEY, given) == (evolve(made, ingredients=given),)


def test_traces_with_other_observations_stand_beside_each_other(opened: Opener) -> None:
    store = opened()
    value = store.save(1)
    first, second = trace(KEY, "p.py::x", value), trace(KEY, "p.py::x", value, READ)
    store.put(first)
    store.put(second)
    again = evolve(first, made=first.made + 1)
    for _ in range(2):
        assert store.traces(KEY) == (second, first)
        store.flush()
        store = opened()
    store.put(again)
    for _ in range(2):
        assert store.traces(KEY) == (again, second)
        store.flush()
        store = opened()


def test_a_check_has_no_value(opened: Opener) -> None:
    store = opened()
    made = trace(KEY, "p.py::check_x", None)
    store.put(made)
    store.close()
    assert opened().traces(KEY) == (made,)


def test_names_may_hold_anything(opened: Opener) -> None:
    store = opened()
    made = evolve(trace("not a digest", "p\udcff.py::x[é\ud800]", store.save({"\udcff": 1})), world="\ud800")
    store.put(made)
    store.close()
    store = opened()
    assert store.traces("not a digest") == (made,)
    assert store.latest("p\udcff.py::x[é\ud800]") == made
    assert [row.node for row in store.entries()] == ["p\udcff.py::x[é\ud800]"]


def test_latest_is_what_the_project_last_made_or_used(opened: Opener) -> None:
    store = opened()
    first, second = kept(store), kept(store, OTHER, value=3)
    assert store.latest("p.py::x") == second
    store.used("p.py::x", first)
    for _ in range(2):
        assert store.latest("p.py::x") == first
        assert store.latest("p.py::y") is None
        store.close()
        store = opened()
    assert opened(project="/other").latest("p.py::x") is None


def test_use_is_written_once_an_hour(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    made = kept(opened())
    opened().close()

    def written() -> float:
        (row,) = opened().entries()
        return row.used

    store = opened()
    store.flush()
    before = written()
    now = time.time()
    for later, changes in ((1800, False), (4000, True)):
        monkeypatch.setattr(time, "time", lambda later=later: now + later)
        store = opened()
        store.used("p.py::x", made)
        store.close()
        assert (written() > before) is changes


def test_large_values_are_mapped_and_never_changed(opened: Opener) -> None:
    store = opened()
    value = store.save(np.tile(NOISE, 10))
    one: Any = store.load(value)
    assert type(one) is np.ndarray
    assert one.flags.writeable
    one[:] = 0
    two: Any = store.load(value)
    assert (two == np.tile(NOISE, 10)).all()


@pytest.mark.parametrize(
    "value",
    [b"", "x" * 3000, bytes(8000), os.urandom(9000), bytes(10**6), os.urandom(10**6), list(range(10**5)), NOISE],
    ids=lambda value: f"{type(value).__name__}{len(value)}",
)
def test_values_of_all_sizes_come_back(opened: Opener, value: Any) -> None:
    store = opened()
    stored = store.save(value)
    for _ in range(2):
        again: Any = store.load(stored)
        assert (again == value).all() if isinstance(value, np.ndarray) else again == value
        store.put(trace(KEY, "p.py::x", stored))
        store.flush()
        assert store.holds(stored)
        store = opened()


def test_what_does_not_shrink_is_stored_as_it_is(opened: Opener) -> None:
    store = opened()
    noise, even = store.save(NOISE), store.save(np.zeros(10_000))
    assert noise.stored == noise.size
    assert even.stored < even.size / 100


def test_one_value_is_stored_once(opened: Opener, tmp_path: Path) -> None:
    def files() -> list[Path]:
        return [path for path in (tmp_path / "cache/blobs").rglob("*") if path.is_file()]

    one = kept(opened(), KEY, value=NOISE)
    (blob,) = files()
    two = kept(opened(project="/other"), OTHER, value=NOISE)
    assert one.value == two.value
    assert files() == [blob]


def test_all_is_private(opened: Opener, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = opened()
        kept(store, value=NOISE)
        kept(store, OTHER)
    finally:
        os.umask(before)
    with store.claim(KEY):
        for path in [tmp_path / "cache", *(tmp_path / "cache").rglob("*")]:
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_no_name_or_text_lies_in_the_cache_but_what_was_stored(opened: Opener, tmp_path: Path) -> None:
    store = opened(project="/home/canary/project")
    store.remember("kind", b"canary name", b"fact")
    kept(store)
    store.close()
    assert all(b"canary" not in path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_what_cannot_be_stored_says_so(opened: Opener) -> None:
    with pytest.raises(Unstorable):
        opened().save([lambda: 0])


def test_safe_formats_refuse_pickle_both_ways(opened: Opener) -> None:
    store = opened()
    value = store.save({1: complex})
    store.flush()
    store = opened(formats="safe")
    with pytest.raises(Unstorable):
        store.save({1: complex})
    with pytest.raises(ValueGone) as caught:
        store.load(value)
    assert caught.value.reason == "foreign"


def test_read_only_writes_nothing_and_still_gives_values(opened: Opener, tmp_path: Path) -> None:
    made = kept(opened())
    opened().flush()
    before = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*.db")}
    store = opened(mode="readonly")
    assert store.traces(KEY) == (made,)
    store.used("p.py::x", made)
    for value in ([3] * 2000, NOISE):
        stored = store.save(value)
        assert not store.holds(stored)
        assert np.array_equal(store.load(stored), value)  # type: ignore[arg-type]
        store.put(trace(OTHER, "p.py::y", stored))
    store.remember("kind", b"a", b"b")
    assert store.memo("kind", b"a") == b"b"
    assert store.traces(OTHER) == ()
    with store.claim(OTHER) as ours:
        assert ours
    store.close()
    assert store.problems == []
    assert opened().traces(OTHER) == ()
    assert {path: path.read_bytes() for path in before} == before


def test_read_only_makes_no_folder(opened: Opener, tmp_path: Path) -> None:
    store = opened(mode="readonly")
    assert store.traces(KEY) == ()
    assert store.latest("p.py::x") is None
    assert store.entries() == []
    assert store.problems == []
    assert not (tmp_path / "cache").exists()


def test_a_refused_folder_gives_a_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = open_store(tmp_path / "file", project="/p", seal=SEAL, codecs=Codecs.builtin())
    assert isinstance(refused, Refused)


def test_another_key_finds_nothing_and_changes_nothing(opened: Opener) -> None:
    mine = opened()
    made, large = kept(mine, value=b"x" * 2000), kept(mine, OTHER, value=NOISE)
    mine.flush()
    theirs = opened(seal=Seal(b"another key"))
    assert theirs.traces(KEY) == ()
    assert theirs.trouble(KEY) == "foreign"
    assert theirs.latest("p.py::x") is None
    assert theirs.entries() == []
    assert theirs.verify().checked == 0
    assert theirs.clear(None).count == 0
    assert made.value is not None
    with pytest.raises(ValueGone):
        theirs.load(made.value)
    other = kept(theirs, value="theirs")
    kept(theirs, OTHER, value=NOISE)
    theirs.gc(None)
    theirs.flush()
    mine = opened()
    assert mine.traces(KEY) == (made,)
    assert mine.load(made.value) == b"x" * 2000
    assert large.value is not None
    assert np.array_equal(mine.load(large.value), NOISE)  # type: ignore[arg-type]
    assert opened(seal=Seal(b"another key")).traces(KEY) == (other,)


def test_entries_lists_this_projects(opened: Opener) -> None:
    store = opened()
    kept(store, KEY, "p.py::a", value=NOISE, seconds=2.5)
    store.put(trace(OTHER, "p.py::b", None))
    kept(opened(project="/other"), "ef" * 32, "p.py::c")
    one, two = store.entries()
    assert (one.node, one.key, one.size, one.stored, one.seconds, one.held) == (
        "p.py::a", KEY, 80_064, 80_064, 2.5, True,
    )  # fmt: skip
    assert (two.node, two.size, two.held) == ("p.py::b", 0, True)


def test_clear_removes_this_projects_entries(opened: Opener, tmp_path: Path) -> None:
    store, other = opened(), opened(project="/other")
    kept(store, KEY, "p.py::a", value=NOISE, seconds=2.0)
    shared = kept(store, OTHER, "p.py::b", value=[1])
    other.used("q.py::b", shared)
    other.flush()
    removals = store.removals()
    cleared = store.clear(None)
    assert (cleared.count, cleared.size, cleared.seconds) == (1, 80_064, 2.0)
    assert store.removals() != removals
    assert store.traces(KEY) == store.traces(OTHER) == ()
    assert store.latest("p.py::a") is store.latest("p.py::b") is None
    assert store.trouble(KEY) is None
    assert store.entries() == []
    assert other.traces(OTHER) == (shared,)
    assert opened().traces(OTHER) == (shared,)
    assert [path for path in (tmp_path / "cache/blobs").rglob("*") if path.is_file()] == []
    again = kept(store, OTHER, "p.py::b", value=[1])
    assert store.traces(OTHER) == (again,)


def test_clear_of_some_nodes_leaves_the_others(opened: Opener) -> None:
    store = opened()
    kept(store, KEY, "p.py::a")
    left = kept(store, OTHER, "p.py::b")
    assert store.clear(["p.py::a", "p.py::unknown"]).count == 1
    assert store.traces(KEY) == ()
    assert store.traces(OTHER) == (left,)
    assert left.value is not None
    assert store.load(left.value) == (1, 2)


def test_gc_drops_the_least_recently_used(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store, now = opened(), time.time()
    for number, key in enumerate((KEY, OTHER, "ef" * 32)):
        monkeypatch.setattr(time, "time", lambda number=number: now + number)
        kept(store, key, f"p.py::{number}", value=NOISE + number)
        store.flush()
    monkeypatch.setattr(time, "time", lambda: now + 9000)
    store = opened()
    store.used("p.py::0", store.traces(KEY)[0])
    assert store.gc(None).count == 0
    assert store.gc(10**9).count == 0
    dropped = store.gc(200_000)
    assert dropped.count == 1
    assert dropped.stored > 80_000
    assert store.traces(OTHER) == ()
    assert store.trouble(OTHER) == "evicted"
    assert len(store.traces(KEY)) == len(store.traces("ef" * 32)) == 1
    kept(store, OTHER, "p.py::1", value=NOISE + 1)
    store.flush()
    assert store.trouble(OTHER) is None
    assert store.gc(0).count == 3
    assert store.entries() == []


def test_the_cache_keeps_to_its_limit_by_what_its_entries_are_worth(opened: Opener) -> None:
    for number, seconds in enumerate((5.0, 1.0, 9.0, 0.5, 7.0, 2.0)):
        store = opened(max_size=10**9)
        kept(store, f"{number:064x}", f"p.py::{number}", value=NOISE + number, seconds=seconds)
        store.close()
    store = opened(max_size=300_000)
    kept(store, KEY, "p.py::now", value=NOISE - 1, seconds=0.001)
    store.settle()
    assert sorted(row.seconds for row in store.entries()) == [0.001, 7.0, 9.0]
    assert store.trouble(f"{0:064x}") == "evicted"


def test_what_a_run_put_or_used_is_not_evicted_by_it(opened: Opener) -> None:
    for number in range(4):
        store = opened()
        kept(store, f"{number:064x}", f"p.py::{number}", value=NOISE + number, seconds=1.0)
        store.close()
    store = opened(max_size=100_000)
    store.used("p.py::2", store.traces(f"{2:064x}")[0])
    kept(store, KEY, "p.py::now", value=NOISE - 1, seconds=0.001)
    store.settle()
    assert {row.node for row in store.entries()} == {"p.py::2", "p.py::now"}
    store.close()
    store = opened(max_size=100_000)
    kept(store, OTHER, "p.py::next", value=NOISE - 2, seconds=0.002)
    store.close()
    assert [row.node for row in opened().entries()] == ["p.py::next"]


def test_the_volume_is_added_up_only_when_it_may_be_too_much(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    added_up = []
    monkeypatch.setattr(gc, "total", lambda connection, real=gc.total: added_up.append(1) or real(connection))
    for number in range(5):
        store = opened(max_size=1_000_000)
        kept(store, f"{number:064x}", value=NOISE + number)
        store.close()
    first = len(added_up)
    assert 1 <= first <= 3
    for number in range(5, 20):
        store = opened(max_size=1_000_000)
        kept(store, f"{number:064x}", value=NOISE + number)
        store.close()
    assert first < len(added_up) <= first + 12
    assert sum(row.stored for row in opened().entries()) <= 1_000_000


@pytest.mark.parametrize("remove", ["gc", "clear", "evict", "damaged value", "damaged trace", "damaged database"])
def test_every_removal_is_counted(opened: Opener, tmp_path: Path, remove: str) -> None:
    store = opened()
    made = kept(store, KEY, value=NOISE, seconds=1.0)
    store.close()
    before = opened().removals()
    (database,) = (tmp_path / "cache").glob("*.db")
    if remove == "gc":
        opened().gc(0)
    elif remove == "clear":
        opened().clear()
    elif remove == "evict":
        store = opened(max_size=1000)
        kept(store, OTHER, value=1)
        store.close()
    elif remove == "damaged value":
        (blob,) = (path for path in (tmp_path / "cache/blobs").rglob("*") if path.is_file())
        blob.write_bytes(blob.read_bytes()[:-1])
        with pytest.raises(ValueGone):
            opened().load(made.value)  # type: ignore[arg-type]
    elif remove == "damaged trace":
        connection = sqlite3.connect(database)
        connection.execute("UPDATE traces SET frame = zeroblob(200)")
        connection.commit()
        connection.close()
        assert opened().traces(KEY) == ()
    else:
        database.write_bytes(b"x" * 100 + database.read_bytes()[100:])
        opened().traces(KEY)
    assert opened().removals() != before


def test_a_value_larger_than_the_cache_may_be_is_kept_for_the_run(opened: Opener) -> None:
    store = opened(max_size=10_000)
    value = store.save(NOISE)
    assert not store.holds(value)
    assert np.array_equal(store.load(value), NOISE)  # type: ignore[arg-type]
    store.put(trace(KEY, "p.py::x", value))
    store.flush()
    assert store.traces(KEY) == ()
    assert store.problems == [
        f"the cache in {store.folder} takes no more than 10000 bytes; larger values are kept for this run only"
    ]


def test_gc_leaves_new_blobs_that_nothing_refers_to_yet(opened: Opener, tmp_path: Path) -> None:
    store = opened()
    stored = store.save(NOISE)
    (blob,) = (path for path in (tmp_path / "cache/blobs").rglob("*") if path.is_file())
    half = blob.with_name(".new-1-abc")
    half.touch()
    opened(project="/other").gc(0)
    assert blob.exists()
    assert half.exists()
    for path in (blob, half):
        os.utime(path, (1, 1))
    opened(project="/other").gc(None)
    assert not blob.exists()
    assert not half.exists()
    store.put(trace(KEY, "p.py::x", stored))
    store.flush()
    assert store.traces(KEY) == (), "an entry refers to a value that is not there"


def test_a_blob_that_is_needed_again_is_not_taken_for_refuse(opened: Opener, tmp_path: Path) -> None:
    opened().save(NOISE)
    (blob,) = (path for path in (tmp_path / "cache/blobs").rglob("*") if path.is_file())
    os.utime(blob, (1, 1))
    made = kept(opened(), value=NOISE)
    opened(project="/other").gc(None)
    assert made.value is not None
    assert np.array_equal(opened().load(made.value), NOISE)  # type: ignore[arg-type]


def test_memos(opened: Opener) -> None:
    store = opened()
    facts = {b"%d" % number: b"fact" * number for number in range(1200)}
    for name, data in facts.items():
        store.remember("source", name, data)
    assert store.memo("source", b"7") == b"fact" * 7
    store.close()
    store = opened()
    assert store.memos("source", facts) == facts
    assert store.memo("source", b"unknown") is store.memo("file", b"7") is None
    assert opened(seal=Seal(b"another key")).memo("source", b"7") is None


def test_memos_that_nobody_used_for_long_are_dropped(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store, now = opened(), time.time()
    store.remember("source", b"a", b"1")
    store.remember("source", b"b", b"2")
    store.close()
    monkeypatch.setattr(time, "time", lambda: now + 50 * 24 * 3600)
    store = opened()
    store.memo("source", b"a")
    store.close()
    monkeypatch.setattr(time, "time", lambda: now + 70 * 24 * 3600)
    opened().gc(None)
    assert opened().memos("source", [b"a", b"b"]) == {b"a": b"1"}


def test_the_last_run_is_the_projects_own(opened: Opener) -> None:
    store = opened()
    assert store.last_run() is None
    store.record_last_run(b"failed")
    store.record_last_run(b"passed")
    store.close()
    assert opened().last_run() == b"passed"
    assert opened(project="/other").last_run() is None


def test_results_that_come_fast_are_gathered_and_slow_ones_are_not(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    kept(store, KEY)
    for number in range(9):
        kept(store, f"{number:064x}")
    assert len(opened().traces(f"{8:064x}")) == 0
    kept(store, OTHER, seconds=ledger.COMMIT_SECONDS)
    assert len(opened().traces(OTHER)) == len(opened().traces(f"{8:064x}")) == 1
    kept(store, "ef" * 32)
    assert len(opened().traces("ef" * 32)) == 0
    monkeypatch.setattr(time, "monotonic", lambda: 1000.06)
    kept(store, "12" * 32)
    assert len(opened().traces("ef" * 32)) == 1


@pytest.mark.parametrize(
    ("durability", "happens", "level"),
    [("normal", ["rename"], 1), ("fsync", ["sync file", "rename", "sync folder", "sync folder"], 2)],
)
def test_durable_results_are_on_disk_before_they_are_named(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, durability: str, happens: list[str], level: int
) -> None:
    happened: list[str] = []
    fsync, rename = os.fsync, os.rename

    def synced(fd: int) -> None:
        fsync(fd)
        happened.append("sync folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "sync file")

    def renamed(old: str, new: str) -> None:
        rename(old, new)
        happened.append("rename")

    store = opened(durability=durability)
    assert store._ledger.database.rows("PRAGMA synchronous") == [(level,)]
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    value = store.save(NOISE)
    assert happened == happens, "before a row names it"
    store.put(trace(KEY, "p.py::x", value))
    store.flush()
    assert happened == happens


def test_verify_finds_nothing_wrong_with_what_is_whole(opened: Opener) -> None:
    store = opened()
    kept(store)
    kept(store, OTHER, value=NOISE)
    report = store.verify()
    assert (report.checked, report.damaged) == (2, ())
