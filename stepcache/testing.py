"""For tests of pipelines and plugins: a project in a temporary folder, and what came of running it.

def test_a_changed_step_runs_again(stepcache_project):
    project = stepcache_project
    project.write("pipeline_x.py", '''
        from stepcache import step

        @step
        def answer():
            return 41
    ''')
    assert project.run().outcomes == {"pipeline_x.py::answer": "ran"}
    project.edit("pipeline_x.py", "41", "42")
    assert project.run().reasons == {"pipeline_x.py::answer": ["code: pipeline_x.py::answer"]}
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from attrs import field

from stepcache.api import Defined
from stepcache.records import frozen

if TYPE_CHECKING:
    from stepcache.snapshots import DataSnapshotExtension


def call(step: Defined[..., Any], /, **given: Any) -> Any:
    """Run the body of one step, and give what a step that takes its value would be given. Nothing of it is stored.

    What is *given* goes to the parameters of those names: values in the place of other steps' and of resources, and
    settings. All others get what they would in a run: values come from the cache, and are made if they are not there.
    A name that is no parameter of the step is a setting or choice of what it needs: `call(score, depth=3)`.

    Raises what the step raises, `UsageError` for a name that nothing has and where variants are left to choose from.
    """
    from stepcache.single import called

    return called(step, given)


@frozen
class Result:
    """What a run came to: its exit status, what it printed, and the JSON report."""

    exit_code: int
    stdout: str
    stderr: str
    report: Mapping[str, Any] = field(factory=dict)

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The rows of the JSON report."""
        return list(self.report.get("nodes", ()))

    @property
    def outcomes(self) -> dict[str, str]:
        """Each node's outcome, by node id."""
        return {row["id"]: row["outcome"] for row in self.nodes}

    @property
    def ran(self) -> list[str]:
        """The names (what stands behind `::`) of the nodes that ran or failed, in order."""
        return [
            row["id"].partition("::")[2]
            for row in self.nodes
            if row["outcome"] in ("ran", "failed", "passed", "warned")
        ]

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why each node ran, as `--why` says it, by node id."""
        return {row["id"]: [_reason(each) for each in row["why"]] for row in self.nodes if row["why"]}

    @property
    def errors(self) -> list[str]:
        """The messages of the collection errors."""
        return [each["message"] for each in self.report.get("errors", ())]

    @property
    def lines(self) -> list[str]:
        """The lines of the standard output."""
        return self.stdout.splitlines()


def _reason(why: Mapping[str, Any]) -> str:
    from stepcache.model import Reason

    shown = why["was"] is not None or why["now"] is not None
    return str(Reason(why["kind"], why["what"], why["was"], why["now"], shown))


class Project:
    """A project in a folder of its own, with a cache of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "project"
        self.path.mkdir()
        self.cache = folder / "cache"
        self.key = folder / "key"
        self.key.write_text("0123456789abcdef" * 4)
        self.key.chmod(0o600)
        self._report = folder / "report.json"
        self._monkeypatch = monkeypatch
        self._before = (dict(sys.modules), list(sys.path), list(sys.meta_path))
        for name in [n for n in os.environ if n.startswith("STEPCACHE_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("STEPCACHE_DIR", str(self.cache))
        monkeypatch.setenv("STEPCACHE_KEY_FILE", str(self.key))
        monkeypatch.chdir(self.path)
        (self.path / "pyproject.toml").write_text("[tool.stepcache]\n")

    def write(self, name: str, text: str = "") -> Path:
        """Write a file; the text loses its common indentation."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace *old* in a file, which must have it, by *new*."""
        path = self.path / name
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise AssertionError(f"{name} does not have {old!r}:\n{text}")
        path.write_text(text.replace(old, new), encoding="utf-8")

    def configure(self, text: str) -> None:
        """Write the `[tool.stepcache]` table of the project's pyproject.toml."""
        self.write("pyproject.toml", "[tool.stepcache]\n" + textwrap.dedent(text))

    def run(self, *args: str, plugins: tuple[object, ...] = ()) -> Result:
        """Run stepcache in this process; a later run sees edited sources."""
        from stepcache.cli import main

        self._report.unlink(missing_ok=True)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*self._arguments(args)], plugins)
        return Result(int(code), out.getvalue(), err.getvalue(), self._read())

    def command(self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 120) -> Result:
        """Run stepcache as a command of its own."""
        self._report.unlink(missing_ok=True)
        done = self._subprocess(["-m", "stepcache", *self._arguments(args)], env, timeout)
        return Result(done.returncode, done.stdout, done.stderr, self._read())

    def python(self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 120) -> Result:
        """Run a script of the project, or `-c` with a text, in a Python of its own."""
        done = self._subprocess([*args], env, timeout)
        return Result(done.returncode, done.stdout, done.stderr)

    @staticmethod
    def _subprocess(args: list[str], env: Mapping[str, str] | None, timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args],
            cwd=Path.cwd(),
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def _arguments(self, args: tuple[str, ...]) -> list[str]:
        given = any(each.startswith("--json") for each in args)
        return [*args] if given else [*args, f"--json={self._report}"]

    def _read(self) -> dict[str, Any]:
        if not self._report.exists():
            return {}
        found: dict[str, Any] = json.loads(self._report.read_text(encoding="utf-8"))
        return found

    def close(self) -> None:
        """Forget the project's modules."""
        modules, path, finders = self._before
        inside = str(self.path) + os.sep
        # All are looked at before one is dropped: the path of a namespace package is asked of its parent.
        added = {name: _place_of(module) for name, module in list(sys.modules.items()) if name not in modules}
        for name, place in added.items():
            if place.startswith(inside):
                del sys.modules[name]
        sys.path[:] = path
        sys.meta_path[:] = finders


def _place_of(module: ModuleType) -> str:
    """The file of a module, or the first folder of a namespace package."""
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else str(next(iter(getattr(module, "__path__", ())), ""))


def __getattr__(name: str) -> object:
    if name == "DataSnapshotExtension":  # syrupy is imported for whoever asks for it
        from stepcache.snapshots import DataSnapshotExtension

        return DataSnapshotExtension
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["DataSnapshotExtension", "Project", "Result", "call"]
