"""Where the sealing key comes from, and when there is none."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stepcache.store.seal import NoSeal, Seal, load_seal


def own(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path)}


def key_file(tmp_path: Path) -> Path:
    return tmp_path / ".config/stepcache/key"


def test_a_key_is_made_on_first_use_and_found_again(tmp_path: Path) -> None:
    first = load_seal(own(tmp_path))
    again = load_seal(own(tmp_path))
    assert isinstance(first, Seal)
    assert isinstance(again, Seal)
    assert first.id == again.id
    assert len(first.id) == 16
    assert again.verify(b"data", first.seal(b"data"))
    assert stat.S_IMODE(key_file(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file(tmp_path).parent.stat().st_mode) == 0o700
    assert os.listdir(key_file(tmp_path).parent) == ["key"]


def test_a_umask_neither_opens_nor_closes_it(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        (tmp_path / ".config").mkdir()
        (tmp_path / ".config").chmod(0o700)
        (tmp_path / ".config/stepcache").mkdir()
        (tmp_path / ".config/stepcache").chmod(0o700)
        assert isinstance(load_seal(own(tmp_path)), Seal)
    finally:
        os.umask(before)
    assert stat.S_IMODE(key_file(tmp_path).stat().st_mode) == 0o600


def test_xdg_config_home_counts_if_absolute(tmp_path: Path) -> None:
    load_seal({"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg")})
    assert (tmp_path / "xdg/stepcache/key").is_file()
    load_seal({"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative"})
    assert key_file(tmp_path).is_file()


def test_the_environment_comes_first(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a shared key that is long enough to be one\n")
    by_text = load_seal({"STEPCACHE_KEY": "a shared key that is long enough to be one", **own(tmp_path)})
    by_file = load_seal({"STEPCACHE_KEY_FILE": str(tmp_path / "key"), **own(tmp_path)})
    assert isinstance(by_text, Seal)
    assert isinstance(by_file, Seal)
    assert by_text.id == by_file.id
    assert not key_file(tmp_path).exists()
    empty = load_seal({"STEPCACHE_KEY": "", **own(tmp_path)})
    assert isinstance(empty, Seal)
    assert empty.id != by_text.id


def test_a_key_file_may_be_a_mounted_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a shared key that is long enough to be one")
    (tmp_path / "secret").chmod(0o444)
    (tmp_path / "link").symlink_to("secret")
    assert isinstance(load_seal({"STEPCACHE_KEY_FILE": str(tmp_path / "link")}), Seal)


def reason(environ: dict[str, str]) -> str:
    found = load_seal(environ)
    assert isinstance(found, NoSeal)
    return found.reason


def test_a_key_file_that_cannot_serve_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert reason({"STEPCACHE_KEY_FILE": str(path)}) == (
        f"STEPCACHE_KEY_FILE={path} cannot be read: No such file or directory"
    )
    path.touch()
    how = 'python -c "import secrets; print(secrets.token_hex())" makes a key'
    assert reason({"STEPCACHE_KEY_FILE": str(path)}) == f"STEPCACHE_KEY_FILE={path} is empty; {how}"
    path.write_text("0" * 31)
    assert reason({"STEPCACHE_KEY_FILE": str(path)}) == (
        f"STEPCACHE_KEY_FILE={path} has 31 characters of 32 at least; {how}"
    )
    path.chmod(0o666)
    assert reason({"STEPCACHE_KEY_FILE": str(path)}) == (
        f"STEPCACHE_KEY_FILE={path} can be written by others: chmod go-w {path}"
    )
    assert reason({"STEPCACHE_KEY_FILE": str(tmp_path)}) == f"STEPCACHE_KEY_FILE={tmp_path} is no file"


def test_the_own_key_is_refused_when_others_could_have_put_it_there(tmp_path: Path) -> None:
    load_seal(own(tmp_path))
    path = key_file(tmp_path)
    otherwise = "set STEPCACHE_KEY or STEPCACHE_KEY_FILE to use another"
    path.chmod(0o640)
    assert reason(own(tmp_path)) == f"the sealing key {path} is open to others: chmod 600 {path}, or {otherwise}"
    path.chmod(0o600)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    assert reason(own(tmp_path)) == f"the sealing key {path} is a link; remove it, or {otherwise}"
    path.unlink()
    path.mkdir()
    assert reason(own(tmp_path)) == f"the sealing key {path} is no file; remove it, or {otherwise}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_own_key_of_another_user_is_refused(tmp_path: Path) -> None:
    load_seal(own(tmp_path))
    os.chown(key_file(tmp_path), 65534, 65534)
    assert "belongs to another user" in reason(own(tmp_path))


def test_a_fifo_in_place_of_the_key_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    key_file(tmp_path).parent.mkdir(parents=True)
    os.mkfifo(key_file(tmp_path), 0o600)
    assert "is no file" in reason(own(tmp_path))


def test_a_key_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    first = load_seal(own(tmp_path))
    key_file(tmp_path).write_bytes(b"")
    second = load_seal(own(tmp_path))
    assert isinstance(first, Seal)
    assert isinstance(second, Seal)
    assert first.id != second.id
    assert second.id == load_seal(own(tmp_path)).id  # type: ignore[union-attr]


def test_a_folder_that_cannot_be_made_leaves_no_key(tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("in the way")
    assert reason(own(tmp_path)) == (
        f"the sealing key {key_file(tmp_path)} cannot be had: Not a directory; "
        "set STEPCACHE_KEY or STEPCACHE_KEY_FILE to use another"
    )


def test_processes_that_make_it_at_once_agree(tmp_path: Path) -> None:
    code = "import os; from stepcache.store.seal import load_seal; print(load_seal(os.environ).id)"
    environ = {**os.environ, **own(tmp_path)}
    environ.pop("XDG_CONFIG_HOME", None)
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    assert len({process.communicate()[0] for process in started}) == 1


def test_the_key_is_never_shown(tmp_path: Path) -> None:
    seal = load_seal(own(tmp_path))
    assert repr(seal) == f"Seal(id={seal.id!r})"  # type: ignore[union-attr]
    with pytest.raises(TypeError, match="not to be pickled"):
        pickle.dumps(seal)


def test_secrets_are_digested_with_the_key() -> None:
    one, two = Seal(b"one"), Seal(b"two")
    assert one.keyed("secret") == one.keyed(b"secret")
    assert one.keyed("secret") != two.keyed("secret")
    assert one.keyed("a\ud800") != one.keyed("a")
    assert not two.verify(b"data", one.seal(b"data"))
