"""What pytest is given where pipelines are named: their steps as fixtures, their checks as items."""

from __future__ import annotations

import fnmatch
import inspect
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stepcache.api import StepcacheWarning
from stepcache.errors import CollectionFailed, StepcacheError
from stepcache.model import Node
from stepcache.pytest_checks import CheckItem
from stepcache.pytest_fixtures import Fixtures, told, value_of
from stepcache.pytest_rewriting import rewriter
from stepcache.served import Served, checks_of, serve
from stepcache.session import Call


class Pipelines:
    """The plugin for the pipelines at some paths."""

    def __init__(self, config: pytest.Config, paths: Sequence[str]) -> None:
        self._config = config
        self._paths = paths
        self._served: Served | None = None
        self._fixtures: Fixtures | None = None
        self._checks: dict[Path, list[Node]] = {}
        if config.args_source == pytest.Config.ArgsSource.TESTPATHS:
            known = [*config.args, *(config.getoption("ignore") or ())]
            config.args.extend(each for each in paths if not _inside(each, known, config))

    @property
    def served(self) -> Served:
        """The pipelines; they are there once the session has started."""
        assert self._served is not None
        return self._served

    def value(self, name: str) -> Any:
        """What the fixture `stepcache_value` is."""
        __tracebackhide__ = True
        return value_of(self.served, name)

    # --- hooks

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Collect the pipelines, but not in a process that only hands out tests to others."""
        if self._config.getoption("dist", "no") != "no" and not hasattr(self._config, "workerinput"):
            return
        try:
            self._served = serve(Call(tuple(self._paths), everything=True), self._config.rootpath, rewriter())
        except CollectionFailed as error:
            raise pytest.UsageError(f"stepcache cannot collect the pipelines:\n{error}") from error
        except StepcacheError as error:
            raise pytest.UsageError(f"stepcache: {error}") from error
        self._fixtures = Fixtures(self.served, self._config)
        self._config.pluginmanager.register(self._fixtures.plugin(), "stepcache-steps")
        for check in checks_of(self.served):
            self._checks.setdefault(self._file_of(check), []).append(check)

    def _file_of(self, check: Node) -> Path:
        path = self.served.session.configuration.root / check.file
        return path if path.is_file() else Path(check.definition.source.path)

    def pytest_report_header(self) -> list[str]:
        """Which pipelines they are."""
        shown = [os.path.relpath(each, self._config.rootpath) for each in self._paths]
        return [f"stepcache_pipelines: {', '.join(shown)}"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makeitem(self, collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
        """Have test functions use what their modules give in the place of steps."""
        if self._fixtures is not None and inspect.isfunction(obj) and collector.istestfunction(obj, name):
            self._fixtures.bring(collector, obj)

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """The checks of a file, unless pytest would make a module of it: then they come by the next hook."""
        if file_path not in self._checks or parent.session.isinitpath(file_path):
            return None
        patterns = self._config.getini("python_files")
        if any(fnmatch.fnmatch(file_path.name, each) for each in patterns):
            return None
        return self._file(file_path, parent)

    def pytest_pycollect_makemodule(self, module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """A pipeline file is no test module: it would be imported a second time."""
        return self._file(module_path, parent) if module_path in self._checks else None

    def _file(self, path: Path, parent: pytest.Collector) -> PipelineFile:
        file = PipelineFile.from_parent(parent, path=path)
        file.begin(self.served, self._checks[path])
        return file

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A check that skips itself is shown where it stands: all frames between are hidden."""
        report = yield
        if isinstance(item, CheckItem) and call.when == "call" and isinstance(report.longrepr, tuple):
            path, line, _ = item.reportinfo()
            report.longrepr = (str(path), (line or 0) + 1, report.longrepr[2])
        return report

    def pytest_sessionfinish(self) -> None:
        """Tear down what is left, and write what was made."""
        served, self._served = self._served, None
        if served is not None:
            served.close()


class PipelineFile(pytest.File):
    """A pipeline file or stepconf.py, and its checks."""

    def begin(self, served: Served, checks: Sequence[Node]) -> None:
        """Say which checks are bound in it."""
        self._served = served
        self._nodes = checks

    def collect(self) -> Iterator[pytest.Item]:
        """An item for each check node."""
        for node in self._nodes:
            name = node.id.partition("::")[2]
            # Given as text, it is the same as what pytest reads back for --lf, variant and all.
            nodeid = f"{self.nodeid}::{name}"
            item = CheckItem.from_parent(self, name=name, nodeid=nodeid, check=node, run=self._run)
            known = {line.partition(":")[0].partition("(")[0].strip() for line in self.config.getini("markers")}
            for mark in node.marks:
                item.extra_keyword_matches.add(mark.name)
                if mark.name in known:
                    item.add_marker(getattr(pytest.mark, mark.name).with_args(*mark.args, **mark.kwargs))
            yield item

    def _run(self, item: pytest.Item, check: Node) -> None:
        __tracebackhide__ = True
        row = told(lambda: self._served.made(check.id))
        if row.outcome == "warned":
            item.warn(StepcacheWarning(f"{check.id}: {row.error}"))


def _inside(path: str, arguments: Iterable[str], config: pytest.Config) -> bool:
    """Does one of the arguments of pytest name the path, or a folder above it?"""
    return any(Path(path).is_relative_to(config.invocation_params.dir / each) for each in arguments)
