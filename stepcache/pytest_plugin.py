"""stepcache's pytest plugin: inert until pipelines are named, by `stepcache_pipelines` or `--stepcache`.

Nothing but pytest is imported before that. What it does then stands in `pytest_pipelines`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stepcache.testing import Project


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--stepcache` and `stepcache_pipelines`."""
    parser.getgroup("stepcache").addoption(
        "--stepcache",
        action="append",
        default=[],
        metavar="PATH",
        help="a pipeline file or a directory of them, whose steps become fixtures and checks tests (repeatable)",
    )
    parser.addini("stepcache_pipelines", "pipeline files or directories, as --stepcache", type="paths", default=[])


def pytest_configure(config: pytest.Config) -> None:
    """Where pipelines are named, put the plugin for them into place."""
    named = [str(path) for path in config.getini("stepcache_pipelines")]
    named += [str(config.invocation_params.dir / each) for each in config.getoption("--stepcache")]
    if named:
        from stepcache.pytest_pipelines import Pipelines

        config.pluginmanager.register(Pipelines(config, list(dict.fromkeys(named))), "stepcache-pipelines")


@pytest.fixture(scope="session")
def stepcache_value(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """A function from a step's name, or a node id, to its value, a fresh copy each time; for fixtures of any scope."""
    pipelines = request.config.pluginmanager.get_plugin("stepcache-pipelines")
    if pipelines is None:
        pytest.fail(
            'stepcache_value: no pipelines are named: set stepcache_pipelines = ["PATH"] in the configuration of '
            "pytest, or give --stepcache=PATH",
            pytrace=False,
        )
    value: Callable[[str], Any] = pipelines.value
    return value


@pytest.fixture
def stepcache_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project in a temporary folder: write pipeline files into it, run stepcache, look at what happened."""
    from stepcache.testing import Project

    project = Project(tmp_path, monkeypatch)
    yield project
    project.close()
