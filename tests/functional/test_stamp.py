"""A run with nothing to do is answered by its stamp: when it is, and what makes it look again."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from stepcache.testing import Project

# What a run that is answered by its stamp may load of stepcache.
LIGHT = {
    "stepcache", "stepcache.cli", "stepcache.stamp", "stepcache.wholefile", "stepcache.store", "stepcache.store.seal",
    "stepcache.store.stamps", "stepcache.store.connection", "stepcache.store.counters", "stepcache.store.schema",
}  # fmt: skip
SLOW = {
    "attr", "attrs", "argparse", "blake3", "hashlib", "importlib.metadata", "inspect", "json", "pathlib", "platformdirs",
    "pluggy", "re", "shlex", "tomllib", "typing", "zstandard", "pipeline_x", "helper",
}  # fmt: skip

PIPELINE = """
    from helper import twice
    from stepcache import step

    @step
    def work(size=1):
        with open("data.txt") as file:
            return twice(size) + len(file.read())

    @step
    def after(work):
        return work + 1

    def check_work(work):
        assert work > 0
"""


class Ran(NamedTuple):
    """What a run told, and whether it was the stamp's answer."""

    outcomes: dict[str, str]
    stamped: bool
    stdout: str
    loaded: set[str]


def run(project: Project, *args: str, code: int = 0) -> Ran:
    report = project.cache.parent / "report.json"
    done = project.python("-X", "importtime", "-m", "stepcache", f"--json={report}", *args)
    assert done.exit_code == code, done.stdout + done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    nodes = json.loads(report.read_text())["nodes"] if report.exists() else []
    outcomes = {row["id"].partition("::")[2]: row["outcome"] for row in nodes}
    return Ran(outcomes, "stepcache.command" not in loaded, done.stdout, loaded)


def long_way(project: Project, *args: str) -> Ran:
    """Run where no stamp is left to answer."""
    (path,) = project.cache.glob("entries-*.db")
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM stamps")
    connection.commit()
    connection.close()
    ran = run(project, *args)
    assert not ran.stamped
    return ran


def settle(project: Project, *args: str) -> Ran:
    """Run until a stamp answers."""
    for _ in range(5):
        ran = run(project, *args)
        if ran.stamped:
            return ran
        time.sleep(0.05)
    raise AssertionError("no stamp was left")


@pytest.fixture
def project(stepcache_project: Project) -> Project:
    stepcache_project.write("pipeline_x.py", PIPELINE)
    stepcache_project.write("helper.py", "def twice(x):\n    return 2 * x\n")
    stepcache_project.write("data.txt", "abc")
    return stepcache_project


ALL = dict.fromkeys(("work", "after", "check_work"), "cached")


def test_it_loads_nothing_but_the_stamp(project: Project) -> None:
    ran = settle(project)
    assert ran.outcomes == ALL
    assert {name for name in ran.loaded if name.partition(".")[0] == "stepcache"} == LIGHT
    # `python -m` itself loads importlib.util and with it contextlib.
    assert ran.loaded & SLOW == set()


def test_it_tells_what_the_run_told(project: Project) -> None:
    report = project.cache.parent / "report.json"
    run(project, "-v")
    report.unlink()
    whole = long_way(project, "-v")
    told = json.loads(report.read_text())
    stamped = settle(project, "-v")
    again = json.loads(report.read_text())
    assert stamped.stdout.splitlines()[:-1] == whole.stdout.splitlines()[:-1]
    assert "pipeline_x.py::work CACHED" in stamped.stdout
    last, before = stamped.stdout.splitlines()[-1], whole.stdout.splitlines()[-1]
    assert len(last) == len(before) == 80
    assert last.strip("= ").startswith("3 cached in 0.")
    assert told | {"seconds": 0} == again | {"seconds": 0}
    assert 0 < again["seconds"] < 10


