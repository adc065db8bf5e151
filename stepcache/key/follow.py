"""Following names: from what a definition uses to the definitions, variables and modules that it means.

A name is resolved in the live namespace of its module where the importing of the pipeline file loads that module,
else in the module's source; never by what happens to be loaded.
"""

from __future__ import annotations

import builtins
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from stepcache.digest import digest
from stepcache.key.effects import Effects
from stepcache.key.introspect import is_a
from stepcache.key.late import Late
from stepcache.key.objects import Objects
from stepcache.key.spaces import Space, Spaces
from stepcache.key.table import Binding, Chain, Import, Part, Unit, Uses
from stepcache.key.touching import Touching
from stepcache.key.vertex import Vertex

# Names that Python gives every module, which say where it lies: for code that asks for them they count as variables do.
_MODULE_NAMES = {
    "__name__", "__file__", "__package__", "__spec__", "__path__", "__loader__", "__cached__",
    "__builtins__",
}  # fmt: skip

# As Python has them: what the project adds counts by the statement that does, whether or not it was run by now.
_BUILTINS = frozenset(vars(builtins))


class Walk:
    """The graph of code as seen from one pipeline file; its vertices are made once and shared by its steps."""

    def __init__(self, spaces: Spaces, home: list[str], is_late: Callable[[str], bool]) -> None:
        """*is_late* says whether a body has imported a module: the statement that would was in a branch not taken."""
        self.spaces = spaces
        self.modules = spaces.modules
        self.loading = list(dict.fromkeys(name for module in home for name in spaces.closure(module)))
        self._live = frozenset(name for name in self.loading if not is_late(name))
        self.objects = Objects(self)
        self._leaves: dict[tuple[str, str], Vertex] = {}
        self._followed: dict[tuple[int, Chain], list[Vertex]] = {}
        self._units: dict[tuple[int, int], Vertex] = {}
        self._sources: dict[tuple[int, str], Vertex] = {}
        self._wholes: dict[int, Vertex] = {}
        self._all: Vertex | None = None
        self._stems: frozenset[str] | None = None
        self.effects = Effects(self)
        self._late = Late(self)
        self._touching = Touching(self, self.effects)
        self._todo: list[tuple[Vertex, Any]] = []

    # --- building

    def later(self, vertex: Vertex, fill: Any) -> Vertex:
        """Fill in the vertex's edges once the present one is done: code may be deep, and circular."""
        self._todo.append((vertex, fill))
        return vertex

    def finish(self) -> None:
        """Fill in all edges."""
        while self._todo:
            vertex, fill = self._todo.pop()
            fill(vertex)

    def leaf(self, kind: str, content: str, package: str = "") -> Vertex:
        """A vertex without edges."""
        known = self._leaves.get((kind, content))
        if known is None:
            known = Vertex(kind, f"{kind}:{content}", packages=[package] if package else [])
            self._leaves[kind, content] = known
        return known

    def space(self, module: str) -> Space | None:
        """The namespace of a project module, live if the pipeline file's import loads it."""
        loaded = sys.modules.get(module)
        if loaded is not None and module in self._live and isinstance(loaded, ModuleType):
            return self.spaces.live(loaded)
        return self.spaces.static(module)

    def kind(self, module: str) -> str:
        """What a module is, whatever a step of this process may have loaded by a path of its own."""
        found = self.modules.kind(module)
        if found == "project" and module in sys.modules and module not in self._live and module != "__main__":
            return found if self.modules.find(module) is not None else "missing"
        return found

    # --- a module, and what is taken of it

    def imported(self, space: Space, one: Import) -> list[Vertex]:
        """What an import in a body leads to."""
        module = space.absolute(one.module, one.level)
        target = self.space(module) if one.present and self.kind(module) == "project" else None
        if target is None:
            return self.of_module(module, one.chain)
        found = not one.chain or self._offers(target, one.chain[0], set())
        inner = f"{module}.{one.chain[0]}" if one.chain else ""
        if inner and self.kind(inner) == "project":
            return [self.leaf("present", ""), *self.effects.of_import(inner)]
        return [self.leaf("present" if found else "absent", ""), *self.effects.of_import(module)]

    def of_module(self, module: str, chain: Chain) -> list[Vertex]:
        """What *chain* leads to in a module; the module itself, if there is no chain."""
        kind = self.kind(module)
        if kind == "project":
            space = self.space(module)
            if space is None:
                return [self.leaf("absent", "")]
            return self.follow(space, chain) if chain else [self.whole(space), self._place(space, "")]
        if kind == "missing":
            return [self.leaf("absent", ""), *self._unplaced(module, chain)]
        if kind == "stepcache":
            return [self.leaf("stepcache", "")]
        dotted = ".".join((module, *chain)).rstrip(".")
        return [self.leaf(kind, dotted, module if kind == "package" else "")]

    def _unplaced(self, module: str, chain: Chain) -> list[Vertex]:
        """All project modules, where a file that no folder of `sys.path` holds could be a module by a step's doing."""
        if self._stems is None:
            names = (path.removesuffix("/__init__.py").removesuffix(".py") for path in self.modules.project_files())
            self._stems = frozenset(end for name in names for end in _ends(name))
        if self._stems.isdisjoint(
            name for each in (module, *self._in_widened(module)) for name in (each, ".".join((each, *chain[:1])))
        ):
            return []
        everything = self.everything()
        sentence = f"{module}: no folder of sys.path has such a module: all project modules are taken in"
        everything.uncertain += [sentence] if sentence not in everything.uncertain else []
        return [everything]

    def _in_widened(self, module: str) -> Iterator[str]:
        """The names that a module has within packages of the project that put folders into their `__path__`."""
        parts = module.split(".")
        for end in range(1, len(parts)):
            package = ".".join(parts[:end])
            space = self.space(package) if self.kind(package) == "project" else None
            if space is not None and any("__path__" in _roots(unit) for unit in space.table.units):
                yield ".".join(parts[end:])

    def whole(self, space: Space) -> Vertex:
        """A module with all its names."""
        known = self._wholes.get(id(space))
        if known is None:
            broken = space.table.digest if space.table.broken else ""
            known = Vertex("module", "module:" + broken, space.shown, space.name, keep=space)
            self._wholes[id(space)] = known
            self.later(known, lambda vertex: self._fill_whole(vertex, space))
        return known

    def _fill_whole(self, vertex: Vertex, space: Space) -> None:
        names = set(space.table.bindings)
        for name, value in (space.names or {}).items():
            if not (is_a(value, ModuleType) and value.__name__ == f"{space.name}.{name}"):
                names.add(name)
        for name in sorted(names):
            if not (name.startswith("__") and name.endswith("__")):
                vertex.link(name, self.follow(space, (name,)))
        if space.names is None:
            for number, (module, level) in enumerate(space.table.stars):
                vertex.link(f"*{number}", self.of_module(space.absolute(module, level), ()))
            nameless = [i for i, unit in enumerate(space.table.units) if unit.kind == "statement" and not unit.binds]
            for number, index in enumerate(nameless):
                vertex.link(f"statement {number}", [self.unit(space, index)])

    def everything(self) -> Vertex:
        """All project modules below the root."""
        if self._all is None:
            self._all = Vertex("module", "everything")
            for path in self.modules.project_files():
                name, table = self.modules.portable(path), self.spaces.table_of_file(path)
                self._all.link(name, [Vertex("file", "file:" + table.digest, name)])
        return self._all

    # --- names

    def follow(self, space: Space, chain: Chain) -> list[Vertex]:
        """What *chain* means in a namespace."""
        known = self._followed.get((id(space), chain))
        if known is None:
            known = self._followed[id(space), chain] = self._meant(space, chain)
        return known

    def _meant(self, space: Space, chain: Chain) -> list[Vertex]:
        name = chain[0]
        if name == "__dict__":
            return [self.whole(space)]
        if name == "__doc__" and name not in space.table.bindings:
            return [self.leaf("doc", space.table.doc)]
        if name == "__annotations__":  # which no table has, and which may use any name
            return [self.whole(space), self.leaf("source", space.table.source)]
        if name in _MODULE_NAMES:
            return [self._place(space, name)]
        if space.table.broken:
            return [self.whole(space)]
        if space.names is not None:
            if name in space.names:
                return self._follow_value(space, name, space.names[name], chain[1:])
            if name in space.table.assigners:
                return [self.source_of(space, name)]
        else:
            found = self._follow_source(space, name, chain[1:])
            if found:
                return found
        return self._unbound(space, chain)

    def _place(self, space: Space, name: str) -> Vertex:
        """What a module says of where it lies by that name, or all of it: its file below the root, and its name."""
        if name == "__builtins__":
            return self.leaf("module attribute", name)
        file = self.modules.portable(space.path) if space.path is not None else ""
        told = {"__name__": (space.name,), "__package__": (space.package,), "__file__": (file,)}
        state = digest("module attribute", *told.get(name, (space.name, file)))
        shown = f"{space.shown}::{name}" if name else space.shown
        return Vertex("variable", "module attribute", shown, space.name, state=state, keep=space)

    def _unbound(self, space: Space, chain: Chain) -> list[Vertex]:
        name = chain[0]
        if space.path is None or os.path.basename(space.path).startswith("__init__."):
            inner = f"{space.name}.{name}"
            if self.kind(inner) == "project":
                return self.of_module(inner, chain[1:])
        if name in _BUILTINS:
            return [self.leaf("builtin", name)]
        if "__getattr__" in space.table.bindings:
            return self.follow(space, ("__getattr__",))
        if any(self._makes_names(unit) for unit in space.table.units):
            return [self.whole(space)]
        return [self.leaf("absent", "")]

    @staticmethod
    def _makes_names(unit: Unit) -> bool:
        return unit.kind == "statement" and any(one.feature == "names" for one in unit.body.uses.dynamic)

    def _follow_value(self, space: Space, name: str, value: Any, rest: Chain) -> list[Vertex]:
        """The live value of a global name."""
        bindings = space.table.bindings.get(name, ())
        if is_a(value, ModuleType) and name not in space.table.assigners:
            return self.of_module(value.__name__, rest)
        origin = self._origin(space, name, bindings, value)
        if origin is not None:
            return self.of_module(origin[0], (origin[1], *rest))
        return self.objects.named(space, name, value, bindings)

    def _origin(self, space: Space, name: str, bindings: tuple[Binding, ...], value: object) -> tuple[str, str] | None:
        """The (module, name) that a name was imported from, if it still stands for the same."""
        sources = [(b.module, b.level, b.attribute) for b in bindings if b.attribute is not None]
        if not bindings:
            sources = [(module, level, name) for module, level in space.table.stars]
        for relative, level, attribute in sources:
            module = space.absolute(relative, level)
            loaded = sys.modules.get(module)
            if loaded is None or getattr(loaded, "__dict__", {}).get(attribute, _NOTHING) is not value:
                continue
            if self.kind(module) == "project":
                if module in self._live:
                    return module, attribute
            elif not self.objects.is_code(value):
                return module, attribute
        return None

    def _follow_source(self, space: Space, name: str, rest: Chain) -> list[Vertex]:
        """What a name stands for by the source of its module: everything that may bind it."""
        found: list[Vertex] = []
        for binding in space.table.bindings.get(name, ()):
            if binding.unit >= 0:
                unit = space.table.units[binding.unit]
                if unit.kind == "statement":
                    vertex = self.source_of(space, name)
                    if vertex not in found:
                        found.append(vertex)
                else:
                    found.append(self.unit(space, binding.unit))
            elif binding.attribute is not None:
                found += self.of_module(space.absolute(binding.module, binding.level), (binding.attribute, *rest))
            else:
                found += self.of_module(binding.module, rest)
        found = found or self._follow_stars(space, name, rest)
        if not found and name in space.table.assigners:
            found.append(self.source_of(space, name))
        found += [vertex for vertex in self.effects.on_name(space, name) if vertex not in found]
        return found

    def _follow_stars(self, space: Space, name: str, rest: Chain) -> list[Vertex]:
        """What a name stands for by `from … import *`."""
        found: list[Vertex] = []
        for module, level in space.table.stars:
            full = space.absolute(module, level)
            kind = self.kind(full)
            target = self.space(full) if kind == "project" else None
            if target is not None and self._offers(target, name, {space.name}):
                found += self.follow(target, (name, *rest))
                if "__all__" in target.table.bindings:
                    found += self.follow(target, ("__all__",))
            elif kind == "package":
                found.append(self.leaf("package", f"{full}.{name}", full))
        return found

    def _offers(self, space: Space, name: str, seen: set[str]) -> bool:
        """Does a module bind the name, itself or by a star import?"""
        if name in (space.names or ()) or name in space.table.bindings:
            return True
        seen.add(space.name)
        for module, level in space.table.stars:
            full = space.absolute(module, level)
            inner = self.space(full) if full not in seen and self.kind(full) == "project" else None
            if inner is not None and self._offers(inner, name, seen):
                return True
        return False

    # --- definitions by their source

    def unit(self, space: Space, index: int) -> Vertex:
        """A definition as the source has it, its names resolved in *space*."""
        known = self._units.get((id(space), index))
        if known is None:
            unit = space.table.units[index]
            known = self.vertex_of(space, unit)
            self._units[id(space), index] = known
            self.later(known, lambda vertex: self.fill_unit(vertex, space, unit))
        return known

    def vertex_of(self, space: Space, unit: Unit, *, root: bool = False) -> Vertex:
        """A vertex for a definition, without its edges."""
        if root:
            content = digest("root", unit.body.digest, *sorted(unit.parameters))
        else:
            defaults = unit.defaults.digest if unit.defaults else ""
            content = digest(unit.kind, unit.signature, unit.body.digest, defaults)
        name = f"{space.shown}::{unit.name}" if unit.name else space.shown
        return Vertex(
            unit.kind, content, name, space.name, source=space.table.source, annotations=unit.annotations, doc=unit.doc,
            keep=space,
        )  # fmt: skip

    def fill_unit(self, vertex: Vertex, space: Space, unit: Unit, settings: Mapping[str, object] | None = None) -> None:
        """The edges of a definition; *settings* are given for a step's own function, whose defaults they replace."""
        self.fill_part(vertex, space, unit.body, "", settings)
        if unit.defaults is not None and settings is None:
            vertex.made = True
            self.fill_part(vertex, space, unit.defaults, "default ")
        for number, (part, chain) in enumerate(zip(unit.decorators, unit.decorated_by, strict=True)):
            targets = self.follow(space, chain) if chain else []
            if any(target.kind == "stepcache" for target in targets):
                continue
            vertex.made = True
            vertex.content = digest("decorated", vertex.content, part.digest)
            vertex.annotated = vertex.annotated or any(target.kind == "package" for target in targets)
            self.fill_part(vertex, space, part, f"decorator {number} ")
        for name, index in unit.methods:
            vertex.guarded.append((name, f"method {name}", self.unit(space, index)))
        if unit.methods:
            vertex.bases = [self.follow(space, chain) for chain in unit.bases]

    def fill_part(
        self, vertex: Vertex, space: Space, part: Part, prefix: str, settings: Mapping[str, object] | None = None
    ) -> None:
        """The edges of a piece of code."""
        self.fill_uses(vertex, space, part.uses, prefix, settings)

    def fill_uses(
        self, vertex: Vertex, space: Space, uses: Uses, prefix: str = "", settings: Mapping[str, object] | None = None
    ) -> None:
        """The edges to what code uses."""
        for chain in uses.chains:
            # A variable that only its assignment tells of is no other where its module has another name: a logger.
            is_name = vertex.kind == "source" and chain[0] in _MODULE_NAMES and chain[0] != "__file__"
            targets = [self.leaf("module attribute", chain[0])] if is_name else self.follow(space, chain)
            vertex.link(prefix + ".".join(chain), targets)
        for one in uses.imports:
            vertex.link(prefix + one.label, self.imported(space, one))
        if "subclasses" in uses.marks:
            self._late.subclasses(vertex, space, prefix)
        for dynamic in uses.dynamic:
            self._late.fill(vertex, space, dynamic, prefix, settings or {})
        vertex.literals += [(text, space.folder) for text in uses.strings]
        vertex.marks.update(uses.marks)
        vertex.mentions.update(uses.names)

    def loads(self, module: str) -> bool:
        """Does the import of the pipeline file import *module*?"""
        return module in self._live

    # --- variables by their source

    def source_of(self, space: Space, name: str) -> Vertex:
        """A module variable by its assignments: the module's statements, and the functions that assign it."""
        known = self._sources.get((id(space), name))
        if known is None:
            units = [
                space.table.units[binding.unit]
                for binding in dict.fromkeys(space.table.bindings.get(name, ()))
                if binding.unit >= 0 and space.table.units[binding.unit].kind == "statement"
            ]
            content = digest("assigned", *(unit.body.digest for unit in units))
            known = Vertex("source", content, f"{space.shown}::{name}", space.name, keep=space)
            self._sources[id(space), name] = known
            self.later(known, lambda vertex: self._fill_source(vertex, space, name, units))
        return known

    def _fill_source(self, vertex: Vertex, space: Space, name: str, units: list[Unit]) -> None:
        for number, unit in enumerate(units):
            self.fill_part(vertex, space, unit.body, f"{number} ")
        for number, index in enumerate(space.table.assigners.get(name, ())):
            vertex.link(f"assigned {number}", [self.unit(space, index)])
        if not _holds_nothing((space.names or {}).get(name)):
            vertex.link("touched", self._touching.of_variable(space, name))


def _holds_nothing(value: object) -> bool:
    """Is a value one to which nothing is done that shows in a result: a lock, a logger?"""
    return type(value).__module__.partition(".")[0] in ("_thread", "logging")


def _roots(unit: Unit) -> set[str]:
    return {chain[0] for part in unit.parts for chain in part.uses.chains}


def _ends(path: str) -> Iterator[str]:
    """The names, dotted, that a file could have as a module, by the folder that `sys.path` may hold."""
    name = ""
    for part in reversed(path.split(os.sep)):
        if not part.isidentifier():
            return
        name = f"{part}.{name}" if name else part
        yield name


_NOTHING = object()
