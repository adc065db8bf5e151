"""stepcache's pytest plugin: the fixtures for testing pipelines and plugins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stepcache.testing import Project


@pytest.fixture
def stepcache_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project in a temporary folder: write pipeline files into it, run stepcache, look at what happened."""
    from stepcache.testing import Project

    project = Project(tmp_path, monkeypatch)
    yield project
    project.close()
