"""Which statements, run while modules are imported, do something to variables whose values do not tell of it: what
functions assign (`configure(size=3)` beside `global _size`), a queue that is filled, an open database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, takewhile

from stepcache.key.spaces import Space
from stepcache.key.table import Binding, Chain, Part, Unit
from stepcache.key.vertex import Vertex
from stepcache.key.walking import Walk

# What is run: a statement or what decorates a definition ("import"), or a definition ("call"), by module and number.
_Code = tuple[str, str, int]
Imported = Callable[[Space, Binding, Chain], tuple[Space, Chain] | None]


class Touching:
    """Finds them in the modules that importing a pipeline file imports."""

    def __init__(self, walk: Walk, imported: Imported) -> None:
        """*imported* gives the namespace, and the names in it, that an imported name with what follows it means."""
        self._walk = walk
        self._imported = imported
        self._by: dict[tuple[str, str], dict[_Code, None]] | None = None
        """By the module and name of a variable, the code that itself comes upon it or assigns it."""
        self._callers: dict[_Code, dict[_Code, None]] = {}
        self._spaces: dict[str, Space] = {}

    def of_variable(self, space: Space, name: str) -> list[Vertex]:
        """The statements, and the decorated and derived definitions, whose code comes upon a variable or assigns it."""
        if space.names is None:
            return []
        if self._by is None:
            self._by = {}
            self._explore(self._by)
        todo = list(self._by.get((space.name, name), ()))
        seen = set(todo)
        found: dict[str, tuple[Space, int]] = {}
        while todo:
            kind, module, index = code = todo.pop()
            if kind == "import":
                unit = self._spaces[module].table.units[index]
                found[f"{unit.signature} {unit.body.digest}"] = (self._spaces[module], index)
            fresh = [each for each in self._callers.get(code, ()) if each not in seen]
            seen.update(fresh)
            todo += fresh
        return [self._walk.unit(*found[key]) for key in sorted(found)]

    def _explore(self, by: dict[tuple[str, str], dict[_Code, None]]) -> None:
        """Note of all code that imports run what it comes upon and what it calls."""
        for module in self._walk.loading:
            space = self._walk.space(module)
            if space is not None and space.names is not None:
                self._spaces[space.name] = space
        todo: list[tuple[_Code, Space, Iterable[Chain]]] = []
        for space in self._spaces.values():
            todo += [(("import", space.name, index), space, chains) for index, chains in _run_by_import(space)]
        seen: set[_Code] = set()
        while todo:
            code, space, chains = todo.pop()
            for chain in dict.fromkeys(chains):
                for there, name, unit in self._meant(space, chain):
                    if unit.kind == "statement":
                        by.setdefault((there.name, name), {})[code] = None
                        continue
                    called = ("call", there.name, unit.top)
                    self._callers.setdefault(called, {})[code] = None
                    if called not in seen:
                        seen.add(called)
                        parts = [part.uses for part in _parts_of(there, unit.top)]
                        for assigned in (name for uses in parts for name in uses.assigns):
                            by.setdefault((there.name, assigned), {})[called] = None
                        todo.append((called, there, [c for uses in parts for c in (*uses.chains, *uses.effects)]))

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
                elif (there := self._imported(at, binding, names[1:])) is not None:
                    todo.append(there)


def _run_by_import(space: Space) -> Iterator[tuple[int, tuple[Chain, ...]]]:
    for index, unit in enumerate(space.table.units):
        if unit.kind == "statement":
            yield index, (*unit.body.uses.chains, *unit.body.uses.effects)
        elif index == unit.top and unit.kind in ("function", "class") and (unit.decorated_by or unit.bases):
            yield index, (*unit.decorated_by, *unit.bases)


def _parts_of(space: Space, top: int) -> Iterator[Part]:
    """The code of a definition, with all that is defined in it."""
    for unit in takewhile(lambda unit: unit.top == top, islice(space.table.units, top, None)):
        yield from unit.parts
