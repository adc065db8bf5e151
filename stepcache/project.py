"""A project as this process sees it: kept between runs, so that a second run sees what has changed since the first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepcache.collect.load import ProjectModules
from stepcache.key.look import Look, now
from stepcache.key.modules import Modules
from stepcache.key.observe import Observer
from stepcache.key.rules import Rules
from stepcache.key.stains import Stains
from stepcache.key.usages import Usages
from stepcache.model import Observation

_projects: dict[str, Project] = {}


class Project:
    """The modules of one root, with what each was seen to read while it was imported, and what steps left in it."""

    def __init__(self, root: Path, norecursedirs: tuple[str, ...]) -> None:
        self.modules = Modules(root, norecursedirs)
        self.loaded = ProjectModules(str(root), self.modules.is_project)
        self.loaded.watch = self._watch_import
        self.loaded.reads_hold = self._reads_hold
        self.loaded.finds_modules = self._finds_modules
        self.stains = Stains(self.modules.is_project, Usages(self._sources))
        self.loaded.executed = self.stains.imported
        self.loaded.forgotten = self.stains.forget
        self.observer = Observer(self.modules.is_project)
        self.import_reads: dict[str, tuple[Observation, ...]] = {}
        self.import_notices: dict[str, tuple[str, ...]] = {}
        self._look: Look | None = None
        self._rules: Rules | None = None

    def prepare(self, look: Look, rules: Rules) -> None:
        """Say with what imports are looked at from now on."""
        self._look, self._rules = look, rules

    @contextmanager
    def _watch_import(self, name: str) -> Iterator[None]:
        with self.observer.watch_import(name) as watch:
            yield
        if self._look is not None and self._rules is not None:
            with self.observer.paused():
                self.loaded.given.note(name, watch.variables_set())
            seen = watch.conclude(self._look, self._rules)
            self.import_reads[name] = seen.observations
            self.import_notices[name] = seen.notices

    def _sources(self) -> Iterator[tuple[str, bytes]]:
        for name, each in self.loaded.loaded.items():
            yield name, each.source

    def _reads_hold(self, name: str) -> bool:
        look = self._look
        if look is None:
            return True

        def holds(each: Observation) -> bool:
            return now(each, look) == each.digest

        return all(map(holds, self.import_reads.get(name, ()))) and self.stains.hold(name, holds)

    def _finds_modules(self, name: str) -> bool:
        return any(each.kind in ("dir", "names", "module") for each in self.import_reads.get(name, ()))


def project_of(root: Path, norecursedirs: tuple[str, ...]) -> Project:
    """The project of that root in this process."""
    key = os.fspath(root)
    if key not in _projects:
        _projects[key] = Project(root, norecursedirs)
    return _projects[key]
