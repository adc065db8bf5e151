"""Entries that are read before they are asked for are what they would be if they were read when they are."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from stepcache.model import Observation, Trace
from stepcache.store import Codecs, Seal, Store, open_store

SEAL = Seal(b"the key of these tests")
MANY = 300


def opened(folder: Path, project: str = "/project") -> Store:
    store = open_store(folder / "cache", project=project, seal=SEAL, codecs=Codecs.builtin())
    assert isinstance(store, Store)
    return store


def key(number: int) -> str:
    return f"{number:064x}"


def made(store: Store, number: int, *seen: Observation) -> Trace:
    return Trace(key(number), f"p.py::x{number}", (), seen, store.save(number), 0.001, float(number))


READ = Observation("file", "data.csv", "33" * 32, "file: data.csv")


@pytest.fixture
def filled(tmp_path: Path) -> list[tuple[Trace, ...]]:
    """The traces of 300 keys, of every seventh two, the second of which is stored after all others."""
    store = opened(tmp_path)
    first = [made(store, number) for number in range(MANY)]
    second = {number: made(store, number, READ) for number in range(0, MANY, 7)}
    for trace in (*first, *second.values()):
        store.put(trace)
    store.close()
    return [(second[n], first[n]) if n in second else (first[n],) for n in range(MANY)]


def selects(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Told of what is selected from the database from now on."""
    told: list[str] = []
    rows = store._ledger.database.rows

    def counting(sql: str, arguments: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        told.append(sql)
        return rows(sql, arguments)

    monkeypatch.setattr(store._ledger.database, "rows", counting)
    return told


ORDERS: dict[str, Callable[[int], int]] = {
    "in turn": lambda n: n,
    "backwards": lambda n: MANY - 1 - n,
    "some beside others": lambda n: n ^ 3,
    "far apart": lambda n: n * 77 % MANY,
    "two by turns": lambda n: n // 2 + n % 2 * (MANY // 2),
    "twice": lambda n: n // 2,
}


@pytest.mark.parametrize("order", ORDERS)
def test_all_that_lies_under_a_key_is_found_in_any_order(
    tmp_path: Path, filled: list[tuple[Trace, ...]], order: str
) -> None:
    store = opened(tmp_path)
    for number in map(ORDERS[order], range(MANY)):
        assert store.traces(key(number), ()) == filled[number]
    store.close()


def test_entries_in_turn_are_read_together(
    tmp_path: Path, filled: list[tuple[Trace, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    told = selects(store, monkeypatch)
    for number in range(MANY):
        assert store.traces(key(number), ()) == filled[number]
    assert len(told) < MANY / 5
    store.close()


def test_entries_far_apart_are_read_alone(
    tmp_path: Path, filled: list[tuple[Trace, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    told = selects(store, monkeypatch)
    for number in range(0, MANY, 9):
        store.traces(key(number), ())
    assert len(told) == len(range(0, MANY, 9))
    store.close()


def read_ahead(folder: Path) -> Store:
    """A store that has read entry 50 ahead."""
    store = opened(folder)
    for number in range(45):
        store.traces(key(number), ())
    assert key(50) in {each.hex() for each in store._traces._ahead._rows}
    return store


def test_what_is_put_meanwhile_is_found(tmp_path: Path, filled: list[tuple[Trace, ...]]) -> None:
    store = read_ahead(tmp_path)
    other = made(store, 50, READ)
    again = evolve(filled[51][0], made=1000.0)
    store.put(other)
    store.put(again)
    store.flush()
    assert store.traces(key(50), ()) == (other, *filled[50])
    assert store.traces(key(51), ()) == (again,)
    store.close()


def test_what_is_cleared_or_collected_meanwhile_is_not_found(tmp_path: Path, filled: list[tuple[Trace, ...]]) -> None:
    for remove in (lambda store: store.clear(["p.py::x50"]), lambda store: store.gc(0)):
        store = read_ahead(tmp_path)
        remove(store)
        assert store.traces(key(50), ()) == ()
        store.close()
        again = opened(tmp_path)
        for trace in filled:
            again.put(trace[-1])
        again.close()


def test_what_another_stored_is_found_by_who_claims(tmp_path: Path, filled: list[tuple[Trace, ...]]) -> None:
    store, other = read_ahead(tmp_path), opened(tmp_path)
    new = made(other, 50, READ)
    other.put(new)
    other.flush()
    with store.claim(key(50)):
        assert store.traces(key(50), ()) == (new, *filled[50])
    store.close()
    other.close()


def test_what_another_removed_is_not_found_for_long(tmp_path: Path, filled: list[tuple[Trace, ...]]) -> None:
    store, other = read_ahead(tmp_path), opened(tmp_path)
    other.gc(0)
    time.sleep(0.11)
    assert [store.traces(key(number), ()) for number in range(45, MANY)] == [()] * (MANY - 45)
    store.close()
    other.close()


def test_a_row_that_was_read_ahead_is_checked(tmp_path: Path, filled: list[tuple[Trace, ...]]) -> None:
    (path,) = (tmp_path / "cache").glob("*.db")
    with closing(sqlite3.connect(path)) as connection, connection:
        row = connection.execute("SELECT frame FROM traces WHERE key = ?", (bytes.fromhex(key(52)),)).fetchone()[0]
        for number, frame in ((50, row), (51, row[:-1] + bytes([row[-1] ^ 1]))):
            connection.execute("UPDATE traces SET frame = ? WHERE key = ?", (frame, bytes.fromhex(key(number))))
    store = read_ahead(tmp_path)
    assert store.traces(key(50), ()) == store.traces(key(51), ()) == ()
    assert store.trouble(key(50)) == store.trouble(key(51)) == "damaged"
    assert store.traces(key(52), ()) == filled[52]
    store.close()
