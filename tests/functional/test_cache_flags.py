"""The cache's flags, the places it may lie in, and that no trouble with it ever fails a run."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stepcache.testing import Project, Result

CHAIN = """
    from stepcache import step

    @step
    def a():
        return list(range(1000))

    @step
    def b(a):
        return sum(a)

    @step
    def other():
        return "other"
"""

A, B, OTHER = (f"pipeline_x.py::{name}" for name in ("a", "b", "other"))


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", CHAIN)
    return stepcache_project


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for what SQLite needs beside a database to read it."""
    kept = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.endswith("-shm")]
    return {str(p): p.read_bytes() for p in kept if p.stat().st_size or not p.name.endswith("-wal")}


def shown(result: Result) -> list[str]:
    """The nodes that --cache-show lists."""
    return sorted(line.split("  ")[0].strip() for line in result.lines if "::" in line)


# --- off and readonly


@pytest.mark.parametrize("flag", ["--no-cache", "--cache=off", "--cache=readonly"])
def test_the_cache_is_left_as_it_is(project: Project, flag: str) -> None:
    project.run()
    before = files(project.cache)
    project.edit("pipeline_x.py", "1000", "2000")
    assert project.run(flag).outcomes[B] == "ran"
    assert files(project.cache) == before
    project.edit("pipeline_x.py", "2000", "1000")
    assert project.run().ran == []


def test_readonly_uses_hits_and_writes_nothing(project: Project) -> None:
    project.run(A)
    result = project.run("--cache=readonly")
    assert result.outcomes == {A: "cached", B: "ran", OTHER: "ran"}
    assert project.run("--cache=readonly").outcomes == {A: "cached", B: "ran", OTHER: "ran"}


def test_readonly_where_there_is_no_cache_makes_none(project: Project) -> None:
    result = project.run("--cache=readonly")
    assert (result.exit_code, result.ran) == (0, ["a", "b", "other"])
    assert not project.cache.exists()


# --- clear


def test_clear_removes_this_projects_entries_and_says_so(project: Project) -> None:
    project.run()
    result = project.run("--cache-clear")
    assert any(
        re.fullmatch(r"cache: cleared 3 entries, \d.* \(.* on disk\), which took .* to make", line)
        for line in result.lines
    ), result.stdout
    assert result.ran == ["a", "b", "other"]
    assert project.run().ran == []


@pytest.mark.parametrize(
    ("arguments", "left"),
    [([OTHER], [A, B]), (["-k", "other"], [A, B]), ([B], [OTHER]), (["--deselect", OTHER], [OTHER])],
)
def test_clear_removes_those_of_the_selected_nodes(project: Project, arguments: list[str], left: list[str]) -> None:
    project.run()
    project.run("--cache-clear", "--plan", *arguments)
    assert shown(project.run("--cache-show")) == left


def test_clear_leaves_what_another_root_uses_but_does_not_read_it(project: Project) -> None:
    project.run()
    twin = project.path.parent / "twin"
    twin.mkdir()
    (twin / "pyproject.toml").write_text("[tool.stepcache]\n")
    (twin / "pipeline_x.py").write_bytes((project.path / "pipeline_x.py").read_bytes())
    assert project.run(f"--rootdir={twin}", str(twin)).ran == []
    assert project.run("--cache-clear").ran == ["a", "b", "other"]
    assert project.run(f"--rootdir={twin}", str(twin)).ran == []


def test_clear_does_not_read_what_another_root_has_under_the_same_key(project: Project) -> None:
    """The same code that read another file: two entries under one key."""
    text = "from stepcache import step\n\n@step\ndef a():\n    return open('data.txt').read()\n"
    twin = project.path.parent / "twin"
    twin.mkdir()
    for folder, data in ((project.path, "one"), (twin, "two")):
        (folder / "pyproject.toml").write_text("[tool.stepcache]\n")
        (folder / "pipeline_x.py").write_text(text)
        (folder / "data.txt").write_text(data)
        with contextlib.chdir(folder):
            assert project.run().ran == ["a"]
    project.write("data.txt", "two")
    assert project.run("--cache-clear").ran == ["a"]


