"""Which folders hold a cache, which are refused, and what is put into them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stepcache.store.folder import Refused, new_file, prepare


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_a_new_folder_is_the_users_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert prepare(str(tmp_path / "a/cache"), make=True) == str(tmp_path / "a/cache")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a/cache") == 0o700
    for name in ("CACHEDIR.TAG", ".gitignore"):
        assert mode(tmp_path / "a/cache" / name) == 0o600
    assert (tmp_path / "a/cache/CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    assert (tmp_path / "a/cache/.gitignore").read_text().splitlines()[-1] == "*"


def test_an_empty_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o755)
    assert prepare(str(tmp_path / "cache"), make=True) == str(tmp_path / "cache")
    assert mode(tmp_path / "cache") == 0o700


def test_a_cache_that_lost_its_tag_is_still_one(tmp_path: Path) -> None:
    prepare(str(tmp_path / "cache"), make=True)
    (tmp_path / "cache/blobs").mkdir()
    (tmp_path / "cache/CACHEDIR.TAG").unlink()
    assert prepare(str(tmp_path / "cache"), make=True) == str(tmp_path / "cache")
    assert (tmp_path / "cache/CACHEDIR.TAG").exists()


def test_in_a_folder_that_holds_other_things_the_cache_lies_one_below(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    tmp_path.chmod(0o755)
    assert prepare(str(tmp_path), make=True) == str(tmp_path / ".stepcache")
    assert sorted(os.listdir(tmp_path)) == [".stepcache", "mine.txt"]
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / ".stepcache") == 0o700


def reason(folder: Path) -> str:
    refused = prepare(str(folder), make=True)
    assert isinstance(refused, Refused)
    return refused.reason


def test_what_others_could_have_put_there_is_refused(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for bits in (0o770, 0o707):
        cache.chmod(bits)
        assert reason(cache) == f"the cache folder {cache} can be written by others: chmod go-w {cache}"
    cache.chmod(0o700)
    link = tmp_path / "link"
    link.symlink_to("cache")
    assert reason(link) == f"the cache folder {link} is a link; name the folder that it leads to"
    file = tmp_path / "file"
    file.touch()
    assert reason(file) == f"the cache folder {file} is no folder; name another"
    assert reason(file / "below") == f"the cache folder {file / 'below'} cannot be used: Not a directory"


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert "is a link" in reason(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o700)
    os.chown(tmp_path / "cache", 65534, 65534)
    assert reason(tmp_path / "cache") == f"the cache folder {tmp_path / 'cache'} belongs to another user; name another"


def test_nothing_is_made_for_reading_only(tmp_path: Path) -> None:
    assert prepare(str(tmp_path / "cache"), make=False) == str(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def interrupted() -> None:
        with new_file(str(path)) as fd:
            os.write(fd, b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []
    with new_file(str(path), durable=True) as fd:
        os.write(fd, b"whole")
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["file"]
