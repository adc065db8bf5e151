"""From a step to all the code that it reaches: `CodeReader.reach` gives its digest and what explains it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any

from stepcache.key.canonical import Reach, reach_from
from stepcache.key.follow import Walk
from stepcache.key.installed import Distribution, closure_of
from stepcache.key.introspect import unit_of
from stepcache.key.modules import Modules
from stepcache.key.objects import forget_values
from stepcache.key.quiet import binds_only, loud
from stepcache.key.restless import restless
from stepcache.key.spaces import LoadedSource, Memo, Spaces
from stepcache.key.vertex import Vertex
from stepcache.model import class_name

__all__ = ["CodeReader", "Reach"]

_PLAIN = {str, int, float, bool, type(None), bytes, complex}


class CodeReader:
    """Reads code, and remembers what it read until told to forget.

    *memo* keeps tables of sources from run to run; *loaded_source* gives the source that a loaded module was made
    from, or None where the file says it; *is_late* says whether a body has imported it.
    """

    def __init__(
        self,
        modules: Modules,
        memo: Memo | None = None,
        loaded_source: LoadedSource | None = None,
        is_late: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.modules = modules
        self._memo = memo
        self._loaded_source = loaded_source
        self._is_late = is_late
        self._files: tuple[str, ...] = ()
        self.forget(())

    def collected(self, files: tuple[str, ...]) -> None:
        """Say which modules are the files that were collected."""
        if files != self._files:
            self._files = files
            self.forget(())

    def forget(self, modules: Iterable[str]) -> None:
        """Read all anew; the variables of *modules*, which were imported again, too."""
        self.modules.refresh()
        self._spaces = Spaces(self.modules, self._memo, self._loaded_source, self._files)
        self._walks: dict[tuple[str, ...], Walk] = {}
        self._walks_of: dict[tuple[object, ...], Walk] = {}
        self._reached: dict[tuple[Any, ...], tuple[Reach, object]] = {}
        self._owners: dict[str, tuple[Distribution, ...]] = {}
        self._quiet: dict[str, bool] = {}
        for name in modules:
            loaded = sys.modules.get(name)
            if isinstance(loaded, ModuleType):
                forget_values(loaded)

    def source_of(self, module: str) -> bytes | None:
        """The source that digests of code in *module* were made of, if any were."""
        return self._spaces.sources.get(module)

    def syntax(self, path: str) -> str:
        """The digest of a source file, as it is now, without what does not count in it."""
        return self._spaces.table_of_file(path).digest

    def looked_at(self) -> Iterator[str]:
        """The files of the modules that were looked at, and behind a slash the folders that they were sought in."""
        yield from self._spaces.paths()
        for place in self.modules.places():
            yield from (os.path.join(folder, "") for folder in place.folders)
            if place.path is not None:
                yield place.path

    def closure(self, modules: Iterable[str]) -> set[str]:
        """*modules* and the project modules that importing them imports."""
        return {name for module in modules for name in self._spaces.closure(module)}

    def restless(self, modules: Iterable[str]) -> str:
        """What of the clock or of chance the import of *modules* uses; "" if nothing is seen."""
        return restless(self._spaces, modules)

    def loud(self, modules: Iterable[str]) -> str:
        """What in the import of *modules* may do something to others; "" if nothing is seen."""
        return loud(self._spaces, modules)

    def is_quiet(self, module: str) -> bool:
        """Does the import of *module* only bind names in it, by what is known to do nothing else?"""
        if module not in self._quiet:
            self._quiet[module] = binds_only(self._spaces, module)
        return self._quiet[module]

    def needs(self, module: str) -> set[str]:
        """*module* and the project modules that it and they import anywhere, in functions too."""
        return set(self._spaces.needs(module))

    def sources(self) -> dict[str, bytes]:
        """The sources of all modules that were looked at, by name."""
        return dict(self._spaces.sources)

    # --- reach

    def reach(self, roots: Sequence[Any], *, settings: Mapping[str, object], home: ModuleType) -> Reach:
        """What *roots* reach: a step's plain function, then those of the resources it takes.

        *settings* are the first one's; modules and attributes that it asks for by them are followed, and the code in
        their values too. *home* is the module of its pipeline file: names are looked up live in the modules that
        importing it imports, and by source in all others.
        """
        walk = self._walk(home.__name__, roots)
        told = settings and tuple(
            (name, value if type(value) is str else id(value))
            for name, value in settings.items()
            if type(value) is str or type(value) not in _PLAIN
        )
        key = (id(walk), *map(id, roots), self._told(walk, roots, told) if told else ())
        known = self._reached.get(key)
        if known is None:
            root = self._root(walk, roots, settings)
            # What is named by its id is kept: another object must not come to have it.
            kept = (tuple(roots), dict(settings)) if told else tuple(roots)
            known = self._reached[key] = (reach_from(root, self._owners_of), kept)
        return known[0]

    def _told(self, walk: Walk, roots: Sequence[Any], told: tuple[tuple[str, object], ...]) -> tuple[object, ...]:
        """Of the settings, those that may decide what is reached."""
        first = roots[0] if roots else None
        unit = unit_of(walk.objects.space_of(first), first.__code__) if isinstance(first, FunctionType) else None
        asked = {one.detail for one in unit.body.uses.dynamic} if unit is not None else set()
        return tuple(pair for pair in told if type(pair[1]) is not str or pair[0] in asked)

    def _walk(self, home: str, roots: Sequence[Any]) -> Walk:
        owners = [getattr(f, "__globals__", {}).get("__name__", getattr(f, "__module__", "")) for f in roots]
        every = (home, *owners)
        walk = self._walks_of.get(every)
        if walk is None:
            names = [home, *(str(owner) for owner in owners if owner and self.modules.is_project(str(owner)))]
            key = tuple(dict.fromkeys(names))
            if key not in self._walks:
                self._walks[key] = Walk(self._spaces, list(key), self._is_late)
            walk = self._walks_of[every] = self._walks[key]
        return walk

    def _root(self, walk: Walk, roots: Sequence[Any], settings: Mapping[str, object]) -> Vertex:
        """A vertex above the roots, the settings with code in them, and the effects of imports."""
        top = Vertex("reach", "reach")
        for number, function in enumerate(roots):
            top.link(f"root {number:04}", [walk.objects.root(function, settings if number == 0 else {})])
            walk.objects.made(top, function)
        for name, value in settings.items():
            if type(value) not in _PLAIN:
                found = walk.objects.digested(value)
                top.packages += [module for module in found.modules if self.modules.kind(module) == "package"]
                for number, reference in enumerate(found.references):
                    top.link(f"setting {name} {number}", walk.objects.of(reference))
        for label, vertex in walk.effects.vertices():
            top.link(label, [vertex])
        walk.finish()
        return top

    def reach_class(self, cls: type | str) -> Reach:
        """What a class reaches whose instances are in values, by its source: nothing is imported.

        A class may be given as "module:qualname". It is the same whether or not its module is loaded.
        """
        name = cls if isinstance(cls, str) else class_name(cls)
        known = self._reached.get((name,))
        if known is None:
            known = self._reached[name,] = (reach_from(self._class_root(name), self._owners_of), None)
        return known[0]

    def _class_root(self, name: str) -> Vertex:
        module, _, qualname = name.partition(":")
        walk = self._walks.setdefault((), Walk(self._spaces, [], self._is_late))
        top = Vertex("reach", "class")
        top.marks.add("attributes")  # who takes an instance may call whatever it has
        space = walk.space(module) if self.modules.is_project(module) else None
        if space is None:
            top.link("class", walk.of_module(module, tuple(qualname.split("."))))
        else:
            units = space.table.named(qualname)
            found = [walk.unit(space, index) for index in units] or walk.follow(space, (qualname.partition(".")[0],))
            top.link("class", found)
        walk.finish()
        return top

    def settle(self, roots: Iterable[Any], home: ModuleType) -> None:
        """Look at all variables that functions of a pipeline file reach, at the end of its import.

        What steps do to the variables later in the process then changes no key.
        """
        for function in roots:
            self.reach([function], settings={}, home=home)

    def packages(self, names: Iterable[str]) -> set[str]:
        """The installed packages that modules of the project import."""
        found = set()
        for name in list(names):
            space = self._spaces.static(name)
            for module, level, _ in space.table.imports if space is not None else ():
                if not level and self.modules.kind(module.partition(".")[0]) == "package":
                    found.add(module.partition(".")[0])
        return found

    def installed(self, packages: Iterable[str]) -> list[str]:
        """The distributions of installed packages, with their versions and builds."""
        owners = {one for module in packages for one in self._owners_of(module)}
        return sorted(f"{one.name} {one.version} {one.build}" for one in owners)

    def _owners_of(self, module: str) -> tuple[Distribution, ...]:
        """The distribution that owns an installed module, and its requirements."""
        known = self._owners.get(module)
        if known is None:
            found = self.modules.distribution(module)
            known = self._owners[module] = closure_of(found) if found is not None else ()
        return known
