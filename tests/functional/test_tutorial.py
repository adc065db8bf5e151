"""docs/tutorial.md is run as a reader would: its files are written, its commands run, their output is what it shows.

`python tests/functional/test_tutorial.py` writes the output of today into the document.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?(?: (\+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def followed(text: str, folder: Path, environ: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Do what *text* says, in *folder*: each console block with what it shows, and with what came of it."""
    for language, name, more, body in BLOCK.findall(text):
        if name:
            with open(folder / name, "a" if more else "w") as file:
                file.write(f"\n\n{body}" if more else body)
        elif language == "console":
            commands = [line[2:] for line in body.splitlines() if line.startswith("$ ")]
            printed = [f"$ {each}\n{ran(each, folder, environ)}" for each in commands]
            yield body, "\n".join(printed)


def ran(command: str, folder: Path, environ: dict[str, str]) -> str:
    """What *command* prints, without empty lines at its ends and spaces at those of its lines."""
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.strip("\n").splitlines())


def surroundings(folder: Path) -> dict[str, str]:
    (folder / "key").write_text("0123456789abcdef" * 4)
    (folder / "key").chmod(0o600)
    (folder / "project").mkdir()
    own = {"STEPCACHE_DIR": str(folder / "cache"), "STEPCACHE_KEY_FILE": str(folder / "key"), "COLUMNS": "80"}
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("STEPCACHE_", "PYTEST_"))}
    # Plugins that happen to be installed would tell of themselves.
    return {**plain, **own, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": PLUGINS}


PLUGINS = "-p stepcache.pytest_plugin -p syrupy -p no:cacheprovider"


def comparable(text: str) -> str:
    """*text* without times, and without how long rules are, which hangs on them."""
    text = re.sub(r"\d+\.\d+s\b", "0.00s", text)
    return re.sub(r"([=_-])\1{3,}", r"\1\1\1\1", text)


def test_the_tutorial_shows_what_happens(tmp_path: Path) -> None:
    pytest.importorskip("syrupy")
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = [*followed(text, tmp_path / "project", surroundings(tmp_path))]
    assert len(blocks) >= 6
    for shown, printed in blocks:
        assert comparable(shown) == comparable(printed)


def main() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for shown, printed in followed(text, Path(folder, "project"), surroundings(Path(folder))):
            text = text.replace(f"```console\n{shown}```", f"```console\n{printed}```", 1)
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