RICH = """
    import subprocess, time, warnings
    from stepcache import Each, mark, step

    @step
    def work(size=1):
        time.sleep(0.06)
        print("worked")
        with open("data.txt") as file:
            return size + len(file.read())

    @step(outputs=["low", "high"])
    def halves(work):
        return 0, work

    @step
    def items():
        return {"a": 1, "b": 2, "c": 2}

    @step
    def each(items: Each):
        time.sleep(0.03)
        return [items] * 1000

    @step
    def child(high):
        warnings.warn("so it is")
        return subprocess.run(["cat", "data.txt"], capture_output=True).returncode

    @step
    @mark.skip("not today")
    def later():
        return 1

    @step
    def behind(later):
        return 1

    def check_work(work):
        assert work > 0

    def check_each(each: Each):
        assert each
"""


@pytest.mark.parametrize("pipeline", [PIPELINE, RICH], ids=["plain", "rich"])
@pytest.mark.parametrize("args", [["-v"], ["-vv", "--why"], ["--color=yes", "-rA"], ["-q", "-rP", "--durations=5"]])
def test_it_tells_what_the_long_way_tells(project: Project, pipeline: str, args: list[str]) -> None:
    """The first run does all, and leaves the stamp."""
    project.write("pipeline_x.py", pipeline)
    report = project.cache.parent / "report.json"
    assert "ran" in run(project, *args).outcomes.values()
    stamped = run(project, *args)
    told = json.loads(report.read_text())
    whole = long_way(project, *args)
    again = json.loads(report.read_text())
    assert stamped.stamped
    assert set(stamped.outcomes.values()) <= {"cached", "skipped"}
    assert told | {"seconds": 0} == again | {"seconds": 0}
    assert 0 < told["seconds"] < 10
    assert stamped.stdout.splitlines()[:-1] == whole.stdout.splitlines()[:-1]
    last, before = stamped.stdout.splitlines()[-1], whole.stdout.splitlines()[-1]
    assert len(last) == len(before)
    assert last.partition(" in ")[0] == before.partition(" in ")[0]
    assert last.partition("s (")[2].rstrip("= ") == before.partition("s (")[2].rstrip("= ")
    assert run(project, *args).stamped, "the long way leaves it, too"


def test_an_edit_leaves_a_stamp_of_what_is_then(project: Project) -> None:
    settle(project)
    project.edit("helper.py", "2 * x", "3 * x")
    assert run(project).outcomes["work"] == "ran"
    ran = run(project)
    assert (ran.stamped, ran.outcomes) == (True, ALL)
    project.edit("data.txt", "abc", "abcd")
    ran = run(project)
    assert (ran.stamped, ran.outcomes["work"]) == (False, "ran")


# What the last body does, and what runs next; the long way is taken, which finds that.
DISTURBING = {
    "a file that was read is gone": (
        "if os.path.exists('../data/data.txt'): os.unlink('../data/data.txt')",
        ["work", "linked"],
    ),
    "a file that was read is another": ("open('../data/data.txt', 'w').write('abcdef')", ["work", "linked", "late"]),
    "an older file is put in its place": (
        "if os.path.exists('../data/older.txt'): os.rename('../data/older.txt', '../data/data.txt')",
        ["work", "linked", "late"],
    ),
    "a link that was followed leads elsewhere": (
        "os.unlink('../data/link'); os.symlink('older.txt', '../data/link')",
        ["linked", "late"],
    ),
    "a file that was missing is there": ("open('../data/extra.txt', 'w').close()", ["asked", "late"]),
    "a module of the project": ("open('helper.py', 'a').write('# more\\n')", []),
    "another pipeline file": (
        "open('pipeline_y.py', 'w').write('from stepcache import step\\n@step\\ndef more():\\n    return 1\\n')",
        ["more"],
    ),
    "a variable that was read": ("library.put('REGION', 'north')", ["after"]),
}


