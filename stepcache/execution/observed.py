"""The execution of a node as it is observed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from stepcache.execution.sight import Sight
from stepcache.key.environment import put_variable
from stepcache.key.ingredients import Facts, resource_functions
from stepcache.key.observe import Seen, Watch
from stepcache.key.stains import Before
from stepcache.model import BoundResource, Node


class Observed:
    """A node's execution, which is what runs in the block; `seen` is asked once it is over.

    Afterwards `sys.path` and the variables that project code has set are what they were: they must not decide what the
    next node imports and reads. What functions remember of what was read before is forgotten.
    """

    # Each step runs in one, and a generator would take three times as long.
    __slots__ = (
        "_before", "_facts", "_importing", "_listening", "_names", "_node", "_path", "_resources", "_seen", "_sight",
        "_taken", "_watch",
    )  # fmt: skip
    _watch: Watch

    def __init__(self, sight: Sight, node: Node, facts: Facts, resources: Mapping[str, BoundResource]) -> None:
        self._sight, self._node, self._facts, self._resources = sight, node, facts, resources
        self._listening = sight.observer.watch()
        self._importing = sight.loaded.importing()
        self._before: Before | None = None
        self._taken: set[str] = set()
        self._names: frozenset[str] | None = None
        self._seen: Seen | None = None

    def __enter__(self) -> Observed:
        self._sight.begin(self._node.id if self._node.mapped else "")
        self._path = list(sys.path)
        self._watch = self._listening.__enter__()
        if self._sight.stains:
            self._begin()
        else:
            self._watch.before_first = self._begin
        self._importing.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        try:
            self._importing.__exit__(*raised)
        finally:
            self._listening.__exit__(*raised)
            self._sight.remembered.note(self._watch)
            self._put_back()
            if raised[0] is not None and self._before is not None:
                self.seen()  # nobody may ask for it

    @property
    def quiet(self) -> bool:
        """Was nothing noted so far?"""
        return self._watch.quiet

    def renew(self) -> None:
        """What runs from now on is another execution: one that is quiet may go on."""
        self._watch.renew()

    def seen(self) -> Seen:
        """What the node was seen to read."""
        if self._seen is None:
            seen = self._sight.conclusion(self._watch, self._node, self._facts)
            if self._before is not None:
                read = self._sight.stains.end(self._before, seen.observations, self._reaches)
                if read != seen.observations:
                    seen = evolve(seen, observations=read)
            self._seen = seen
        return self._seen

    def _begin(self) -> None:
        self._taken = {each.id for each in resource_functions(self._node, self._resources)}
        home = self._node.definition.module  # it may hold the namespace of a text, which is no module
        own = (home,) if home in self._sight.loaded.loaded else ()
        self._before = self._sight.stains.begin((*self._facts.modules, *own, *self._taken))

    def _reaches(self, module: str, variable: str) -> bool:
        if module in self._facts.whole or module in self._taken:
            return True
        if self._names is None:
            self._names = self._sight.names(self._node, self._resources)
        return self._sight.is_named(self._names, module, variable)

    def _put_back(self) -> None:
        if sys.path != self._path:
            self._sight.loaded.lent[tuple(sys.path)] = None
            sys.path[:] = self._path
        for name, value in self._watch.variables_before.items():
            put_variable(name, value)
