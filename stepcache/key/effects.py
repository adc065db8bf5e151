"""What importing the project's modules does besides binding names: statements that change installed code."""

from __future__ import annotations

from stepcache.key.spaces import Space
from stepcache.key.table import Binding, Chain, Unit, registers
from stepcache.key.vertex import Vertex
from stepcache.key.walking import Walk

# Modules whose functions, called for effect while a module is imported, change no result.
_INERT = {
    "logging", "warnings", "sys", "gc", "faulthandler", "typing", "stepcache", "atexit", "signal", "pytest",
    "importlib", "pkgutil",
}  # fmt: skip


class Effects:
    """Finds the statements and definitions that count for every step, since they change what libraries do."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._found: list[tuple[str, Vertex]] | None = None

    def vertices(self) -> list[tuple[str, Vertex]]:
        """The statements of the loaded modules that change installed code: seeds, precisions, registrations."""
        if self._found is None:
            found: dict[str, Vertex] = {}
            for module in self._walk.loading:
                space = self._walk.space(module)
                if space is None or space.names is None:
                    continue
                for index in space.table.effective:
                    unit = space.table.units[index]
                    if self._has_effect(space, unit):
                        vertex = self._walk.unit(space, index)
                        found.setdefault(f"effect {unit.signature} {unit.body.digest}", vertex)
            self._found = sorted(found.items())
        return self._found

    def _has_effect(self, space: Space, unit: Unit) -> bool:
        if unit.kind == "statement":
            return any(self._touches(space, chain, set()) for chain in unit.body.uses.effects)
        return any(registers(chain) and self._is_foreign(space, chain) for chain in unit.decorated_by)

    def _touches(self, space: Space, chain: Chain, seen: set[tuple[str, str]]) -> bool:
        """Does calling or storing into *chain* change installed code, itself or through project functions?"""
        if chain[0] == "":
            return self._is_foreign_module(chain[1])
        if (space.name, chain[0]) in seen:
            return False
        seen.add((space.name, chain[0]))
        for binding in space.table.bindings.get(chain[0], ()):
            if binding.unit >= 0:
                unit = space.table.units[binding.unit]
                if unit.kind != "statement" and any(self._touches(space, c, seen) for c in _effects_of(space, unit)):
                    return True
                continue
            if self._is_foreign(space, chain) or self._touches_imported(space, binding, chain[1:], seen):
                return True
        return False

    def _touches_imported(self, space: Space, binding: Binding, rest: Chain, seen: set[tuple[str, str]]) -> bool:
        modules, module = self._walk.modules, space.absolute(binding.module, binding.level)
        if binding.attribute is not None:
            rest = (binding.attribute, *rest)
        while rest and modules.kind(f"{module}.{rest[0]}") == "project":
            module, rest = f"{module}.{rest[0]}", rest[1:]
        target = self._walk.space(module) if modules.kind(module) == "project" else None
        return target is not None and bool(rest) and self._touches(target, rest, seen)

    def _is_foreign(self, space: Space, chain: Chain) -> bool:
        bindings = space.table.bindings.get(chain[0], ()) if chain else ()
        return any(b.unit < 0 and self._is_foreign_module(space.absolute(b.module, b.level)) for b in bindings)

    def _is_foreign_module(self, module: str) -> bool:
        return module.split(".")[0] not in _INERT and self._walk.modules.kind(module) in ("package", "stdlib")


def _effects_of(space: Space, unit: Unit) -> list[Chain]:
    """What a definition calls for effect, the methods of a class included."""
    units = [unit, *(space.table.units[index] for _, index in unit.methods)]
    return [chain for each in units for chain in each.body.uses.effects]
