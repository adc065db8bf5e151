"""Which statements, run while modules are imported, do something to variables whose values do not tell of it: what
functions assign (`configure(size=3)` beside `global _size`), a queue that is filled, an open database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, takewhile

from stepcache.key.effects import Effects
from stepcache.key.spaces import Space
from stepcache.key.table import Binding, Chain, Unit
from stepcache.key.vertex import Vertex
from stepcache.key.walking import Walk

# What is run: a statement or what decorates a definition ("import"), or a definition, or what a statement only names,
# where that is used ("call"), by module and number.
_Code = tuple[str, str, int]


class Touching:
    """Finds them in the modules that importing a pipeline file imports."""

    def __init__(self, walk: Walk, effects: Effects) -> None:
        self._walk = walk
        self._effects = effects
        self._by: dict[tuple[str, str], dict[_Code, None]] | None = None
        """By the module and name of a variable, the code that itself comes upon it or assigns it."""
        self._callers: dict[_Code, dict[_Code, None]] = {}
        self._spaces: dict[str, Space] = {}

    def of_variable(self, space: Space, name: str) -> list[Vertex]:
        """What imports run whose code comes upon a variable or assigns it: statements, and pieces of definitions."""
        if space.names is None:
            return []
        if self._by is None:
            self._by = {}
            self._explore(self._by)
        todo = list(self._by.get((space.name, name), ()))
        seen = set(todo)
        found: list[tuple[list[str], str, int]] = []
        while todo:
            kind, module, index = code = todo.pop()
            if kind == "import":
                unit = self._spaces[module].table.units[index]
                found.append(([unit.signature, *(part.digest for part in unit.parts)], module, index))
            fresh = [each for each in self._callers.get(code, ()) if each not in seen]
            seen.update(fresh)
            todo += fresh
        return [self._walk.unit(self._spaces[module], index) for _, module, index in sorted(found)]

    def _explore(self, by: dict[tuple[str, str], dict[_Code, None]]) -> None:
        """Note of all code that imports run what it comes upon and what it calls."""
        for module in self._walk.loading:
            space = self._walk.space(module)
            if space is not None and space.names is not None:
                self._spaces[space.name] = space
        todo: list[tuple[_Code, Space, Iterable[Chain]]] = []
        for space in self._spaces.values():
            todo += [(("import", space.name, index), space, chains) for index, chains in self._run_by_import(space)]
        seen: set[_Code] = set()
        while todo:
            code, space, chains = todo.pop()
            for there, name, unit in (each for chain in dict.fromkeys(chains) for each in self._meant(space, chain)):
                if unit.kind == "statement":
                    by.setdefault((there.name, name), {})[code] = None
                if unit.kind == "statement" and not unit.only_names:
                    continue  # it runs by itself
                called = ("call", there.name, unit.top)
                self._callers.setdefault(called, {})[code] = None
                if called not in seen:
                    seen.add(called)
                    uses = [part.uses for each in _members(there, unit.top) for part in each.parts]
                    for assigned in (name for each in uses for name in each.assigns):
                        by.setdefault((there.name, assigned), {})[called] = None
                    todo.append((called, there, [c for each in uses for c in (*each.chains, *each.effects)]))

    def _run_by_import(self, space: Space) -> Iterator[tuple[int, list[Chain]]]:
        """What an import runs, by numbers of units, with what that names."""
        units = space.table.units
        for index, unit in enumerate(units):
            parts = () if units[unit.top].only_names else unit.at_import
            chains = [chain for part in parts for chain in (*part.uses.chains, *part.uses.effects)]
            if unit.kind == "class" and self._effects.hooks(space, unit):
                chains += unit.bases
            if chains:
                yield index, chains

    def _meant(self, space: Space, chain: Chain) -> Iterator[tuple[Space, str, Unit]]:
        """The variables and the definitions that a name may stand for, wherever it is imported from."""
        todo, seen = [(space, chain)], set[tuple[str, Chain]]()
        while todo:
            at, names = todo.pop()
            if not names or (at.name, names) in seen:
                continue
            seen.add((at.name, names))
            bindings = at.table.bindings.get(names[0], ())
            for binding in bindings or [Binding(-1, module, level, names[0]) for module, level in at.table.stars]:
                if binding.unit >= 0:
                    yield at, names[0], at.table.units[binding.unit]
                elif (there := self._effects.imported(at, binding, names[1:])) is not None:
                    todo.append(there)


def _members(space: Space, top: int) -> Iterator[Unit]:
    """A statement or definition, with all that is defined in it."""
    return takewhile(lambda unit: unit.top == top, islice(space.table.units, top, None))
