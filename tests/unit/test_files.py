"""Digests of files and folders: the content decides, and stamps only save work where they can be trusted."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from blake3 import blake3

from stepcache.key import files
from stepcache.key.files import FileDigests


class Notebook:
    """A memo in memory that counts what was asked of it."""

    def __init__(self) -> None:
        self.pages: dict[tuple[str, bytes], bytes] = {}
        self.answered = 0

    def get(self, kind: str, name: bytes) -> bytes | None:
        page = self.pages.get((kind, name))
        self.answered += page is not None
        return page

    def put(self, kind: str, name: bytes, data: bytes) -> None:
        self.pages[kind, name] = data


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A large file that was written long ago."""
    path = tmp_path / "large.bin"
    path.write_bytes(b"x" * files.REMEMBERED_SIZE)
    return path


def later(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Has the clock that hashing looks at be ahead."""
    now = files.time.time_ns() + seconds * 10**9
    monkeypatch.setattr(files.time, "time_ns", lambda: now)


@pytest.mark.parametrize("size", [0, 1, 100, files.REMEMBERED_SIZE + 1, files.CHUNK + files.THREADED_SIZE])
def test_the_digest_is_that_of_the_content(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(range(251)) * (size // 251) + b"z" * (size % 251))
    assert FileDigests().content(str(path)) == blake3(path.read_bytes()).hexdigest()


def test_what_is_no_readable_file_has_a_name(tmp_path: Path) -> None:
    digests = FileDigests()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loose").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    said = {name: digests.content(str(tmp_path / name)) for name in ("none", "pipe", "loose", "loop", "")}
    assert said == {"none": "absent", "pipe": "other", "loose": "absent", "loop": "unreadable", "": "dir"}
    assert digests.exists("\0") == digests.content("\0") == digests.listing("\0") == "absent"


def test_a_file_is_hashed_once(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later(monkeypatch, 10)
    memo = Notebook()
    first = FileDigests(memo).content(str(old))
    monkeypatch.setattr(files, "_hash_stream", lambda *_: pytest.fail("hashed again"))
    again = FileDigests(memo)
    assert [again.content(str(old)) for _ in range(2)] == [first, first]
    assert memo.answered == 1


def test_a_young_stamp_is_not_trusted(old: Path) -> None:
    """Written within the clock's coarseness of the hashing: another write could bear the same stamp."""
    memo = Notebook()
    digests = FileDigests(memo)
    first = digests.content(str(old))
    status = old.stat()
    with old.open("r+b") as file:
        file.write(b"y")
    os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert memo.pages == {}
    assert digests.content(str(old)) != first


def test_restored_times_do_not_hide_a_change(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later(monkeypatch, 10)
    digests = FileDigests(Notebook())
    first = digests.content(str(old))
    status = old.stat()
    with old.open("r+b") as file:
        file.write(b"y")
    os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests.content(str(old)) != first


def test_small_files_are_not_kept_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small").write_text("x")
    later(monkeypatch, 10)
    memo = Notebook()
    FileDigests(memo).content(str(tmp_path / "small"))
    assert memo.pages == {}


@pytest.mark.parametrize("page", [b"", b"1,2,3,4,5 abc", b"\xff" * 90, b"nonsense " + b"0" * 64])
def test_a_page_that_is_not_of_this_stamp_is_passed_over(old: Path, page: bytes) -> None:
    memo = Notebook()
    memo.pages["file", os.fsencode(old)] = page
    assert FileDigests(memo).content(str(old)) == blake3(old.read_bytes()).hexdigest()


def test_a_link_counts_by_what_it_leads_to(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    link = tmp_path / "link"
    link.symlink_to("one")
    digests = FileDigests()
    first, target = digests.content(str(link)), digests.link(str(link))
    link.unlink()
    link.symlink_to("two")
    assert digests.content(str(link)) == digests.content(str(tmp_path / "two")) != first
    assert digests.link(str(link)) != target
    assert digests.link(str(tmp_path / "one")) == "file"


def test_a_listing_is_of_names_and_which_are_folders(tmp_path: Path) -> None:
    digests = FileDigests(hidden=(str(tmp_path / "cache"),))
    (tmp_path / "a").write_text("x")
    first = digests.listing(str(tmp_path))
    (tmp_path / "a").write_text("y")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "cache").mkdir()
    assert digests.listing(str(tmp_path)) == first
    (tmp_path / "b").mkdir()
    assert digests.listing(str(tmp_path)) != first
    assert digests.listing(str(tmp_path), frozenset({"b"})) == first
    (tmp_path / "a").unlink()
    (tmp_path / "a").mkdir()
    assert digests.listing(str(tmp_path), frozenset({"b"})) != first
    assert digests.listing(str(tmp_path / "none")) == "absent"


def test_an_empty_folder_is_not_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert FileDigests().listing(str(tmp_path / "empty")) != FileDigests().listing(str(tmp_path / "none"))


def test_a_database_counts_without_its_change_counters(tmp_path: Path) -> None:
    path = str(tmp_path / "x.db")
    digests = []
    for value in (1, 1, 2):
        connection = sqlite3.connect(path)
        connection.execute("create table if not exists t (k)")
        connection.execute("delete from t")
        connection.execute("insert into t values (?)", (value,))
        connection.commit()
        connection.close()
        digests.append((FileDigests().database(path), FileDigests().content(path)))
    assert digests[0][0] == digests[1][0] != digests[2][0]
    assert digests[0][1] != digests[1][1]


def test_the_beginning_of_a_file_is_what_it_was_before_it_grew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\n")
    before = FileDigests().content(str(path))
    path.write_text("one\ntwo\n")
    assert FileDigests().prefix(str(path), 4) == before


def test_a_forked_child_hashes_large_files_too(tmp_path: Path) -> None:
    """The threads that hash in the parent are not there in the child, which must not wait for them."""
    path = tmp_path / "huge"
    path.write_bytes(b"x" * (files.THREADED_SIZE + 1))
    whole = FileDigests().content(str(path))
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.write(writing, FileDigests().content(str(path)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100).decode() == whole
    os.close(reading)
    os.close(writing)