def test_clear_with_nothing_to_clear(project: Project) -> None:
    result = project.run("--cache-clear")
    assert (result.exit_code, result.ran) == (0, ["a", "b", "other"])


# --- refresh


def test_refresh_runs_all_and_stores(project: Project) -> None:
    project.run()
    result = project.run("--cache-refresh")
    assert result.reasons == {A: ["refresh"], B: ["refresh"], OTHER: ["refresh"]}
    assert project.run().ran == []


def test_refresh_of_what_an_expression_names(project: Project) -> None:
    project.run()
    assert project.run("--cache-refresh=b or nothing").ran == ["b"]
    # The value of an optional flag needs `=`: this refreshes all of a file.
    assert project.run("--cache-refresh", OTHER).ran == ["other"]


def test_refresh_stores_the_new_value(project: Project) -> None:
    project.write("number.txt", "1")
    project.write(
        "pipeline_x.py",
        f"""
        from stepcache import step

        @step(ignore=["file:*number.txt"])
        def a():
            return open({str(project.path / "number.txt")!r}).read()
        """,
    )
    project.run()
    project.write("number.txt", "2")
    import stepcache

    assert stepcache.run("pipeline_x.py")["a"] == "1"
    project.run("--cache-refresh")
    assert stepcache.run("pipeline_x.py")["a"] == "2"


def test_refresh_with_a_wrong_expression_is_a_usage_error(project: Project) -> None:
    result = project.run("--cache-refresh=b and")
    assert result.exit_code == 4
    assert result.stderr == (
        "ERROR: Wrong expression passed to '--cache-refresh': b and: at column 6: expected not OR left parenthesis OR "
        "identifier; got end of input\n"
    )


# --- fail on miss


def test_fail_on_miss_runs_nothing_and_names_what_would_run(project: Project) -> None:
    project.run()
    assert project.run("--fail-on-miss").exit_code == 0
    project.edit("pipeline_x.py", "1000", "2000")
    result = project.run("--fail-on-miss")
    assert result.exit_code == 1
    assert result.outcomes == {A: "would-run", B: "unknown", OTHER: "cached"}
    at = result.lines.index(f"would-run {A}")
    assert result.lines[at + 1 : at + 3] == [f"            code: {A}", f"unknown   {B} (depends on {A})"]
    assert not any(line.startswith("cached ") for line in result.lines)
    assert project.run().ran == ["a", "b"]


# --- plan

TWINS = """
from stepcache import step

def load(number):
    return number + 1

@step
def first(size=1):
    return load(size)

second = step(first, name="second")

@step
def total(second):
    return second
"""


def test_a_plan_says_that_nodes_of_one_key_run_once(stepcache_project: Project) -> None:
    project, (first, second, total) = stepcache_project, (f"pipeline_x.py::{n}" for n in ("first", "second", "total"))
    project.write("pipeline_x.py", TWINS)
    planned = project.run("--plan")
    assert planned.outcomes == {first: "would-run", second: "unknown", total: "unknown"}
    assert f"unknown   {second} (has the same key as {first}, which runs first)" in planned.lines
    assert project.run("--plan", "--no-cache").outcomes == {first: "would-run", second: "would-run", total: "unknown"}
    assert project.run().outcomes == {first: "ran", second: "cached", total: "ran"}
    assert project.run("--plan", "--cache-refresh").outcomes == {
        first: "would-run", second: "would-run", total: "unknown",
    }  # fmt: skip
    assert project.run("--cache-refresh").ran == ["first", "second", "total"]


# --- show


def test_show_lists_the_entries_and_runs_nothing(project: Project) -> None:
    assert project.run("--cache-show").lines == ["no entries"]
    project.run()
    result = project.run("--cache-show")
    assert result.lines[0].split("  ")[0] == "node"
    assert re.split(r" {2,}", result.lines[0]) == ["node", "size", "stored", "age", "last used", "saves"]
    assert shown(result) == [A, B, OTHER]
    assert result.lines[-2].startswith("3 entries, ")
    assert result.lines[-1].startswith("--cache-clear would lose 3 entries, ")
    assert result.nodes == []


