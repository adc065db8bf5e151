"""Live objects → vertices: functions with their closures, classes with what was put into them, variables by value."""

from __future__ import annotations

import os
import sys
from abc import ABCMeta
from collections.abc import Mapping
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from stepcache.digest import digest
from stepcache.key.bytecode import bytecode_digest, bytecode_uses
from stepcache.key.introspect import (
    EMPTY,
    cells_of,
    functions_in,
    home_of,
    inside,
    is_a,
    is_computed,
    is_defined,
    is_method,
    methods_ask_for_subclasses,
    registered,
    stands_in,
    unit_of,
)
from stepcache.key.spaces import Space
from stepcache.key.table import Binding, Unit
from stepcache.key.value import Digested, ValueWriter, type_name
from stepcache.key.vertex import Vertex
from stepcache.key.walking import Walk

# Values as they were when first looked at, which is when the imports of the collected file had ended: what steps do
# to them later in the process must not change keys. By what holds them, then by root and name.
_settled: WeakKeyDictionary[Any, dict[tuple[str, str], Digested]] = WeakKeyDictionary()

# What Python and its class-making decorators put into a class beside what its body says.
_CLASS_NOISE = {"_abc_impl", "_is_protocol", "_is_runtime_protocol", "_asdict", "_make", "_replace", "_fields_defaults"}


def forget_values(module: ModuleType) -> None:
    """Look at a module's variables anew: it was run again."""
    _settled.pop(module, None)


