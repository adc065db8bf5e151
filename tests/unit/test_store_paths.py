"""Paths that a step returns from its temporary directory are stored as what they lead to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from stepcache.errors import Unstorable, ValueGone
from stepcache.store import Codecs, Scratch


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    scratch = Scratch(Codecs.builtin())
    yield scratch
    scratch.close()


@pytest.fixture
def tmp(tmp_path: Path) -> Path:
    tmp = tmp_path / "work"
    tmp.mkdir()
    return tmp


def test_a_file_comes_back_with_its_name_content_and_mode(scratch: Scratch, tmp: Path) -> None:
    path = tmp / "out" / "run.sh"
    path.parent.mkdir()
    path.write_bytes(b"#!/bin/sh\n")
    path.chmod(0o750)
    value = scratch.save(path, tmp=tmp)
    path.unlink()
    again = scratch.load(value)
    assert isinstance(again, Path)
    assert again.parts[-2:] == ("out", "run.sh")
    assert again.read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE(again.stat().st_mode) == 0o750
    assert not again.is_relative_to(tmp)


def test_each_load_gives_a_copy_of_its_own(scratch: Scratch, tmp: Path) -> None:
    (tmp / "file").write_text("before")
    value = scratch.save(tmp / "file", tmp=tmp)
    one = scratch.load(value)
    assert isinstance(one, Path)
    one.write_text("changed")
    two = scratch.load(value)
    assert isinstance(two, Path)
    assert two.read_text() == "before"


def test_a_folder_comes_back_whole(scratch: Scratch, tmp: Path) -> None:
    (tmp / "a/b").mkdir(parents=True)
    (tmp / "a/empty").mkdir()
    (tmp / "a/b/file").write_text("content")
    (tmp / "a/nothing").touch()
    (tmp / "a/link").symlink_to("b/file")
    (tmp / "a/up").symlink_to("b")
    again = scratch.load(scratch.save(tmp / "a", tmp=tmp))
    assert isinstance(again, Path)
    assert sorted(str(path.relative_to(again)) for path in again.rglob("*")) == [
        "b", "b/file", "empty", "link", "nothing", "up",
    ]  # fmt: skip
    assert (again / "link").readlink() == Path("b/file")
    assert (again / "link").read_text() == "content"


def test_the_directory_itself_may_be_returned(scratch: Scratch, tmp: Path) -> None:
    (tmp / "x").write_text("1")
    again = scratch.load(scratch.save(tmp, tmp=tmp))
    assert isinstance(again, Path)
    assert (again / "x").read_text() == "1"


def test_containers_keep_their_shape_and_what_else_they_hold(scratch: Scratch, tmp: Path) -> None:
    for name in ("a", "b"):
        (tmp / name).write_text(name)
    value = {"files": [tmp / "a", tmp / "b"], "score": 0.5, "pair": (tmp / "a", None), "other": Path("/etc/x")}
    again = scratch.load(scratch.save(value, tmp=tmp))
    assert isinstance(again, dict)
    assert [path.read_text() for path in again["files"]] == ["a", "b"]
    assert again["pair"][0] == again["files"][0]
    assert again["pair"][1] is None
    assert (again["score"], again["other"]) == (0.5, Path("/etc/x"))


def test_a_path_under_a_key_without_a_text_comes_back(scratch: Scratch, tmp: Path) -> None:
    (tmp / "file").write_text("content")
    again = scratch.load(scratch.save({10**5000: tmp / "file"}, tmp=tmp))
    assert isinstance(again, dict)
    assert again[10**5000].read_text() == "content"


def test_equal_content_has_equal_digests_wherever_it_was_made(scratch: Scratch, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        tmp = tmp_path / name
        tmp.mkdir()
        (tmp / "file").write_text("content")
        (tmp / "file").chmod(0o644)
        digests.add(scratch.save([tmp / "file"], tmp=tmp).digest)
    (tmp / "file").write_text("contend")
    digests.add(scratch.save([tmp / "file"], tmp=tmp).digest)
    assert len(digests) == 2


def test_a_path_elsewhere_is_a_plain_value(scratch: Scratch, tmp: Path) -> None:
    assert scratch.save(Path("/etc/hosts"), tmp=tmp).codec == "plain"
    assert scratch.save([1, {"a": 2}], tmp=tmp).codec == "plain"


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "a/../../../x"])
def test_a_link_out_of_the_tree_is_refused(scratch: Scratch, tmp: Path, target: str) -> None:
    (tmp / "out").mkdir()
    (tmp / "out/link").symlink_to(target)
    with pytest.raises(Unstorable) as caught:
        scratch.save({"x": [tmp / "out"]}, tmp=tmp)
    assert str(caught.value) == (f"Path at ['x'][0]: out/link is a link to {target}, outside of what is stored")


def test_a_path_behind_a_link_comes_back_with_what_the_link_leads_to(scratch: Scratch, tmp: Path) -> None:
    (tmp / "runs" / "7" / "made").mkdir(parents=True)
    (tmp / "runs" / "7" / "made" / "model").write_text("weights")
    (tmp / "latest").symlink_to("runs/7")
    (tmp / "runs" / "7" / "out").symlink_to("../7/made")
    value = scratch.save(tmp / "latest" / "out" / "model", tmp=tmp)
    again = scratch.load(value)
    assert isinstance(again, Path)
    assert again.read_text() == "weights"
    assert again.parts[-3:] == ("latest", "out", "model")
    assert again.parents[1].is_symlink()


def test_a_link_that_leads_out_by_way_of_another_is_refused(scratch: Scratch, tmp: Path) -> None:
    (tmp / "d").mkdir()
    (tmp / "d" / "up").symlink_to("..")
    (tmp / "l").symlink_to("d/up/../x")
    with pytest.raises(Unstorable, match="outside of what is stored"):
        scratch.save(tmp, tmp=tmp)


def test_a_file_that_cannot_be_read_is_no_fault_of_the_cache(scratch: Scratch, tmp: Path) -> None:
    (tmp / "file").write_bytes(b"x" * 100_000)
    content = scratch.content(tmp / "file", None, tmp)
    (tmp / "file").unlink()
    with pytest.raises(Unstorable, match="file cannot be read: No such file or directory"):
        scratch.keep(content)


def test_what_is_no_file_is_refused(scratch: Scratch, tmp: Path) -> None:
    os.mkfifo(tmp / "fifo")
    with pytest.raises(Unstorable, match="fifo is neither a file nor a folder nor a link"):
        scratch.save(tmp / "fifo", tmp=tmp)
    with pytest.raises(Unstorable, match="missing cannot be read: No such file or directory"):
        scratch.save(tmp / "missing", tmp=tmp)


def test_paths_beside_what_is_not_plain_are_refused(scratch: Scratch, tmp: Path) -> None:
    (tmp / "file").touch()
    with pytest.raises(Unstorable, match="it holds paths, and it holds a function"):
        scratch.save([tmp / "file", test_what_is_no_file_is_refused], tmp=tmp)


def test_nothing_is_left_when_it_is_closed(tmp: Path) -> None:
    scratch = Scratch(Codecs.builtin())
    (tmp / "file").write_text("content" * 1000)
    value = scratch.save(tmp / "file", tmp=tmp)
    again = scratch.load(value)
    assert isinstance(again, Path)
    scratch.close()
    assert not again.exists()
    with pytest.raises(ValueGone):
        scratch.load(value)