@pytest.mark.parametrize("glob", ["b", "*::b", "pipeline_x.py::b", "?"])
def test_show_what_a_glob_matches(project: Project, glob: str) -> None:
    project.run()
    assert B in shown(project.run(f"--cache-show={glob}"))
    assert OTHER not in shown(project.run(f"--cache-show={glob}"))


def test_show_takes_variants_at_their_word(project: Project) -> None:
    project.write(
        "pipeline_y.py",
        """
        from stepcache import parametrize, step

        @step
        @parametrize("n", [1, 2])
        def v(n):
            return n
        """,
    )
    project.run()
    assert shown(project.run("--cache-show=pipeline_y.py::v[1]")) == ["pipeline_y.py::v[1]"]
    assert shown(project.run("--cache-show=v*")) == ["pipeline_y.py::v[1]", "pipeline_y.py::v[2]"]


@pytest.mark.parametrize(("column", "first"), [("node", A), ("size", A), ("saves", OTHER)])
def test_show_sorts_by_a_column(project: Project, column: str, first: str) -> None:
    project.edit("pipeline_x.py", 'return "other"', 'import time; time.sleep(0.3); return "other"')
    project.run()
    assert project.run("--cache-show", f"--cache-sort={column}").lines[1].split()[0] == first


def test_show_tells_what_clearing_would_lose(project: Project) -> None:
    project.run()
    twin = project.path.parent / "twin"
    twin.mkdir()
    (twin / "pyproject.toml").write_text("[tool.stepcache]\n")
    (twin / "pipeline_x.py").write_bytes((project.path / "pipeline_x.py").read_bytes())
    project.run(f"--rootdir={twin}", f"{twin}/pipeline_x.py::other")
    shown = project.run("--cache-show").lines
    assert shown[-2].startswith("3 entries, ")
    assert shown[-1].startswith("--cache-clear would lose 2 entries, ")
    assert project.run("--cache-show=other").lines[-1] == (
        "--cache-clear would lose none of them: other projects use them too"
    )
    lost = shown[-1].removeprefix("--cache-clear would lose ")
    assert f"cache: cleared {lost}" in project.run("--cache-clear", "--plan").stdout


def test_show_marks_what_is_gone(project: Project) -> None:
    project.edit("pipeline_x.py", "list(range(1000))", "__import__('random').Random(1).randbytes(50_000)")
    project.edit("pipeline_x.py", "sum(a)", "len(a)")
    project.run()
    (blob,) = (path for path in (project.cache / "blobs").rglob("*") if path.is_file())
    blob.unlink()
    shown = project.run("--cache-show").lines
    assert [line.split()[0] for line in shown if "  gone  " in line] == [A]
    assert shown[-2].startswith("2 entries, ")


def test_a_wrong_column_is_a_usage_error(project: Project) -> None:
    result = project.run("--cache-show", "--cache-sort=sized")
    assert result.exit_code == 4
    assert result.stderr == ("ERROR: --cache-sort expects node, size, stored, age, used or saves, not 'sized'\n")


# --- gc


def test_gc_drops_down_to_a_size(project: Project) -> None:
    project.run()
    result = project.run("--cache-gc=0")
    assert result.exit_code == 0
    assert result.lines[0].startswith("cache: dropped 3 entries, "), result.stdout
    assert project.run("--cache-show").lines == ["no entries"]
    assert project.run().ran == ["a", "b", "other"]


def test_gc_leaves_what_is_used(project: Project) -> None:
    project.run()
    assert project.run("--cache-gc").exit_code == 0
    assert project.run().ran == []


# --- verify


def damage_longest_value(project: Project) -> None:
    """Flip a bit in the longest stored value: that of `a`."""
    (database,) = project.cache.glob("entries-*.db")
    with closing(sqlite3.connect(database)) as db, db:
        rows = db.execute("SELECT name, frame FROM contents WHERE frame IS NOT NULL").fetchall()
        longest = max(rows, key=lambda row: len(row[1]))
        frame = bytearray(longest[1])
        frame[-1] ^= 1
        db.execute("UPDATE contents SET frame = ? WHERE name = ?", (bytes(frame), longest[0]))


