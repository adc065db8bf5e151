"""What importing the project's modules does besides binding names: statements that change installed code, and those
that change what other names stand for where modules are looked at by their source."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType

from stepcache.key.introspect import is_a
from stepcache.key.naming import DECORATING
from stepcache.key.spaces import Space
from stepcache.key.table import Binding, Chain, Unit, registers
from stepcache.key.vertex import Vertex
from stepcache.key.walking import Walk

# Modules whose functions, called for effect while a module is imported, change no result.
_INERT = {
    "logging", "gc", "faulthandler", "typing", "stepcache", "atexit", "signal", "pytest", "importlib", "pkgutil",
}  # fmt: skip
# Of other modules what changes none: streams, hooks for what goes wrong, and where modules are found, which counts by
# what is found there.
_INERT_NAMES = {
    "sys": {
        "path", "modules", "stdin", "stdout", "stderr", "__stdout__", "__stderr__", "exit", "excepthook",
        "unraisablehook", "displayhook", "breakpointhook", "dont_write_bytecode", "pycache_prefix", "addaudithook",
    },
    "warnings": {"warn", "warn_explicit", "showwarning", "formatwarning"},
}  # fmt: skip

# Built-in functions that change what they are given, or give what is changed.
_CHANGING = {"setattr", "delattr", "exec", "eval", "globals", "vars"}


class Effects:
    """Finds the statements and definitions that count though no name leads to them."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._found: list[tuple[str, Vertex]] | None = None
        self._imports: dict[str, list[Vertex]] = {}
        self._own: dict[int, dict[str, list[int]]] = {}

    # --- installed code

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
            return self._is_foreign_module(*chain[1:3])
        if (space.name, chain[0]) in seen:
            return False
        seen.add((space.name, chain[0]))
        for binding in space.table.bindings.get(chain[0], ()):
            if binding.unit >= 0:
                unit = space.table.units[binding.unit]
                if unit.kind == "statement":
                    if self._is_shared(space, chain[0], unit):
                        return True
                elif any(self._touches(space, c, seen) for c in _effects_of(space, unit)):
                    return True
                continue
            if self._is_foreign(space, chain):
                return True
            there = self.imported(space, binding, chain[1:])
            if there is not None and self._touches(*there, seen):
                return True
        return False

    def _is_shared(self, space: Space, name: str, unit: Unit) -> bool:
        """Does a variable hold installed code, or an object that an installed module holds as well?"""
        value = (space.names or {}).get(name)
        owner = value if is_a(value, (FunctionType, BuiltinFunctionType, type, ModuleType)) else None
        if owner is not None:
            module = getattr(owner, "__module__", None) or getattr(owner, "__name__", "")
            return self._is_foreign_module(str(module))
        context = getattr(sys.modules.get("decimal"), "getcontext", lambda: None)()
        return value is not None and (
            value is context or any(value is self._held(space, chain) for chain in unit.body.uses.chains)
        )

    def _held(self, space: Space, chain: Chain) -> object:
        """What a chain through an imported installed module leads to."""
        if not self._is_foreign(space, chain):
            return None
        found = (space.names or {}).get(chain[0])
        for name in chain[1:]:
            found = getattr(found, "__dict__", {}).get(name)
        return found

    def imported(self, space: Space, binding: Binding, rest: Chain) -> tuple[Space, Chain] | None:
        """The project's namespace, and the names in it, that an imported name with *rest* means."""
        modules, module = self._walk.modules, space.absolute(binding.module, binding.level)
        if binding.attribute is not None:
            rest = (binding.attribute, *rest)
        while rest and modules.kind(f"{module}.{rest[0]}") == "project":
            module, rest = f"{module}.{rest[0]}", rest[1:]
        target = self._walk.space(module) if modules.kind(module) == "project" else None
        return (target, rest) if target is not None and rest else None

    def _is_foreign(self, space: Space, chain: Chain) -> bool:
        bindings = space.table.bindings.get(chain[0], ()) if chain else ()
        return any(
            b.unit < 0 and self._is_foreign_module(space.absolute(b.module, b.level), b.attribute or next(rest, ""))
            for b in bindings
            for rest in [iter(chain[1:])]
        )

    def _is_foreign_module(self, module: str, name: str = "") -> bool:
        """May a call of *name* in an installed module, or of anything in it, change a result?"""
        if module.split(".")[0] in _INERT or name in _INERT_NAMES.get(module, ()):
            return False
        return self._walk.modules.kind(module) in ("package", "stdlib")

    # --- modules that are looked at by their source

    def of_import(self, module: str) -> list[Vertex]:
        """What importing *module* in a body changes elsewhere: registries, classes, installed code."""
        known = self._imports.get(module)
        if known is None:
            found: dict[str, Vertex] = {}
            for name in self._walk.spaces.closure(module):
                space = self._walk.space(name)
                if space is not None and space.names is None:
                    for index in self._on_names(space).get("", ()):
                        unit = space.table.units[index]
                        found.setdefault(f"{unit.signature} {unit.body.digest}", self._walk.unit(space, index))
            known = self._imports[module] = [vertex for _, vertex in sorted(found.items())]
        return known

    def on_name(self, space: Space, name: str) -> list[Vertex]:
        """What else its module does to what a name stands for: items stored, methods called, decorated with it."""
        return [self._walk.unit(space, index) for index in self._on_names(space).get(name, ())]

    def _on_names(self, space: Space) -> dict[str, list[int]]:
        """The numbers of a module's units that change something, by the name that they change; "" is elsewhere."""
        known = self._own.get(id(space))
        if known is None:
            known = self._own[id(space)] = {}
            for index, unit in enumerate(space.table.units):
                for name in dict.fromkeys(self._changed(space, index, unit)):
                    known.setdefault(name, []).append(index)
        return known

    def _changed(self, space: Space, index: int, unit: Unit) -> Iterator[str]:
        if unit.kind == "statement":
            for chain in unit.body.uses.effects if unit.has_effect else ():
                yield from self._changed_by(space, chain)
        elif index == unit.top and unit.kind in ("function", "class"):
            for chain in unit.decorated_by:
                if not self._only_decorates(space, chain):
                    yield from self._changed_by(space, chain) if chain else ("",)
            if unit.kind == "class" and self.hooks(space, unit):
                yield ""

    @staticmethod
    def _only_decorates(space: Space, chain: Chain) -> bool:
        """Does a decorator of the standard library's change only what it decorates?"""
        bindings = space.table.bindings.get(chain[0], ()) if chain else ()
        return bool(bindings) and all(b.unit < 0 and not b.level and b.module in DECORATING for b in bindings)

    def _changed_by(self, space: Space, chain: Chain) -> Iterator[str]:
        """The own name that calling or storing into *chain* changes; "" for another module's, or who knows what."""
        bindings = space.table.bindings.get(chain[0], ())
        found = [space.table.units[b.unit].kind for b in bindings if b.unit >= 0]
        own = "statement" in found or (found and len(chain) > 1)
        if own:
            yield chain[0]
        imported = any(b.unit < 0 for b in bindings)
        if (imported or not own) and (self._stores(space, chain, set()) or self._touches(space, chain, set())):
            yield ""

    def _stores(self, space: Space, chain: Chain, seen: set[tuple[str, str]]) -> bool:
        """Does calling or storing into *chain* change a name of the project, itself or through functions?"""
        bindings = space.table.bindings.get(chain[0], ())
        if not bindings:
            return chain[0] in _CHANGING
        if any(
            (*b.module.split("."), *((b.attribute,) if b.attribute else ()), *chain[1:])[:2] == ("sys", "modules")
            for b in bindings
        ):
            return True
        if (space.name, chain[0]) in seen:
            return False
        seen.add((space.name, chain[0]))
        for binding in bindings:
            if binding.unit >= 0:
                unit = space.table.units[binding.unit]
                if unit.kind == "statement" or len(chain) > 1 or any(part.uses.assigns for part in unit.parts):
                    return True
                if any(self._stores(space, c, seen) for c in _effects_of(space, unit) if c[0]):
                    return True
            else:
                there = self.imported(space, binding, chain[1:])
                if there is not None and self._stores(*there, seen):
                    return True
        return False

    def hooks(self, space: Space, unit: Unit) -> bool:
        """May making a class run something, besides the class's own body?"""
        return unit.has_effect or self._has_hook(space, unit, set())

    def _has_hook(self, space: Space, unit: Unit, seen: set[tuple[str, str]]) -> bool:
        """Does a base of a class do something when a class is made of it?"""
        for chain in unit.bases:
            for binding in space.table.bindings.get(chain[0], ()):
                there = (space, chain) if binding.unit >= 0 else self.imported(space, binding, chain[1:])
                if there is not None and there[1] and self._is_hooked(*there, seen):
                    return True
        return False

    def _others(self, space: Space, chain: Chain) -> Iterator[tuple[Space, Chain]]:
        """What a name may stand for that is not defined where it stands."""
        for binding in space.table.bindings.get(chain[0], ()):
            if binding.unit < 0:
                there = self.imported(space, binding, chain[1:])
                if there is not None:
                    yield there
            elif space.table.units[binding.unit].only_names:
                yield from ((space, each) for each in space.table.units[binding.unit].body.uses.chains)

    def _is_hooked(self, space: Space, chain: Chain, seen: set[tuple[str, str]]) -> bool:
        name = ".".join(chain)
        if (space.name, name) in seen:
            return False
        seen.add((space.name, name))
        units = [space.table.units[index] for index in space.table.named(name)]
        if not units:  # another name, or handed on from another module
            return any(self._is_hooked(*there, seen) for there in self._others(space, chain))
        return bool(space.table.named(f"{name}.__init_subclass__")) or any(
            unit.has_effect or self._has_hook(space, unit, seen) for unit in units
        )


def _effects_of(space: Space, unit: Unit) -> list[Chain]:
    """What a definition calls for effect, the methods of a class included."""
    units = [unit, *(space.table.units[index] for _, index in unit.methods)]
    return [chain for each in units for chain in each.body.uses.effects]