@pytest.mark.parametrize("what", DISTURBING)
def test_what_a_body_has_changed_is_looked_at(project: Project, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    statement, runs_next = DISTURBING[what]
    monkeypatch.setenv("PYTHONPATH", str(project.path.parent / "site"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # or that folder changes
    project.write("../site/library.py", "import os\n\n\ndef put(name, value):\n    os.environ[name] = value\n")
    project.write("../site/library-1.0.dist-info/METADATA", "Name: library\nVersion: 1.0\n")
    project.write("../site/library-1.0.dist-info/RECORD", "library.py,,\n")
    project.write("../data/older.txt", "older")
    project.write("../data/data.txt", "abc")
    (project.path / "../data/link").symlink_to("data.txt")
    project.write(
        "pipeline_x.py",
        f"""
        import os
        import library
        from helper import twice
        from stepcache import step

        @step
        def work():
            with open("../data/data.txt") as file:
                return twice(len(file.read()))

        @step
        def linked():
            with open("../data/link") as file:
                return file.read()

        @step
        def asked():
            return os.path.exists("../data/extra.txt")

        @step
        def late(work, linked, asked):
            {statement}
            return 1

        @step
        def after(late):
            return os.environ.get("REGION")
        """,
    )
    every = ["work", "linked", "asked", "late", "after"]
    assert run(project).outcomes == dict.fromkeys(every, "ran")
    gone = what == "a file that was read is gone"
    ran = run(project, code=int(gone))
    assert not ran.stamped
    expected = dict.fromkeys(every, "cached") | dict.fromkeys(runs_next, "failed" if gone else "ran")
    assert ran.outcomes == expected | (dict.fromkeys(["late", "after"], "blocked") if gone else {})


def test_the_cache_may_be_made_inside_the_project(project: Project) -> None:
    first = run(project, "--cache-dir=kept")
    assert "ran" in first.outcomes.values()
    assert run(project, "--cache-dir=kept").stamped
    project.write("pipeline_y.py", "from stepcache import step\n@step\ndef more():\n    return 1\n")
    ran = run(project, "--cache-dir=kept")
    assert (ran.stamped, ran.outcomes) == (False, ALL | {"more": "ran"})


def test_each_way_of_telling_has_a_stamp_of_its_own(project: Project) -> None:
    quiet = settle(project, "-q")
    assert quiet.stdout.splitlines()[-1].startswith("3 cached in ")
    assert "\x1b[" in settle(project, "--color=yes").stdout
    assert "\x1b[" not in settle(project, "-rA", "--durations=3").stdout
    assert settle(project, "-q").stdout.splitlines()[:-1] == quiet.stdout.splitlines()[:-1]


def test_json_on_standard_output(project: Project) -> None:
    for _ in range(5):
        done = project.python("-X", "importtime", "-m", "stepcache", "--json=-")
        if "stepcache.command" not in done.stderr:
            break
    assert "stepcache.command" not in done.stderr
    assert [row["outcome"] for row in json.loads(done.stdout)["nodes"]] == ["cached"] * 3
    assert "3 cached in " in done.stderr


def test_nothing_is_written(project: Project) -> None:
    settle(project)

    def state() -> dict[str, tuple[int, int]]:
        found = [path for path in (*project.cache.rglob("*"), project.cache) if path.exists()]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}

    before = state()
    assert run(project).stamped
    assert state() == before


def test_a_cache_folder_inside_the_project_is_passed_over(project: Project) -> None:
    project.write("kept/pipeline_left.py", "raise AssertionError('who looks for pipelines in the cache?')")

    assert settle(project, "--cache-dir=kept").stamped


# Steps after which the next run has something to do, or to tell.
NEVER_DONE = {
    "is not cached": ("@step(enable_cache=False)", "return 1", "ran"),
    "cannot be stored": ("@step", "return lambda: 1", "ran"),
    "a check that warns": ("@check(warn=True)", "assert False", "warned"),
    "a body that skips": ("@step", "skip('no')", "skipped"),
}


@pytest.mark.parametrize("what", NEVER_DONE)
def test_a_run_after_which_there_is_something_to_do_leaves_none(project: Project, what: str) -> None:
    decorator, body, outcome = NEVER_DONE[what]
    more = f"""
    from stepcache import check, skip

    {decorator}
    def always():
        {body}
    """
    project.write("pipeline_x.py", PIPELINE + more)
    for _ in range(3):
        ran = run(project)
        assert not ran.stamped
    assert ran.outcomes == ALL | {"always": outcome}


def test_warnings_of_imports_are_told_by_each_run(project: Project) -> None:
    project.edit("helper.py", "def", "import warnings\nwarnings.warn('old helper')\n\n\ndef")
    for _ in range(4):
        assert "old helper" in run(project).stdout


EDITS = {
    "a pipeline file": ("pipeline_x.py", "work + 1", "work + 2", {"after": "ran"}),
    "a helper": ("helper.py", "2 * x", "3 * x", {"work": "ran", "after": "ran", "check_work": "passed"}),
    "data": ("data.txt", "abc", "abd", {"work": "ran"}),
    "a comment": ("helper.py", "2 * x", "2 * x  # twice", {}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_seen_and_undone(project: Project, edit: str) -> None:
    name, old, new, changed = EDITS[edit]
    settle(project)
    status = (project.path / name).stat()
    project.edit(name, old, new)
    if len(old) == len(new):  # not even the time tells
        os.utime(project.path / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    ran = run(project)
    assert not ran.stamped
    assert ran.outcomes == ALL | changed
    assert settle(project).outcomes == ALL
    project.edit(name, new, old)
    ran = run(project)
    assert (ran.stamped, ran.outcomes) == (False, ALL)


def test_the_same_content_written_anew_is_the_same(project: Project) -> None:
    settle(project)
    for name in ("pipeline_x.py", "helper.py", "data.txt"):
        path = project.path / name
        text = path.read_text()
        path.unlink()
        path.write_text(text)
    ran = run(project)
    assert (ran.stamped, ran.outcomes) == (True, ALL)


def _new(name: str, text: str):
    def change(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        project.write(name, text)

    return change


def _variable(name: str, value: str):
    def change(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, value)

    return change


def _key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.key.write_text("f" * 64)


def _open_key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.key.chmod(0o666)


def _open_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.cache.chmod(0o777)


def _no_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(project.cache)


def _evicted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project.python("-m", "stepcache", "--cache-gc=0").exit_code == 0


def _cleared(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project.python("-m", "stepcache", "--cache-clear", "--co").exit_code == 0


def _used_otherwise(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project.python("-m", "stepcache", "-P", "size=5").exit_code == 0


def _plugin(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    site = project.path.parent / "site"
    site.mkdir()
    (site / "louder.py").write_text("def stepcache_report_header():\n    return 'louder is here'\n")
    info = site / "louder-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[stepcache]\nlouder = louder\n")
    (info / "METADATA").write_text("Name: louder\nVersion: 1.0\n")


def _damaged(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    _change_stamps(project, lambda row: row[:40] + bytes([row[40] ^ 1]) + row[41:])


def _change_stamps(project: Project, change) -> None:
    (path,) = project.cache.glob("entries-*.db")
    connection = sqlite3.connect(path)
    for number, head in connection.execute("SELECT id, head FROM stamps").fetchall():
        connection.execute("UPDATE stamps SET head = ? WHERE id = ?", (change(head), number))
    connection.commit()
    connection.close()


DOUBTS = {
    "a stepconf.py": (_new("stepconf.py", ""), ALL),
    "another pipeline file": (
        _new("sub/pipeline_y.py", "from stepcache import step\n@step\ndef more():\n    return 1\n"),
        ALL | {"more": "ran"},
    ),
    "configuration": (_new("stepcache.toml", "[params]\nsize = 2\n"), None),
    "a variable of the environment": (_variable("REGION", "north"), ALL),
    "options in the environment": (_variable("STEPCACHE_ADDOPTS", "-P size=7"), None),
    "the width of the terminal": (_variable("COLUMNS", "120"), ALL),
    "another key": (_key, None),
    "a key that is open to others": (_open_key, None),
    "a cache that others can write": (_open_folder, None),
    "a removed cache": (_no_folder, None),
    "eviction": (_evicted, None),
    "cleared entries": (_cleared, None),
    "other entries were used last": (_used_otherwise, ALL),
    "a plugin": (_plugin, ALL),
    "a damaged stamp": (_damaged, ALL),
    "a stamp that is cut short": (lambda project, _: _change_stamps(project, lambda row: row[:20]), ALL),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_the_least_doubt_and_all_is_looked_at(project: Project, monkeypatch: pytest.MonkeyPatch, doubt: str) -> None:
    monkeypatch.setenv("PYTHONPATH", str(project.path.parent / "site"))
    settle(project)
    change, expected = DOUBTS[doubt]
    change(project, monkeypatch)
    ran = run(project)
    assert not ran.stamped
    if expected is not None:
        assert ran.outcomes == expected
    else:
        assert set(ran.outcomes.values()) & {"ran", "passed"}
    if doubt == "a plugin":
        assert "louder is here" in ran.stdout
        assert not run(project).stamped, "its hook is called in every run"
        shutil.rmtree(project.path.parent / "site")
        assert "louder is here" not in run(project).stdout


def test_a_module_that_comes_to_hide_another(project: Project) -> None:
    settle(project)
    project.write("helper/__init__.py", "def twice(x):\n    return 9 * x\n")
    assert "hides it" in run(project, code=2).stdout


def test_another_directory_is_another_question(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(project)
    (project.path / "sub").mkdir()
    monkeypatch.chdir(project.path / "sub")
    assert run(project, code=5).outcomes == {}


def test_results_expire(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step(expires="8s")
        def work():
            return 1
        """,
    )
    assert run(project).outcomes == {"work": "ran"}
    began = time.monotonic()
    assert settle(project).outcomes == {"work": "cached"}
    time.sleep(max(0, began + 8.1 - time.monotonic()))
    ran = run(project)
    assert (ran.stamped, ran.outcomes) == (False, {"work": "ran"})


@pytest.mark.parametrize(
    "line",
    [
        "import time\nSTARTED = time.time()",
        "from datetime import datetime as when\nSTARTED = when.now()",
        "import random\nif random.random() > 2:\n    pass",
        "import os\ndef name():\n    return os.getpid()\n\nOWN = name()",
        "import subprocess\nsubprocess.run(['true'])",
        "import uuid\nclass Run:\n    id = uuid.uuid4()",
    ],
)
def test_an_import_that_is_never_the_same_is_made_in_every_run(project: Project, line: str) -> None:
    project.write("helper.py", f"{line}\n\ndef twice(x):\n    return 2 * x\n")
    for _ in range(4):
        ran = run(project)
    assert (ran.stamped, ran.outcomes) == (False, ALL)


def test_a_folder_that_is_listed(project: Project) -> None:
    project.write("data/one.csv", "1")
    project.write(
        "pipeline_x.py",
        """
        import os
        from stepcache import Dir, step

        @step
        def listed():
            return sorted(os.listdir("data"))

        @step
        def tracked(folder=Dir("data", glob="*.csv")):
            return [path.read_text() for path in folder.glob("*.csv")]

        @step(reads=["data/*.csv"])
        def declared():
            return 1
        """,
    )
    settle(project)
    project.write("data/two.csv", "2")
    ran = run(project)
    assert (ran.stamped, set(ran.outcomes.values())) == (False, {"ran"})
    settle(project)
    project.edit("data/two.csv", "2", "3")
    ran = run(project)
    assert (ran.stamped, ran.outcomes) == (False, {"listed": "cached", "tracked": "ran", "declared": "ran"})


def test_a_file_that_was_not_there(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        import os
        from stepcache import step

        @step
        def asked():
            return os.path.exists("extra.txt")
        """,
    )
    settle(project)
    project.write("extra.txt", "")
    ran = run(project)
    assert (ran.stamped, ran.outcomes) == (False, {"asked": "ran"})


def test_what_is_read_at_import(project: Project) -> None:
    project.write("values.txt", "1 2")
    project.write(
        "pipeline_x.py",
        """
        from pathlib import Path
        from stepcache import parametrize, step

        @step
        @parametrize("value", Path(__file__).with_name("values.txt").read_text().split())
        def each(value):
            return value
        """,
    )
    settle(project)
    project.edit("values.txt", "1 2", "1 3")
    ran = run(project)
    assert (ran.stamped, ran.outcomes) == (False, {"each[1]": "cached", "each[3]": "ran"})


def test_a_saved_file_is_put_back(project: Project) -> None:
    project.write(
        "pipeline_x.py",
        """
        from stepcache import step

        @step(save_to="//out/report.txt")
        def report():
            return "all is well"
        """,
    )
    settle(project)
    saved = project.path / "out/report.txt"
    saved.unlink()
    assert (run(project).stamped, saved.read_text()) == (False, "all is well")
    settle(project)
    saved.write_text("edited")
    for _ in range(3):
        ran = run(project)
        assert (ran.stamped, saved.read_text()) == (False, "edited")
        assert "report.txt" in ran.stdout, "the warning is told in each run"


def test_a_failure_in_between_is_not_forgotten(project: Project) -> None:
    """`--lf` asks for what failed in the last run: after a run that was all well, for nothing."""
    project.write("bad/pipeline_bad.py", "from stepcache import step\n@step\ndef bad():\n    raise ValueError\n")
    settle(project, "pipeline_x.py")
    run(project, "bad", code=1)
    assert not run(project, "pipeline_x.py").stamped
    assert run(project, "--lf", code=1).outcomes == ALL | {"bad": "failed"}


def test_a_second_run_in_one_process_sees_edits(project: Project) -> None:
    script = """
        import sys, time
        from pathlib import Path
        from stepcache.cli import main
        for old, new in (("+ 1", "+ 2"), ("+ 2", "+ 3")):
            main(["-v"])
            path = Path("pipeline_x.py")
            path.write_text(path.read_text().replace(old, new))
        main(["-v"])
    """
    project.write("script.py", script)
    settle(project, "-v")
    done = project.python("script.py")
    assert done.stdout.count("pipeline_x.py::after RAN") == 2


# --- from Python

ASKING = """
    import json, os, shutil, sys
    from pathlib import Path
    import stepcache

    run = stepcache.run("pipeline_x.py", params={"work.size": 2})
    told = {row["id"].partition("::")[2]: row["outcome"] for row in run.nodes}
    stamped = "stepcache.runs" not in sys.modules
    exec(sys.stdin.read())
    print(json.dumps([told, stamped, run["after"], run.why("after"), run.exit_code, repr(run), *run.warnings]))
"""


def asking(project: Project, meanwhile: str = "") -> tuple[dict[str, str], bool, list[object]]:
    """What `run()` told in a process of its own, whether its stamp did, and what it gave after *meanwhile*."""
    command = [sys.executable, "asking.py"]
    done = subprocess.run(command, cwd=project.path, input=meanwhile, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told, stamped, *given = json.loads(done.stdout)
    return told, stamped, given


@pytest.fixture
def asked(project: Project) -> Project:
    """A project that a script asks for its values by `run()`, answered by a stamp."""
    project.write("asking.py", ASKING)
    for _ in range(5):
        told, stamped, given = asking(project)
        if stamped:
            assert told == ALL
            assert given == [8, [], 0, "<Run: 3 cached>"]
            return project
        time.sleep(0.05)
    raise AssertionError("no stamp was left")


def test_run_from_python_sees_an_edit(asked: Project) -> None:
    asked.edit("helper.py", "2 * x", "3 * x")
    told, stamped, given = asking(asked)
    assert (stamped, told["work"], given[0]) == (False, "ran", 10)


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param("p = Path('helper.py'); p.write_text(p.read_text().replace('2 *', '3 *'))", id="edited"),
        pytest.param("shutil.rmtree(os.environ['STEPCACHE_DIR'])", id="cache removed"),
        pytest.param("Path('pipeline_x.py').touch()", id="nothing that counts"),
    ],
)
def test_values_are_of_the_run_that_was_told(asked: Project, meanwhile: str) -> None:
    told, stamped, given = asking(asked, meanwhile)
    assert (told, stamped) == (ALL, True)
    assert given[0] == 8


def test_the_command_and_a_script_have_stamps_of_their_own(asked: Project) -> None:
    assert not run(asked, "pipeline_x.py", "-P", "work.size=2").stamped
    assert asking(asked)[1]