def test_verify_names_and_drops_the_damaged(project: Project) -> None:
    project.run()
    sound = project.run("--cache-verify")
    assert (sound.exit_code, sound.lines) == (0, ["cache: 3 entries checked, none damaged"])
    damage_longest_value(project)
    found = project.run("--cache-verify")
    assert found.exit_code == 1
    assert A in found.stdout
    assert B not in found.stdout
    assert project.run("--cache-verify").exit_code == 0
    # What was dropped is made again, and comes to the same.
    again = project.run()
    assert (again.ran, again.reasons) == (["a"], {A: ["damaged"]})


@pytest.mark.parametrize("flag", ["--cache-show", "--cache-verify", "--cache-gc", "--cache-clear"])
def test_what_looks_at_a_cache_that_cannot_be_used_says_so(project: Project, flag: str) -> None:
    project.run()
    (database,) = project.cache.glob("entries-*.db")
    database.unlink()
    database.mkdir()
    result = project.run(flag, "--collect-only", "-q")
    assert any(line.startswith(f"warning: the cache in {project.cache} cannot be") for line in result.lines)
    assert "nothing to clear" not in result.stdout
    assert "0 B left" not in result.stdout
    assert result.exit_code == (1 if flag == "--cache-verify" else 0)


def test_verify_tells_of_a_damaged_database(project: Project) -> None:
    project.run()
    (database,) = project.cache.glob("entries-*.db")
    database.write_bytes(database.read_bytes()[:8192] + b"\xff" * 4096)
    result = project.run("--cache-verify")
    assert "its database was damaged" in result.stdout
    assert result.exit_code == 1
    assert project.run("--cache-verify").exit_code == 0


def test_a_damaged_value_is_made_again_when_it_is_needed(project: Project) -> None:
    project.run()
    damage_longest_value(project)
    project.edit("pipeline_x.py", "sum(a)", "len(a)")
    result = project.run()
    assert result.exit_code == 0
    assert result.outcomes[B] == "ran"
    import stepcache

    assert stepcache.run("pipeline_x.py")["b"] == 1000


# --- where the cache lies


