"""The key of a node is the same on every Python, but for the ingredient that says which Python it is.

Pythons of other versions are sought as `python3.X` along the search path and in STEPCACHE_TEST_PYTHONS (paths, split as
PATH is); one counts that can import what stepcache depends on.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import stepcache

if TYPE_CHECKING:
    from collections.abc import Callable

VERSIONS = ("3.11", "3.12", "3.13")

# Of these rows some code counts by what it was compiled to, or by a type that only one Python has.
COMPILED = {
    "function made by exec",
    "code given to a function",
    "constants given to a function",
    "defaults given to a function",
    "default that an import changes",
}

# Runs each project in a child, without saying which Python it is, and tells the keys.
KEYS = """
import contextlib, io, json, os, sys
import stepcache.command, stepcache.key.ingredients
from stepcache.cli import main
stepcache.key.ingredients.interpreter = lambda: ()
found = {}
for name, folder in json.load(sys.stdin).items():
    report = folder + ".json"
    if not (child := os.fork()):
        os.chdir(folder)
        sys.path[0] = folder
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = main(["--cache-dir=" + folder + ".cache", "--json=" + report])
        if code:
            sys.stderr.write(out.getvalue())
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, name
    with open(report) as file:
        found[name] = {node["id"]: node["key"] for node in json.load(file)["nodes"]}
print(json.dumps(found))
"""


def python_of(version: str) -> str | None:
    """A Python of that version that has what stepcache needs."""
    if version == ".".join(map(str, sys.version_info[:2])):
        return sys.executable
    given = filter(None, os.environ.get("STEPCACHE_TEST_PYTHONS", "").split(os.pathsep))
    for each in (*given, shutil.which(f"python{version}")):
        test = f"import sys, stepcache.session; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
        if (
            each
            and not subprocess.run([each, "-c", test], env=environment(), capture_output=True, check=False).returncode
        ):
            return each
    return None


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("STEPCACHE_", "PYTHON"))}
    path = str(Path(stepcache.__file__).parent.parent)
    return {**kept, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "STEPCACHE_KEY": "01" * 32}


def of_installed(files: dict[str, str]) -> bool:
    """Does a project import what each Python has a version of its own of?"""
    return any(f"import {name}" in text for text in files.values() for name in ("numpy", "pandas"))


def keys(python: str, folder: Path) -> dict[str, dict[str, str]]:
    """The keys of the table's projects, by row and node."""
    spec = importlib.util.spec_from_file_location("edits", Path(__file__).with_name("edits.py"))
    edits = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(edits)
    projects = {}
    rows = (row for row in edits.ROWS if not row.env and not row.configuration and not of_installed(row.files))
    for number, row in enumerate(rows):
        place = folder / str(number)
        place.mkdir()
        (place / "stepcache.toml").write_text("")
        for name, text in row.files.items():
            if ".zip/" in name:
                edits.put_into_archive(place, name, text)
                continue
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
        projects[row.id] = str(place)
    done = subprocess.run(
        [python, "-c", KEYS], input=json.dumps(projects), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, dict[str, str]]]:
    """The keys under this Python, made when they are first asked for."""
    return functools.cache(lambda: keys(sys.executable, tmp_path_factory.mktemp("here")))


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != ".".join(map(str, sys.version_info[:2]))])
def test_keys_are_those_of_another_python(
    version: str, here: Callable[[], dict[str, dict[str, str]]], tmp_path: Path
) -> None:
    python = python_of(version)
    if python is None:
        pytest.skip(f"no Python {version} with stepcache's dependencies: name one in STEPCACHE_TEST_PYTHONS")

    there = keys(python, tmp_path)

    differing = {row for row, found in here().items() if found != there[row]}
    assert differing - COMPILED == set()
