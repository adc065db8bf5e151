"""The one table of what counts as read, path by path."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from stepcache.key.environment import interpreter, locate, portable, shown
from stepcache.key.rules import Rules

ROOT, HOME = "/srv/project", "/home/user"
SITE = next(path for path in sys.path if path.endswith("-packages"))


def rules(root: str = ROOT, **known: str) -> Rules:
    return Rules(root, environ={"HOME": HOME, **known}, cache=("/srv/store",), ignore=("file:~/.netrc", "env:AWS_*"))


# path, counts when project code reads it, when installed code does, when installed code lists it
TABLE = [
    (f"{ROOT}/data/x.csv", True, True, True),
    ("/srv/other/x.csv", True, True, True),
    ("/tmp/input.csv", True, True, False),
    ("/tmp", True, True, False),
    ("/dev/shm/joblib", False, False, False),
    ("/proc/cpuinfo", False, False, False),
    ("/processes", True, True, True),
    ("/srv/store/blobs/ab", False, False, False),
    (os.path.join(SITE, "pandas/x.py"), False, False, False),
    (os.path.join(os.path.dirname(os.__file__), "json/__init__.py"), False, False, False),
    ("/usr/share/fonts/x.ttf", True, False, False),
    ("/usr/share/zoneinfo/UTC", True, False, False),
    ("/etc/ssl/certs/ca.pem", True, False, False),
    (f"{HOME}/.cache/tool/x", True, False, False),
    (f"{HOME}/.config/tool.ini", True, False, False),
    (f"{HOME}/.netrc", False, False, False),
    (f"{HOME}/data.csv", True, True, True),
]


@pytest.mark.parametrize(("path", "by_project", "by_installed", "listed"), TABLE, ids=[row[0] for row in TABLE])
def test_the_table(path: str, by_project: bool, by_installed: bool, listed: bool) -> None:
    table = rules()
    assert table.file(path, by_project=True) == by_project
    assert table.file(path, by_project=False) == by_installed
    assert table.listing(path, by_project=False) == listed
    assert table.file(path, by_project=False, named=True) == by_project


def test_folders_of_the_user_s_below_the_root_count() -> None:
    assert rules(HOME).file(f"{HOME}/.cache/x", by_project=False)
    assert rules("/tmp/project").listing("/tmp/project/inbox", by_project=False)


def test_an_environment_inside_the_root_is_installed_and_a_root_inside_an_environment_is_not() -> None:
    above = os.path.dirname(os.path.dirname(SITE))
    assert not rules(above).file(os.path.join(SITE, "pandas/x.py"), by_project=True)
    inside = os.path.join(SITE, "src/project")
    assert rules(inside).file(f"{inside}/x.csv", by_project=True)


def test_variables_move_folders() -> None:
    moved = rules(XDG_CACHE_HOME="/big/cache", TMPDIR="/big/tmp")
    assert not moved.file("/big/cache/x", by_project=False)
    assert not moved.listing("/big/tmp", by_project=False)


def test_existence_tests_count_for_project_code_and_below_the_root() -> None:
    table = rules()
    assert table.test(f"{ROOT}/flag", by_project=True)
    assert not table.test(f"{ROOT}/flag", by_project=False)
    assert not any(table.test(path, by_project=True) for path in (ROOT, "/srv", "/"))


def test_patterns_leave_variables_out() -> None:
    assert not rules().variable("AWS_SECRET")
    assert rules().variable("REGION")


def test_only_temporary_files_may_be_gone() -> None:
    assert rules().gone("/tmp/x")
    assert not rules().gone(f"{ROOT}/x")
    assert not rules("/tmp/project").gone("/tmp/project/x")
    assert rules("/tmp/project", TMPDIR="/tmp/project/tmp").gone("/tmp/project/tmp/x")


@pytest.mark.parametrize(
    ("path", "asked", "name", "label"),
    [
        (f"{ROOT}/data/x", "", "root:data/x", "data/x"),
        (f"{ROOT}/data/x", "data/x", "cwd:data/x", "data/x"),
        (f"{ROOT}/data/x", "./data//x", "cwd:data/x", "data/x"),
        (f"{ROOT}/data/x", "../x", "root:data/x", "data/x"),
        (ROOT, "", "root:", "."),
        ("/srv/project2/x", "", "/srv/project2/x", "/srv/project2/x"),
        ("/srv/x", "../x", "cwd:../x", "../x"),
    ],
)
def test_portable_names(path: str, asked: str, name: str, label: str) -> None:
    assert portable(path, ROOT, asked, ROOT) == name
    assert shown(name) == label
    assert os.path.normpath(locate(name, ROOT, ROOT)) == path


def test_a_root_reached_through_a_link_is_the_root(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert portable(str(tmp_path / "real/x"), str(tmp_path / "link")) == "root:x"


def test_the_interpreter_counts_by_its_minor_version_and_the_machine_by_its_type() -> None:
    python, platform = interpreter()
    assert (python.kind, python.shown) == ("python", f'"{sys.version_info[0]}.{sys.version_info[1]}"')
    assert os.uname().machine in str(platform.shown)