def test_where_the_cache_lies(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.configure('cache_dir = "configured"')
    assert project.run("--cache-dir=flag").exit_code == 0
    assert (project.path / "flag" / "CACHEDIR.TAG").is_file()
    assert not project.cache.exists()
    project.run()
    assert (project.cache / "CACHEDIR.TAG").is_file()
    assert not (project.path / "configured").exists()
    monkeypatch.delenv("STEPCACHE_DIR")
    project.run()
    assert (project.path / "configured" / "CACHEDIR.TAG").is_file()
    project.configure("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(project.path / "home"))
    project.run()
    assert (project.path / "home" / "stepcache" / "CACHEDIR.TAG").is_file()


@pytest.mark.parametrize("umask", [0, 0o777])
def test_the_folder_is_the_users_alone(project: Project, umask: int) -> None:
    before = os.umask(umask)
    try:
        project.run()
    finally:
        os.umask(before)
    modes = {p.stat().st_mode & 0o777 for p in project.cache.rglob("*") if p.is_dir()} | {
        project.cache.stat().st_mode & 0o777
    }
    assert modes == {0o700}
    assert {p.stat().st_mode & 0o777 for p in project.cache.rglob("*") if p.is_file()} == {0o600}


# --- a cache that cannot be used


def off_with(result: Result, warning: str) -> None:
    """The run went well without a cache, with this one warning."""
    assert result.exit_code == 0, result.stdout + result.stderr
    assert "cache: off" in result.lines
    assert result.outcomes == {A: "ran", B: "ran", OTHER: "ran"}
    at = next(n for n, line in enumerate(result.lines) if "warnings summary" in line)
    assert result.lines[at + 1] == f"the cache is off: {warning}"
    assert "1 warning" in result.lines[-1]


def test_a_link_is_refused(project: Project) -> None:
    (project.path / "real").mkdir(mode=0o700)
    (project.path / "link").symlink_to("real")
    folder = project.path / "link"
    for _ in range(2):
        off_with(
            project.run("--cache-dir=link"), f"the cache folder {folder} is a link; name the folder that it leads to"
        )
    assert not list((project.path / "real").iterdir())


def test_a_folder_that_others_can_write_is_refused(project: Project) -> None:
    folder = project.path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    off_with(
        project.run("--cache-dir=open"), f"the cache folder {folder} can be written by others: chmod go-w {folder}"
    )


def test_a_file_is_refused(project: Project) -> None:
    project.write("file", "text")
    off_with(project.run("--cache-dir=file"), f"the cache folder {project.path / 'file'} is no folder; name another")


def test_a_folder_that_cannot_be_made(project: Project) -> None:
    project.write("file", "text")
    off_with(
        project.run("--cache-dir=file/below"),
        f"the cache folder {project.path / 'file/below'} cannot be used: Not a directory",
    )
    (project.path / "leads").symlink_to("nowhere")
    for folder in (project.path / "leads/deep/below", "/proc/stepcache"):
        off_with(
            project.run(f"--cache-dir={folder}"), f"the cache folder {folder} cannot be used: No such file or directory"
        )


@pytest.mark.parametrize(
    ("key", "in_file", "what"),
    [
        ("", True, "is empty"),
        (" \n", False, "is empty"),
        ("hello\n", True, "has 5 characters of 32 at least"),
        ("hello", False, "has 5 characters of 32 at least"),
    ],
)
def test_without_a_usable_key_the_cache_is_off(
    project: Project, monkeypatch: pytest.MonkeyPatch, key: str, in_file: bool, what: str
) -> None:
    if in_file:
        project.key.write_text(key)
    else:
        monkeypatch.setenv("STEPCACHE_KEY", key)
    result = project.run()
    assert (result.exit_code, result.ran) == (0, ["a", "b", "other"])
    assert "cache: off" in result.lines
    told = [line for line in result.lines if line.startswith("the cache is off: ")]
    name = f"STEPCACHE_KEY_FILE={project.key}" if in_file else "STEPCACHE_KEY"
    how = 'python -c "import secrets; print(secrets.token_hex())" makes a key'
    assert told == [f"the cache is off: {name} {what}; {how}"]
    assert not project.cache.exists()


def test_another_key_finds_nothing_and_leaves_all(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.run()
    monkeypatch.delenv("STEPCACHE_KEY_FILE")
    monkeypatch.setenv("STEPCACHE_KEY", "f" * 64)
    assert project.run().ran == ["a", "b", "other"]
    monkeypatch.delenv("STEPCACHE_KEY")
    monkeypatch.setenv("STEPCACHE_KEY_FILE", str(project.key))
    assert project.run().ran == []


FULL = """
    import errno, os, sys
    import stepcache.store.folder as folder
    from stepcache.cli import main

    real = os.write

    def full(fd, data):
        if fd > 2 and os.readlink(f"/proc/self/fd/{fd}").startswith(os.environ["STEPCACHE_DIR"]):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    os.write = full
    sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_fails_no_run(project: Project) -> None:
    project.write("full.py", FULL)
    project.edit("pipeline_x.py", "list(range(1000))", "list(range(1_000_000))")
    result = project.python("full.py", f"--json={project.path / 'report.json'}")
    assert result.exit_code == 0, result.stdout + result.stderr
    assert "3 ran" in result.lines[-1]
    assert "No space left on device" in result.stdout
    assert "1 warning" in result.lines[-1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_fails_no_run(project: Project) -> None:
    project.run(A)
    for path in [project.cache, *project.cache.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        result = project.run()
        assert (result.exit_code, result.outcomes) == (0, {A: "cached", B: "ran", OTHER: "ran"})
    finally:
        for path in [project.cache, *project.cache.rglob("*")]:
            path.chmod(0o700 if path.is_dir() else 0o600)


# --- a moved project


def test_a_copied_project_keeps_its_hits(project: Project) -> None:
    project.run()
    copy = project.path.parent / "elsewhere" / "copy"
    copy.mkdir(parents=True)
    for name in ("pyproject.toml", "pipeline_x.py"):
        (copy / name).write_bytes((project.path / name).read_bytes())
    assert project.run(f"--rootdir={copy}", str(copy)).ran == []