class Objects:
    """Makes vertices of live objects, each once."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.modules = walk.modules
        self._functions: dict[int, Vertex] = {}
        self._classes: dict[int, Vertex] = {}
        self._variables: dict[tuple[int, str], Vertex] = {}
        self._files: dict[str, bool] = {}
        self._remakes: bool | None = None

    # --- what is project code

    def is_code(self, value: object) -> bool:
        """Is it a function, class, module or step of the project?"""
        if is_a(value, FunctionType):
            return self._is_own(value)
        if is_a(value, type):
            return self.modules.is_project(home_of(value))
        if is_a(value, ModuleType):
            return self.modules.is_project(value.__name__)
        return is_defined(value)

    def _is_own(self, function: FunctionType) -> bool:
        file = function.__code__.co_filename
        if file.startswith("<"):
            # Made by `exec`: the project's, unless in the namespace of a module that is not.
            module = str(function.__globals__.get("__name__") or "")
            return self.modules.kind(module) in ("project", "missing")
        known = self._files.get(file)
        if known is None:
            known = self._files[file] = self.modules.is_project(os.path.abspath(file))
        return known

    def of(self, value: Any) -> list[Vertex]:
        """What a piece of code stands for that a value holds."""
        if is_defined(value):
            return [self.function(value.definition.function)]
        if is_a(value, FunctionType):
            return [self.function(value)]
        if is_a(value, type):
            return [self.class_(value)]
        return self.walk.of_module(value.__name__, ())

    # --- names

    def named(self, space: Space, name: str, value: Any, bindings: tuple[Binding, ...]) -> list[Vertex]:
        """What a global name stands for by its value."""
        units = [binding.unit for binding in bindings if binding.unit >= 0]
        made_by = next((i for i in reversed(units) if space.table.units[i].kind in ("function", "class")), None)
        assigned = made_by is None and units
        if is_defined(value):
            opaque = assigned and self.holds_opaque(value.definition.function)
            return self.of(value) + ([self.walk.source_of(space, name)] if opaque else [])
        owner = value if is_a(value, (FunctionType, type)) else type(value)
        if str(owner.__module__).startswith("stepcache."):
            return [self.walk.leaf("stepcache", "")]
        if is_a(value, (FunctionType, type)):
            if self.is_code(value):
                found = self.of(value)
                by_source = assigned and (is_a(value, type) or self.holds_opaque(value))
                return found + ([self.walk.source_of(space, name)] if by_source else [])
            if made_by is None:
                return self._foreign(space, name, value, bool(units))
        if made_by is not None:
            return self._decorated(space, name, value, made_by)
        return [self.variable(space, name, value)]

    def _foreign(self, space: Space, name: str, value: Any, assigned: bool) -> list[Vertex]:
        """A function or class that is not the project's; one that was made here counts by how it was made, too."""
        module = getattr(value, "__module__", None) or "builtins"
        kind = self.modules.kind(module)
        found = [self.walk.leaf(kind, type_name(value), module if kind == "package" else "")]
        if assigned:
            found.append(self.walk.source_of(space, name))
        if hasattr(value, "registry"):
            found.append(self.variable(space, name, value))
        return found

    def _decorated(self, space: Space, name: str, value: Any, index: int) -> list[Vertex]:
        """What a decorator made of a definition: the definition as written, and what it was registered or held with."""
        found = [self.walk.unit(space, index)]
        if self.is_code(type(value)) or (is_a(value, FunctionType) and hasattr(value, "registry")):
            found.append(self.variable(space, name, value))
        return found

    def subclasses(self, cls: type) -> list[Vertex]:
        """The classes of the project that are made from a class, directly or not."""
        found: dict[type, None] = {}
        todo: list[type] = [cls]
        while todo:
            children: list[type] = todo.pop().__subclasses__()
            for child in children:
                if child not in found and self.is_code(child) and self._is_loaded(child):
                    found[child] = None
                    todo.append(child)
        return sorted(map(self.class_, found), key=_content)

    def _is_loaded(self, cls: type) -> bool:
        """Is a class there when the pipeline files were imported, whatever steps have imported since?"""
        home = home_of(cls)
        return self.walk.loads(home) or self.walk.spaces.is_collected(home) or home == "__main__"

    # --- variables

    def variable(self, space: Space, name: str, value: Any) -> Vertex:
        """A module variable: by its value, else by its assignments."""
        known = self._variables.get((id(space), name))
        if known is None:
            table = space.table
            if name in table.assigners or name in table.impure:
                return self.walk.source_of(space, name)
            known = Vertex("variable", "variable", f"{space.shown}::{name}", space.name, keep=value)
            self._variables[id(space), name] = known
            holder = sys.modules.get(space.name)
            if holder is None or holder.__dict__ is not space.names:
                holder = None
            found = self.settled(holder, name, value)
            self.hold(known, found, space.folder)
            known.made = not found.plain
            if found.opaque is not None or any(map(self.holds_opaque, found.references)):
                known.link("assigned", [self.walk.source_of(space, name)])
        return known

    def settled(self, holder: Any, name: str, value: object) -> Digested:
        """The digest of a value as it was when it was first looked at in this process."""
        if holder is None:
            return self.digested(value)
        values = _settled.setdefault(holder, {})
        key = (self.modules.root, name)
        found = values.get(key)
        if found is None:
            found = values[key] = self.digested(value)
        return found

    def digested(self, value: object) -> Digested:
        """The digest of a value now."""
        return ValueWriter(self.is_code, self.modules.root).digested(value)

    def hold(self, vertex: Vertex, found: Digested, folder: str, *, label: str = "holds") -> None:
        """Give a vertex the value that it holds, and the code in it."""
        vertex.state = found.digest
        vertex.literals += [(text, folder) for text in found.strings]
        vertex.packages += [module for module in found.modules if self.modules.kind(module) == "package"]
        for number, reference in enumerate(found.references):
            vertex.link(f"{label} {number}", self.of(reference))
        for module in found.modules:
            if self.modules.kind(module) == "project":
                # A compiled module's own: it counts as a whole.
                vertex.link(f"{label} of {module}", self.walk.of_module(module, ()))

    # --- functions

    def function(self, function: Any) -> Vertex:
        """A live function, or what else a step calls."""
        known = self._functions.get(id(function))
        if known is None:
            known = self._functions[id(function)] = self._make_function(function, None)
        return known

    def root(self, function: Any, settings: Mapping[str, object]) -> Vertex:
        """The function of a step or resource, called with *settings*: its defaults do not count."""
        return self._make_function(function, settings)

    def holds_opaque(self, value: Any, seen: tuple[Any, ...] = ()) -> bool:
        """Does a value hold something without a digest, in itself or in what its functions close over or default to?

        The same code may hold another one elsewhere: which of them it is, only the statement that made it says.
        """
        if is_a(value, FunctionType):
            held = [inside(cell) for cell in value.__closure__ or ()]
            held += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        elif is_a(value, type):
            held = [inside(cell) for cell in cells_of(value).values()] if "<locals>" in value.__qualname__ else []
        else:
            found = self.digested(value)
            if found.opaque is not None:
                return True
            held = [each for each in found.references if is_a(each, (FunctionType, type))]
        return any(
            self.holds_opaque(each, (*seen, value))
            for each in held
            if not (each is EMPTY or is_a(each, ModuleType) or any(each is one for one in seen))
        )

    def made(self, top: Vertex, function: Any) -> None:
        """A step that holds what has no digest counts by the statements that made it."""
        if (is_a(function, FunctionType) and not function.__closure__) or not self.holds_opaque(function):
            return
        for space in filter(None, map(self.walk.space, self.walk.loading)):
            for variable, value in (space.names or {}).items():
                if is_defined(value) and value.definition.function is function and variable in space.table.bindings:
                    top.link(f"made {variable}", [self.walk.source_of(space, variable)])

    def _told(self, function: object) -> str:
        """What explanations call something that is called and no function: by what it calls, in the pipeline file."""
        inner = function.func if is_a(function, partial) else function
        inner = inner.__func__ if is_a(inner, MethodType) else inner
        home = self.walk.space(self.walk.loading[0])
        name = (inner if is_a(inner, FunctionType) else type(inner)).__qualname__
        return f"{home.shown}::{name}" if home is not None else name

    def _make_function(self, function: Any, settings: Mapping[str, object] | None) -> Vertex:
        if not is_a(function, FunctionType):
            vertex = Vertex("variable", "callable", self._told(function), keep=function)
            self.hold(vertex, self.digested(function), "")
            return vertex
        space = self.space_of(function)
        unit = unit_of(space, function.__code__)
        if unit is None:
            return self._compiled(function, space)
        vertex = self.walk.vertex_of(space, unit, root=settings is not None)
        if self._remade():
            vertex.content = digest("remade", vertex.content, bytecode_digest(function.__code__))
        vertex.keep = function
        return self.walk.later(vertex, lambda vertex: self._fill_function(vertex, function, space, unit, settings))

    def _remade(self) -> bool:
        """May a loaded module have given functions other code or defaults than their source says?"""
        if self._remakes is None:
            spaces = map(self.walk.space, self.walk.loading)
            self._remakes = any(space is not None and space.table.remakes for space in spaces)
        return self._remakes

    def space_of(self, function: FunctionType) -> Space:
        """The namespace of a function."""
        return self.walk.spaces.of_globals(function.__globals__, function.__code__.co_filename)

    def _fill_function(
        self, vertex: Vertex, function: FunctionType, space: Space, unit: Unit, settings: Mapping[str, object] | None
    ) -> None:
        self.walk.fill_unit(vertex, space, unit, settings)
        values: dict[str, object] = {}
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self._fill_free(vertex, space, unit, cells, values)
        computed = unit.defaults is not None and is_computed(unit.defaults)
        if settings is None and (computed or self._remade()):
            values["__defaults__"] = function.__defaults__
            values["__kwdefaults__"] = function.__kwdefaults__
        for name, value in function.__dict__.items():
            if name == "__wrapped__" and self.is_code(value):
                vertex.link("wraps", self.of(value))
            elif not name.startswith("_stepcache_"):
                values["." + name] = value
        if values:
            self.hold(
                vertex, self.settled(function, "root" if settings is not None else "called", values), space.folder
            )

    def _fill_free(
        self, vertex: Vertex, space: Space, unit: Unit, cells: Mapping[str, CellType], values: dict[str, object]
    ) -> None:
        """Names of an enclosing function: by what the closure holds, else by that function's source."""
        changing = {name for part in unit.parts for name in part.uses.nonlocals}
        unknown = False
        for part in unit.parts:
            for chain in part.uses.free:
                label, cell = f"free {'.'.join(chain)}", cells.get(chain[0])
                value = inside(cell)
                if value is EMPTY or chain[0] in changing:
                    vertex.made = True
                    unknown = unknown or chain[0] != "__class__"
                elif is_a(value, ModuleType):
                    vertex.link(label, self.walk.of_module(value.__name__, chain[1:]))
                elif is_a(value, (FunctionType, type)) and self.is_code(value):
                    vertex.link(label, self.of(value))
                else:
                    values[chain[0]] = value
                    unknown = unknown or self.digested(value).opaque is not None
        outer = space.table.units[unit.top]
        if unknown and outer is not unit:
            target = self.walk.unit(space, unit.top) if outer.kind != "statement" else None
            vertex.link("made by", [target] if target is not None else [])

    def _compiled(self, function: FunctionType, space: Space) -> Vertex:
        """A function whose source is not to be had, or is one of several: by what it was compiled to."""
        code = function.__code__
        shown, name = space.shown, code.co_qualname
        module = sys.modules.get(function.__module__ or "")
        if name.startswith("__create_fn__.") and is_a(module, ModuleType):  # a method that dataclasses has made
            shown, name = self.walk.spaces.live(module).shown, function.__qualname__
        vertex = Vertex("compiled", bytecode_digest(code), f"{shown}::{name}", space.name)
        vertex.keep = function

        def fill(vertex: Vertex) -> None:
            self.walk.fill_uses(vertex, space, bytecode_uses(code, function.__globals__))
            held: list[object] = [function.__defaults__, function.__kwdefaults__]
            held += [inside(cell) for cell in function.__closure__ or ()]
            self.hold(vertex, self.settled(function, "", held), space.folder)

        return self.walk.later(vertex, fill)

    # --- classes

    def class_(self, cls: type) -> Vertex:
        """A live class."""
        known = self._classes.get(id(cls))
        if known is None:
            space, units = self._class_source(cls)
            unit = units[0] if units else None
            if unit is not None:
                known = self.walk.vertex_of(space, unit)
            else:
                known = Vertex(
                    "class", f"made class {cls.__qualname__}", f"{space.shown}::{cls.__qualname__}", space.name
                )
            known.keep = cls
            self._classes[id(cls)] = known
            self.walk.later(known, lambda vertex: self._fill_class(vertex, cls, space, unit))
            for other in units[1:]:
                index = next(i for i in space.table.named(cls.__qualname__) if space.table.units[i] is other)
                known.link("or", [self.walk.unit(space, index)])
        return known

    def _class_source(self, cls: type) -> tuple[Space, list[Unit]]:
        """The namespace of a class, and its definition: of several of one name, the one that its methods stand in.

        Where nothing tells which one it is, it may be each of them.
        """
        codes = [function.__code__ for _, function in functions_in(cls)]
        space = self._class_space(cls)
        units = [space.table.units[i] for i in space.table.named(cls.__qualname__)]
        units = [unit for unit in units if unit.kind == "class"]
        within = [
            u for u in units if any(u.line <= c.co_firstlineno <= u.end and c.co_filename == space.path for c in codes)
        ]
        return space, within[-1:] or units[::-1]

    def _class_space(self, cls: type) -> Space:
        home = home_of(cls)
        module = sys.modules.get(home)
        for _, function in functions_in(cls):
            if function.__globals__.get("__name__") == home and not function.__code__.co_filename.startswith("<"):
                return self.space_of(function)
        if module is not None and is_a(module, ModuleType):
            return self.walk.spaces.live(module)
        return self.walk.spaces.static(home) or self.walk.spaces.of_globals({"__name__": home}, "")

    def _fill_class(self, vertex: Vertex, cls: type, space: Space, unit: Unit | None) -> None:
        values: dict[str, object] = {}
        if unit is not None:
            self.walk.fill_unit(vertex, space, unit)
            self._fill_free(vertex, space, unit, cells_of(cls), values)
        for number, base in enumerate(cls.__bases__):
            vertex.link(f"base {number}", self._class_or_leaf(base))
        vertex.link("metaclass", self._class_or_leaf(type(cls)))
        if "subclasses" in vertex.marks or (unit is not None and methods_ask_for_subclasses(space, unit)):
            vertex.link("subclass", self.subclasses(cls))
        for name, function in functions_in(cls):
            # What dataclasses, attrs and namedtuple generate follows from the fields.
            generated = function.__code__.co_filename.startswith("<") and (unit is not None or hasattr(cls, "_fields"))
            own = stands_in(function.__code__, space, unit) and function.__code__.co_name == name
            if not generated and not own and self.is_code(function):
                vertex.link(f"attribute {name}", [self.function(function)])
        for name, _ in unit.methods if unit is not None else ():
            if name not in cls.__dict__:
                vertex.link(f"without {name}", [self.walk.leaf("absent", "")])
        values.update(self._class_values(cls, unit))
        if is_a(cls, ABCMeta) and (known := registered(cls)):
            values["registered"] = known
        if values:
            self.hold(vertex, self.settled(cls, "", values), space.folder)

    def _class_values(self, cls: type, unit: Unit | None) -> dict[str, object]:
        """What a class holds besides methods: its attributes' values, where they can be told."""
        enum = sys.modules.get("enum")
        if enum is not None and isinstance(cls, enum.EnumType):
            members: Mapping[str, Any] = cls.__members__
            return {name: member._value_ for name, member in members.items()}
        found = {}
        for name, value in list(cls.__dict__.items()):  # to look at a value may make another
            if (name.startswith("__") and name.endswith("__")) or name in _CLASS_NOISE or is_method(value):
                continue
            inner = is_a(value, type) and value.__qualname__.startswith(cls.__qualname__ + ".")
            if inner and unit is not None:
                continue
            if self.digested(value).opaque is None:
                found[name] = value
        return dict(sorted(found.items()))

    def _class_or_leaf(self, cls: type) -> list[Vertex]:
        if self.is_code(cls):
            return [self.class_(cls)]
        home = home_of(cls)
        kind = self.modules.kind(home)
        return [self.walk.leaf(kind, type_name(cls), home if kind == "package" else "")]


def _content(vertex: Vertex) -> str:
    return vertex.content
