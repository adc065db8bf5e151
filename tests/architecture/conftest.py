from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

REPOSITORY = Path(__file__).parents[2]


@frozen
class Example:
    """A copy of an example in an empty folder, with a cache and a sealing key of its own."""

    folder: Path
    environment: dict[str, str]

    def run(self, *args: str, code: int = 0) -> str:
        """What the command prints, run in the folder as a user would; it must end with the status *code*."""
        # The command itself, and not `python -m stepcache`, which puts the working directory on sys.path.
        return self._started(str(Path(sys.executable).with_name("stepcache")), *args, code=code)

    def python(self, *args: str, code: int = 0) -> str:
        """What Python prints with these arguments."""
        return self._started(sys.executable, *args, code=code)

    def _started(self, *command: str, code: int) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def report(self, *args: str, code: int = 0) -> dict[str, Any]:
        """The JSON report of a run."""
        self.run(*args, "--json=report.json", code=code)
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        return report

    def outcomes(self, *args: str, code: int = 0) -> dict[str, str]:
        """Each node's outcome, by the id after its file."""
        nodes = self.report(*args, code=code)["nodes"]
        return {node["id"].partition("::")[2]: node["outcome"] for node in nodes}

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one place in a file."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Example:
    """The example that the test's mark `parametrize("example", ["NAME"], indirect=True)` names."""
    folder = tmp_path / "project"
    shutil.copytree(REPOSITORY / "examples" / request.param, folder, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STEPCACHE_")}
    environment |= {
        "STEPCACHE_DIR": str(tmp_path / "cache"),
        "STEPCACHE_KEY": "the key of the examples' tests, long enough",
        "PYTHONPATH": "",
        "COLUMNS": "100",
        "OMP_NUM_THREADS": "1",  # scikit-learn's threads spin while they wait for a processor that others use
    }
    return Example(folder, environment)
