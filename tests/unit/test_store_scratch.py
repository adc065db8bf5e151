"""Values that are not kept go through bytes like all others."""

from __future__ import annotations

import errno
import os
from typing import Any

import numpy as np
import pytest

from stepcache.errors import Unstorable, ValueGone
from stepcache.store import Codecs, Scratch, folder, scratch


@pytest.fixture
def area() -> Any:
    area = Scratch(Codecs.builtin())
    yield area
    area.close()


@pytest.mark.parametrize("value", [{"a": [1]}, list(range(100_000)), "text" * 100_000])
def test_each_load_gives_a_fresh_object(area: Scratch, value: Any) -> None:
    stored = area.save(value)
    one, two = area.load(stored), area.load(stored)
    assert one == two == value
    assert one is not value
    assert stored.digest == area.save(value).digest


def test_arrays_are_writable_and_a_change_reaches_nobody(area: Scratch) -> None:
    array = np.arange(100_000)
    stored = area.save(array)
    array[0] = 7
    one: Any = area.load(stored)
    one[1] = 8
    two: Any = area.load(stored)
    assert (two[0], two[1]) == (0, 1)


def test_digests_never_change_from_release_to_release(area: Scratch) -> None:
    assert area.save([1, 2]).digest == "e2c4a380ec530095bea44c966280f8663a4622306fd069799ab0879078abac67"


def test_it_says_when_a_value_cannot_be_kept(area: Scratch) -> None:
    with pytest.raises(Unstorable):
        area.save(number for number in [1])


def test_a_full_temporary_folder_leaves_memory(area: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(scratch, "write_all", full)
    value = area.save(list(range(100_000)))
    assert area.load(value) == list(range(100_000))


def test_a_forked_child_leaves_its_parents_files(area: Scratch) -> None:
    value = area.save(np.arange(100_000))
    child = os.fork()
    if child == 0:
        area.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert area.load(value) is not None


def test_what_is_not_there_is_gone(area: Scratch) -> None:
    value = area.save([1] * 2000)
    area.close()
    with pytest.raises(ValueGone):
        area.load(value)


def test_private_whatever_the_umask(area: Scratch) -> None:
    before = os.umask(0)
    try:
        path = area.fresh_folder()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o700
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert folder is not None
