"""What is known only when code runs: names made at run time, modules named by them, the subclasses of a class."""

from __future__ import annotations

import os
from collections.abc import Mapping

from stepcache.key.spaces import Space
from stepcache.key.table import Dynamic
from stepcache.key.vertex import Vertex
from stepcache.key.walking import Walk


class Late:
    """Gives a definition all that what it names at run time could be."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._known: bool | None = None

    def subclasses(self, vertex: Vertex, space: Space, prefix: str) -> None:
        """Code that asks for subclasses: those of the classes that it names."""
        if space.names is None:
            vertex.link(f"{prefix}subclasses", [self._walk.everything()])
            vertex.uncertain.append(f"{space.shown}: __subclasses__: all project modules are taken in")
            return
        for label, target in list(vertex.edges):
            late = isinstance(target.keep, type) and self._imports_late()
            if isinstance(target.keep, type):
                vertex.link(f"{label} subclasses", self._walk.objects.subclasses(target.keep))
            if target.kind == "class" and (late or not isinstance(target.keep, type)):
                vertex.link(f"{label} subclasses", [self._walk.everything()])
                vertex.uncertain.append(f"{target.name}: __subclasses__: all project modules are taken in")

    def _imports_late(self) -> bool:
        """Do bodies in the loaded modules import project modules that the import of the pipeline file does not?"""
        if self._known is None:
            spaces = [space for space in map(self._walk.space, self._walk.loading) if space is not None]
            self._known = any(
                self._walk.kind(module) == "project" and not self._walk.loads(module)
                for space in spaces
                for unit in space.table.units
                for part in unit.parts
                for module in (space.absolute(one.module, one.level) for one in part.uses.imports)
            )
        return self._known

    def fill(self, vertex: Vertex, space: Space, one: Dynamic, prefix: str, settings: Mapping[str, object]) -> None:
        """Code named at run time: what the settings say, else all that it could be."""
        where = f"{space.shown}:{one.line}"
        given = settings.get(one.detail) if one.feature in ("import", "getattr") else None
        if one.feature == "names":
            vertex.link(f"{prefix}any name", [self._walk.whole(space)])
            vertex.uncertain.append(f"{where}: {one.detail}: all of {space.shown} is taken in")
        elif one.feature == "getattr":
            if isinstance(given, str):
                vertex.link(
                    f"{prefix}getattr {'.'.join(one.chain)} {one.detail}", self._walk.follow(space, (*one.chain, given))
                )
                return
            targets = self._walk.follow(space, one.chain)
            vertex.link(f"{prefix}getattr {'.'.join(one.chain)}", targets)
            vertex.uncertain += [
                f"{where}: getattr: all of {target.name} is taken in"
                for target in targets
                if target.kind == "module" and target.name
            ]
        elif isinstance(given, str):
            level = len(given) - len(given.lstrip("."))
            module = space.absolute(given.lstrip("."), level)
            vertex.link(f"{prefix}import of {one.detail}", self._walk.of_module(module, ()))
        elif one.feature == "import-prefix":
            self._prefix(vertex, space, one, prefix)
        else:
            vertex.link(f"{prefix}import of any", [self._walk.everything()])
            vertex.uncertain.append(f"{where}: an import by a name made at run time: all project modules are taken in")

    def _prefix(self, vertex: Vertex, space: Space, one: Dynamic, prefix: str) -> None:
        """An import by a name whose beginning is known: all modules of that package whose names begin so."""
        level = len(one.detail) - len(one.detail.lstrip("."))
        package, _, start = one.detail[level:].rpartition(".")
        package = space.absolute(package, level)
        place = self._walk.modules.find(package)
        names = set()
        for folder in place.folders if place is not None else ():
            for entry in os.listdir(folder) if os.path.isdir(folder) else ():
                name = entry.removesuffix(".py")
                if name.isidentifier() and name.startswith(start) and name != "__init__":
                    names.add(name)
        for name in sorted(names):
            if self._walk.kind(f"{package}.{name}") == "project":
                vertex.link(f"{prefix}import {name}", self._walk.of_module(f"{package}.{name}", ()))
        vertex.uncertain.append(
            f"{space.shown}:{one.line}: an import by a name made at run time: {package} is taken in"
        )
