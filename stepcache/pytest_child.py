"""The child that runs failed checks once more under pytest, for `stepcache.introspect`.

It is given a folder with `request.json` and writes `told.json` there: what pytest says of each check that fails.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from stepcache.execution.body import Bodies
from stepcache.execution.capture import Capture
from stepcache.execution.engine import Engine
from stepcache.execution.inline import run_work
from stepcache.execution.values import value_of
from stepcache.model import Failure, Miss, Node, Value
from stepcache.pytest_checks import CheckItem
from stepcache.pytest_rewriting import rewriter
from stepcache.replaying import as_given
from stepcache.session import Call, Session, collect, open_session

_ROOT = pytest.StashKey[str]()


class Child:
    """The one plugin of the child's pytest: it collects the checks and keeps what is said of them."""

    def __init__(self, folder: Path, request: Mapping[str, Any]) -> None:
        self._folder = folder
        self._request = request
        self._told: dict[str, dict[str, str]] = {}

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """The checks stand for one file that there is no other reader of."""
        if file_path.suffix != ".stepcache":
            return None
        checks = Checks.from_parent(parent, path=file_path)
        parent.config.stash[_ROOT] = self._request["root"]
        checks.begin(self._folder, self._request)
        return checks

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keep what is said of a check whose assertion fails; any other exception is none that the run has seen."""
        report = yield
        if report.when == "call" and call.excinfo is not None and isinstance(call.excinfo.value, AssertionError):
            summary = call.excinfo.exconly(tryshort=True).partition("\n")[0]
            if summary.startswith("AssertionError: assert "):  # not shortened where the text has quotes in it
                summary = summary.removeprefix("AssertionError: ")
            self._told[item.name] = {"text": report.longreprtext, "summary": summary}
        return report

    def pytest_sessionfinish(self) -> None:
        """Hand over what was said."""
        (self._folder / "told.json").write_text(json.dumps(self._told), encoding="utf-8")


class Checks(pytest.File):
    """The checks of a request, as items whose names are their ids."""

    def begin(self, folder: Path, request: Mapping[str, Any]) -> None:
        """Say which they are, and where what they take lies."""
        self._folder = folder
        self._request = request

    def collect(self) -> Iterator[pytest.Item]:
        """Bind them as the run did, and give them what it gave them."""
        session = open_session(Call(tuple(self._request["arguments"])), os.environ, Path.cwd())
        session.project.loaded.rewriter = rewriter()
        collect(session, caught=False)
        engine = Engine(session.graph, session.policy, session.shelf, session.sight)
        bodies = Bodies(session.shelf, session.sight, Capture("no", None), lambda error: Failure("", "", "", error))
        for check, inputs in self._request["checks"].items():
            for node, told in inputs.items():
                engine.products[node] = self._value(session, told)
            if check in session.graph.nodes:
                node = as_given(session.graph.nodes[check], inputs)
                yield _Check.from_parent(self, name=check, check=node, run=_Run(engine, bodies))

    def _value(self, session: Session, told: Mapping[str, Any]) -> Value:
        value = value_of(told)
        for each in value.contents:
            loose = self._folder / each.digest
            if loose.exists():
                session.shelf.lay(each.digest, loose.read_bytes())
        return value


class _Check(CheckItem):
    """A check whose failure names files as a run does: relative to the root."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """As a run tells it."""
        with chdir(self.session.config.stash[_ROOT]):
            return super().repr_failure(excinfo, style)


class _Run:
    """Runs a check's body with the values that are known."""

    def __init__(self, engine: Engine, bodies: Bodies) -> None:
        self._engine = engine
        self._bodies = bodies

    def __call__(self, item: pytest.Item, check: Node) -> None:
        __tracebackhide__ = True
        failure = self._of_elements(check) if check.mapped else self._of_one(check)
        if failure is not None and failure.exception is not None:
            raise failure.exception

    def _of_one(self, check: Node) -> Failure | None:
        return self._bodies.run(self._engine.work(check, Miss("", ()))).failure

    def _of_elements(self, check: Node) -> Failure | None:
        """The failure of the first element for which it fails."""
        self._engine.by_elements(check, Miss("", ()))
        mapped = self._engine.mapped[check.id]
        while mapped.waits and not mapped.failures:
            done = run_work(self._engine.batch(check, Miss("", ())), self._bodies)
            self._engine.mapper.take(mapped, done)
        return next(iter(mapped.failures.values()), None)


def main() -> None:
    """Run the checks of the folder that is the one argument."""
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    sys.path[:] = request["path"]
    more = ["--showlocals"] if request["showlocals"] else []
    pytest.main(
        [
            f"--config-file={folder / 'pytest.ini'}",
            f"--rootdir={folder}",
            "-pno:cacheprovider",
            f"--tb={request['style']}",
            f"--verbosity={max(0, request['verbosity'])}",
            *more,
            str(folder / "checks.stepcache"),
        ],
        plugins=[Child(folder, request)],
    )
