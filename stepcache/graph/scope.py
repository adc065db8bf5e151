"""Who is meant by a name: the nearest definition in a chain of modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stepcache.collect.harvest import Level, identity
from stepcache.model import Definition
from stepcache.records import frozen


@frozen
class Found:
    """A definition, and the number of the level it was found in: 0 is the file itself, then its stepconf.py chain.

    Levels beyond the chain (the asking step's own module, plugins) have the number `BEYOND`.
    """

    definition: Definition
    level: int
    file: str


BEYOND = 1_000_000


@frozen
class Scope:
    """A pipeline file or stepconf.py as a place to ask for names in.

    `chain` is the file itself and its stepconf.py files, the nearest first; `modules` holds the level of each
    module that defines something, by path; `plugins` what plugins offer.
    """

    chain: tuple[Level, ...]
    modules: Mapping[str, Level]
    plugins: Level

    @property
    def file(self) -> str:
        """The portable name of the file."""
        return self.chain[0].file

    def find(self, name: str, asking: Definition | None = None) -> Found | None:
        """The nearest definition of *name*; for a step that asks for its own name, the next one outwards."""
        own_name = asking is not None and name in (asking.name, *asking.outputs)
        if not own_name:
            return self._nearest(name, asking)
        passed = False
        for number, level in self._levels(asking):
            found = level.provider(name)
            if found is None:
                continue
            if asking is not None and identity(found) == identity(asking):
                passed = True
            elif passed:
                return Found(found, number, level.file)
        return None

    def _nearest(self, name: str, asking: Definition | None) -> Found | None:
        for number, level in self._levels(asking):
            found = level.provider(name)
            if found is not None:
                return Found(found, number, level.file)
        return None

    def _levels(self, asking: Definition | None) -> Iterator[tuple[int, Level]]:
        yield from enumerate(self.chain)
        if asking is not None and asking.source.path in self.modules:
            yield BEYOND, self.modules[asking.source.path]
        yield BEYOND, self.plugins

    def names(self, asking: Definition | None = None) -> dict[str, Definition]:
        """All that can be asked for, the nearest of each name."""
        found: dict[str, Definition] = {}
        for _, level in self._levels(asking):
            for name, definition in (*level.own.items(), *level.outputs.items()):
                found.setdefault(name, definition)
        return found

    def place(self, definition: Definition) -> int:
        """The number of the level whose file defines it."""
        for number, level in enumerate(self.chain):
            if level.path == definition.source.path:
                return number
        return BEYOND
