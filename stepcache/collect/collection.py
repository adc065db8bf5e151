"""From the asked files to scopes: each file imported, with the stepconf.py files and modules that hold for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType

from attrs import evolve, field

from stepcache.collect.again import forget_changed
from stepcache.collect.broken import assertless_problem, import_problem, parting_problem, unreadable_problem
from stepcache.collect.discover import STEPCONF, Asked, stepconf_chain
from stepcache.collect.harvest import (
    Level,
    harvest,
    identity,
    placed,
    portable_name,
    replaced_problems,
    signature_problems,
    unfound,
)
from stepcache.collect.imports import hidden_siblings, replaced_definitions
from stepcache.collect.load import ProjectModules, has_asserts
from stepcache.collect.search import look_anew, same_file
from stepcache.collect.snapshot import Snapshot
from stepcache.model import Definition, Output, Problem, Source, is_asleep
from stepcache.records import define


@define
class Collection:
    """What collection found.

    `levels` holds every module that defines something, by path; `chains` the stepconf.py files of each pipeline
    file, the nearest first; `asked` what was asked for, by path, in order.
    """

    asked: dict[str, Asked] = field(factory=dict)
    levels: dict[str, Level] = field(factory=dict)
    chains: dict[str, tuple[str, ...]] = field(factory=dict)
    plugins: Level = field(factory=lambda: Level("", "", "", {}))
    problems: list[Problem] = field(factory=list)


class Collector:
    """Imports pipeline files and what belongs to them."""

    def __init__(
        self,
        modules: ProjectModules,
        is_pipeline_file: Callable[[str], bool],
        printed: Callable[[], Output] = Output,
        snapshot: Snapshot | None = None,
    ) -> None:
        """*printed* gives what was printed since it was asked last. What *snapshot* knows is not imported."""
        self._modules = modules
        self._is_pipeline_file = is_pipeline_file
        self._printed = printed
        self._snapshot = snapshot
        self._collection = Collection()
        self._failed: set[str] = set()
        self._unfound: list[tuple[Definition, Problem]] = []
        """What no variable of its file holds."""
        self._main: str | None = None

    def collect(
        self,
        asked: Sequence[Asked],
        unreadable: Mapping[str, OSError],
        offered: Iterable[Definition] = (),
        main: str | None = None,
    ) -> Collection:
        """Import the asked files with what belongs to them; *offered* are the steps of plugins.

        *unreadable* are folders in which there may be more. *main* is the path that stands for `__main__` where that
        has no file, as in a notebook.
        """
        self._main = main
        found = self._collection
        found.problems.extend(unreadable_problem(path, self._modules.root, error) for path, error in unreadable.items())
        own = {d.name: placed(d, self._modules.root) for d in offered}
        found.plugins = Level("", "", "", own)
        look_anew()
        forget_changed(self._modules)
        for each in asked:
            found.asked[each.path] = each
            self._file(each.path)
            for file in each.pipeline_files():
                path = os.path.join(self._modules.root, file)
                if os.path.isfile(path):
                    self._file(path)
        todo = list(found.levels.values())
        while todo:
            level = todo.pop()
            for definition in (*level.own.values(), *level.checks):
                added = self._defining_module(definition)
                if added is not None:
                    todo.append(added)
        bound = {identity(each) for level in found.levels.values() for each in (*level.own.values(), *level.checks)}
        found.problems.extend(problem for each, problem in self._unfound if identity(each) not in bound)
        return found

    def stepconfs(self) -> list[ModuleType]:
        """The stepconf.py modules that were imported, the outermost first."""
        paths = [p for p in self._collection.levels if os.path.basename(p) == STEPCONF]
        names = [self._modules.register(p) for p in sorted(paths, key=lambda p: p.count(os.sep))]
        return [sys.modules[n] for n in names if n in sys.modules]

    def _file(self, path: str) -> None:
        if path in self._collection.chains:
            return
        chain = stepconf_chain(path, self._modules.root)
        self._collection.chains[path] = tuple(chain)
        # The outermost first, as pytest loads conftest.py files: a nearer one may rely on what an outer one sets up.
        for each in (*reversed(chain), path):
            self._module(each)

    def _module(self, path: str) -> None:
        if path in self._collection.levels or path in self._failed:
            return
        if path == self._main:
            self._add_main(path)
            return
        if self._snapshot is not None and self._is_known(path, self._modules.register(path)):
            return
        root = self._modules.root
        shown = portable_name(root, path, path)
        problems = [parting_problem(shown)] if "::" in shown else list(self._hidden(path, shown))
        module = None
        if not problems:
            self._printed()
            try:
                module = self._modules.load(path)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - the user's file may raise anything
                problem = evolve(import_problem(path, shown, root, error), output=self._printed())
                problems = [*self._hidden(path, shown)] or [problem]
        if module is None:
            self._failed.add(path)
            self._collection.problems.extend(problems)
            return
        level, known = self._add(module, path), self._modules.loaded.get(module.__name__)
        self._unfound += unfound(level, module, known.made if known is not None else (), root)

    def _is_known(self, path: str, module: str) -> bool:
        """Is the level of that file known without importing it? Then it is taken."""
        known = self._snapshot.level(path, module) if self._snapshot is not None else None
        if known is not None:
            self._collection.levels[path] = known
        return known is not None

    def _add_main(self, path: str) -> None:
        """Take `__main__` as it is now, its definitions as if they stood in the one file *path*."""
        level = self._add(sys.modules["__main__"], path)
        own = {name: self._in_main(d, level) for name, d in level.own.items()}
        checks = tuple(self._in_main(d, level) for d in level.checks)
        self._collection.levels[path] = evolve(level, own=own, checks=checks)

    @staticmethod
    def _in_main(definition: Definition, level: Level) -> Definition:
        if definition.module != level.module:
            return definition
        return evolve(definition, source=Source(level.file, level.path, definition.source.line))

    def _hidden(self, path: str, shown: str) -> Iterable[Problem]:
        self._modules.register(path)
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError:
            return []
        return {p.message: p for p in hidden_siblings(source, path, shown, self._modules)}.values()

    def _add(self, module: ModuleType, path: str) -> Level:
        known = self._modules.loaded.get(module.__name__)
        level, problems = harvest(module, path, self._modules.root, known.made if known is not None else ())
        problems += signature_problems(level)
        problems += [assertless_problem(each) for each in level.checks if not has_asserts(each.module)]
        if known is not None:
            problems += replaced_problems(level, replaced_definitions(known, module), self._modules.root)
            kept = {identity(each): each for each in (*level.own.values(), *level.checks)}
            known.made = tuple(kept.get(identity(each), each) for each in known.made)
        self._collection.levels[path] = level
        self._collection.problems.extend(problems)
        return level

    def _defining_module(self, definition: Definition) -> Level | None:
        """The level of the module that defines an imported step; for a pipeline file, with its stepconf.py files."""
        path = definition.source.path
        if path in self._collection.levels or path in self._failed:
            return None
        belongs = os.path.basename(path) == STEPCONF or self._is_pipeline_file(path)
        if is_asleep(definition):
            if belongs:
                self._file(path)
            else:
                self._is_known(path, definition.module)
            return self._collection.levels.get(path)
        module = sys.modules.get(definition.module)
        file = getattr(module, "__file__", None)
        if module is None or not isinstance(file, str) or not same_file(file, path):
            return None
        if belongs:
            self._file(path)
            return self._collection.levels.get(path)
        return self._add(module, path)
