"""Which entries go when room is short."""

from __future__ import annotations

from stepcache.store.evict import Candidate, Order, chosen

NOW = 1_000_000.0
A, B, C = ((name * 32, b"v") for name in (b"a", b"b", b"c"))


def entry(
    name: tuple[bytes, bytes], seconds: float = 1.0, idle: float = 0.0, size: int = 100, *contents: bytes
) -> Candidate:
    return Candidate(name, seconds, NOW - idle, size, contents)


def gone(
    *candidates: Candidate,
    excess: int = 1,
    order: Order = "worth",
    spared: tuple[tuple[bytes, bytes], ...] = (),
    **sizes: int,
) -> list[tuple[bytes, bytes]]:
    named = {name.encode(): size for name, size in sizes.items()}
    return chosen(candidates, named, excess, order=order, spared=spared, now=NOW)


def test_what_saves_little_goes_first() -> None:
    assert gone(entry(A, 9.0), entry(B, 1.0), entry(C, 5.0), excess=150) == [B, C]


def test_what_is_large_goes_first() -> None:
    assert gone(entry(A, 1.0, 0, 10, b"x"), entry(B, 1.0, 0, 10, b"y"), x=1000, y=5000) == [B]


def test_what_lay_idle_goes_first() -> None:
    assert gone(entry(A, 1.0, 7200), entry(B, 1.0, 60), entry(C, 1.0, 86400)) == [C]


def test_an_hours_work_outlives_a_seconds_work_that_was_used_since() -> None:
    assert gone(entry(A, 3600.0, 30 * 86400), entry(B, 1.0, 0)) == [B]
    assert gone(entry(A, 3600.0, 30 * 86400), entry(B, 1.0, 0), order="use") == [A]


def test_a_clock_that_went_back_is_no_trouble() -> None:
    assert gone(entry(A, 1.0, -1e9), entry(B, 1.0, 60)) == [B]


def test_what_the_run_uses_stays_even_if_room_is_short() -> None:
    assert gone(entry(A), entry(B), excess=10**9, spared=(A,)) == [B]


def test_shared_content_is_freed_with_the_last_that_names_it() -> None:
    shared = (entry(A, 1.0, 300, 1, b"x"), entry(B, 1.0, 200, 1, b"x"), entry(C, 1.0, 100, 1, b"y"))
    assert gone(*shared, excess=900, order="use", x=1000, y=1000) == [A, B]
    assert gone(*shared, excess=2, order="use", x=1000, y=1000) == [A, B]


def test_nothing_goes_where_there_is_room() -> None:
    assert gone(entry(A), entry(B), excess=0) == []
