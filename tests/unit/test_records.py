"""Classes of attrs as the package makes them: compared, hashed and told by their fields, and written to by nobody."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from attrs.exceptions import FrozenInstanceError

from stepcache.records import define, frozen, unguarded


@frozen
class Frozen:
    number: int
    text: str = "x"


@unguarded
class Unguarded:
    number: int
    text: str = "x"


@define
class Open:
    number: int
    text: str = "x"


@pytest.mark.parametrize("kind", [Frozen, Unguarded, Open])
def test_records_are_compared_and_told_by_their_fields(kind: Any) -> None:
    assert kind(1) == kind(1, "x")
    assert kind(1) != kind(2)
    assert repr(kind(1)) == f"{kind.__name__}(number=1, text='x')"
    assert evolve(kind(1), text="y") == kind(1, "y")
    assert not hasattr(kind(1), "__dict__")


@pytest.mark.parametrize("kind", [Frozen, Unguarded])
def test_those_that_do_not_change_are_hashed_by_their_fields(kind: Any) -> None:
    assert len({kind(1), kind(1, "x"), kind(2)}) == 2


def test_others_have_no_hash() -> None:
    with pytest.raises(TypeError):
        hash(Open(1))


def test_a_frozen_one_refuses_to_be_written_to() -> None:
    record: Any = Frozen(1)
    with pytest.raises(FrozenInstanceError):
        record.number = 2
