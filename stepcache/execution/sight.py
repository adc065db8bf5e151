"""What nodes depend on, seen with this run's eyes: the code they reach, what they read, and whether it still holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from attrs import evolve, field

from stepcache.collect.harvest import Level, identity
from stepcache.collect.load import ProjectModules
from stepcache.collect.packed import Row, is_plain
from stepcache.collect.snapshot import ModuleFacts, Snapshot, source_digest
from stepcache.digest import digest_all
from stepcache.key.files import ACCESS_KINDS, FileDigests
from stepcache.key.ingredients import (
    Facts,
    Recipe,
    Surroundings,
    definitions_of,
    facts_of,
    recipe,
)
from stepcache.key.libraries import is_library
from stepcache.key.look import SEPARATOR, Look, declared, named, named_variables, now
from stepcache.key.modules import Modules
from stepcache.key.observe import Observer, Seen, Watch
from stepcache.key.reach import CodeReader, Reach
from stepcache.key.remembered import Remembered
from stepcache.key.rules import Rules
from stepcache.key.stains import Stains
from stepcache.model import BoundResource, Node, Observation, Trace, Value
from stepcache.records import define

_NOTHING = Seen(())
# Of the digest of a world: the first half is of sources, the second of what their imports read.
_HALF = 32


@define
class Sight:
    """Looks at code, files and variables for the nodes of a run."""

    root: str
    cwd: str
    modules: Modules
    loaded: ProjectModules
    reader: CodeReader
    observer: Observer
    files: FileDigests
    keyed: Callable[[str], str]
    stains: Stains
    ignored: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    handed: Callable[[], tuple[str, ...]] = tuple
    """The folders in which returned files lie when they are handed on: they are part of the values."""
    import_reads: dict[str, tuple[Observation, ...]] = field(factory=dict)
    homes: Mapping[str, Level] = field(factory=dict)
    """The files in which nodes are bound, by their portable names."""
    remembered: Remembered = field(factory=Remembered)
    imported: frozenset[str] = frozenset()
    """The project modules that were imported before any body ran."""
    snapshot: Snapshot | None = None
    """What is known of files that are not imported yet."""
    _elements_of: str = ""
    """The mapped step whose elements run."""
    _world: str | None = None
    _classes: dict[tuple[str, ...], bytes] = field(factory=dict)
    _rules: dict[tuple[tuple[str, ...], tuple[str, ...]], Rules] = field(factory=dict)
    _sources: dict[int, tuple[Mapping[str, tuple[str, str]], Facts]] = field(factory=dict)
    _facts: dict[Facts, Facts] = field(factory=dict)
    _reached: dict[str, tuple[Node, Reach]] = field(factory=dict)
    _held: dict[str, list[Reach]] = field(factory=dict)
    """What classes reach whose instances nodes take."""

    # --- code

    def recipe(self, node: Node, resources: Mapping[str, BoundResource], values: Mapping[str, Value]) -> Recipe:
        """What goes into the node's key."""
        direct = [values[n].output(need.output) for need in node.needs for n in need.nodes if n in values]
        held = {each: None for v in (*direct, *(values[n] for n in node.through if n in values)) for each in v.classes}
        classes = [self.reader.reach_class(each) for each in held if self.modules.is_project(each.partition(":")[0])]
        if classes:
            self._held[node.id] = classes
        around = Surroundings(self.root, self.files, values, self.keyed)
        return recipe(node, resources, self._reach(node, resources), classes, around)

    def classes_digest(self, classes: tuple[str, ...]) -> bytes:
        """What project classes an element holds instances of, with their code and the variables that it reaches."""
        found = self._classes.get(classes)
        if found is None:
            own = [self.reader.reach_class(c) for c in classes if self.modules.is_project(c.partition(":")[0])]
            told = sorted((r.digest, *(f"{o.name}={o.digest}" for o in r.variables)) for r in own)
            found = bytes.fromhex(digest_all("classes", (text for each in told for text in each)))
            self._classes[classes] = found
        return found

    def facts(self, made: Recipe | None) -> Facts:
        """What the code of a recipe says of what it reads; many nodes share one."""
        if made is None:
            return Facts()
        found = facts_of(made.reaches)
        return self._facts.setdefault(found, found)

    def settle(self, nodes: Iterable[Node], resources: Mapping[str, BoundResource]) -> None:
        """Look at all code and module variables that nodes reach, before a step can change one."""
        for node in nodes:
            self._reach(node, resources)

    def _reach(self, node: Node, resources: Mapping[str, BoundResource]) -> Reach:
        known = self._reached.get(node.id)
        if known is None or known[0] is not node:
            known = self._reached[node.id] = (node, self._read(node, resources))
        return known[1]

    def _read(self, node: Node, resources: Mapping[str, BoundResource]) -> Reach:
        if self.snapshot is not None:
            known = self.snapshot.reach(self.reach_name(node, resources))
            if known is not None:
                return known
            self.rouse([node], resources)
        functions = [each.function for each in definitions_of(node, resources)]
        settings = {s.name: s.value for s in node.settings}
        home = sys.modules.get(self._home_of(node)[0])
        return self.reader.reach(functions, settings=settings, home=home or sys.modules["__main__"])

    def reach_name(self, node: Node, resources: Mapping[str, BoundResource]) -> Row | None:
        """What tells the code that the node reaches from that of others; None where objects may decide it."""
        if not all(is_plain(setting.value) for setting in node.settings):
            return None
        texts = tuple((s.name, s.value) for s in node.settings if type(s.value) is str)
        return (self._home_of(node)[0], texts, *map(identity, definitions_of(node, resources)))

    def _home_of(self, node: Node) -> tuple[str, str]:
        """The module and the path of the file that the node is bound in."""
        level = self.homes.get(node.file)
        definition = node.definition
        return (definition.module, definition.source.path) if level is None else (level.module, level.path)

    @property
    def sleeps(self) -> bool:
        """Are there files that are not imported yet?"""
        return self.snapshot is not None and self.snapshot.sleeps

    def reached(self, node: Node) -> Reach | None:
        """The code that the node was last seen to reach."""
        known = self._reached.get(node.id)
        return known[1] if known is not None else None

    def names(self, node: Node, resources: Mapping[str, BoundResource]) -> frozenset[str]:
        """The names of all definitions and variables that the node reaches."""
        every = (self._reach(node, resources), *self._held.get(node.id, ()))
        return frozenset(each.name for one in every for each in one.ingredients if each.kind == "code")

    def is_named(self, names: frozenset[str], module: str, variable: str) -> bool:
        """Is a variable of a module, or something of it, among the *names*?

        What is executed from a text, in a namespace of its own, may have come to hold any.
        """
        known = self.loaded.loaded.get(module)
        if known is None:
            return False
        name = f"{self.modules.portable(known.path)}::{variable}"
        return name in names or any(each.startswith((f"{name}.", "<")) for each in names)

    def note_imported(self) -> None:
        """What is imported now was imported before any body ran."""
        loaded = self.loaded.loaded
        self.imported = frozenset(name for name in loaded if name in sys.modules and not loaded[name].late)

    def rouse(self, nodes: Iterable[Node], resources: Mapping[str, BoundResource]) -> None:
        """Import the files that nodes are defined and bound in."""
        if self.snapshot is None or not self.snapshot.sleeps:
            return
        paths: dict[str, None] = {}
        for node in nodes:
            paths[self._home_of(node)[1]] = None
            paths.update((each.source.path, None) for each in definitions_of(node, resources))
        self.snapshot.wake(paths)

    def forget(self, modules: Iterable[str]) -> None:
        """Read all code anew; the variables of *modules*, which were imported again, too."""
        self._reached.clear()
        self.reader.forget(modules)

    def other_sources(self, made: Recipe) -> bool:
        """Were modules that the code reaches imported since, from other sources than the recipe was made of?"""
        other = [
            name
            for name in made.modules
            if name in self.loaded.loaded and self.reader.source_of(name) not in (None, self.loaded.loaded[name].source)
        ]
        if other:
            self.forget(other)
        return bool(other)

    def sources(self, facts: Facts) -> Mapping[str, tuple[str, str]]:
        """What a node's key was made of: for each module the digests of its source and of what its import read.

        The second is "" where the module is not imported here.
        """
        known = self._sources.get(id(facts))
        if known is None:
            found = {name: self._source(name) for name in facts.modules if name != "__main__"}
            known = self._sources[id(facts)] = ({name: each for name, each in found.items() if each[0]}, facts)
        return known[0]

    def _source(self, name: str) -> tuple[str, str]:
        loaded, known = self.loaded.loaded.get(name), self._known(name)
        if loaded is not None:
            source = source_digest(loaded.source)
        elif known is not None and known.imported:
            source = known.source
        else:
            text = self.reader.source_of(name)
            return (source_digest(text) if text is not None else known.source if known is not None else ""), ""
        reads = [o for o in self.reads_of_import(name) if o.kind != "environment"]  # of which each process has its own
        told = (part for o in reads for part in (o.kind, o.name, o.digest))
        return source, digest_all("reads", told)

    def other_than(self, sources: Mapping[str, tuple[str, str]]) -> str | None:
        """A module that is imported here from something else than what *sources* says, if there is one."""
        for name, (source, reads) in sources.items():
            if name in self.loaded.loaded:
                here = self._source(name)
                if here[0] != source or (reads and here[1] != reads):
                    return name
        return None

    def world(self) -> str:
        """The digest of what the values of module variables are made from: all project sources that were loaded when
        collection ended, the project's compiled modules, the distributions that these import, and what the imports have
        read."""
        if self._world is None:
            loaded = {name: each for name, each in self.loaded.loaded.items() if name in self.imported}
            asleep = self.snapshot.modules if self.snapshot is not None else {}
            sources = {name: source_digest(each.source) for name, each in loaded.items()}
            sources.update((n, facts.source) for n, facts in asleep.items() if n not in loaded and facts.imported)
            packages = {each for facts in asleep.values() if facts.imported for each in facts.packages}
            packages |= self.reader.packages(name for name in loaded if name not in asleep)
            compiled = sorted(self.files.content(path) for path in self.modules.compiled())
            told = [*sorted(sources.values()), *compiled, *self.reader.installed(packages)]
            look = self._look(None)
            reads = {(each.kind, each.name): each for name in sources for each in self.reads_of_import(name)}
            seen = [part for place in sorted(reads) for part in (*place, now(reads[place], look))]
            self._world = digest_all("world", told)[:_HALF] + digest_all("read", seen)[:_HALF]
        return self._world

    def has_same_sources(self, trace: Trace) -> bool:
        """Were all project sources the same when the trace was made, whatever their imports read?"""
        return trace.world[:_HALF] == self.world()[:_HALF]

    # --- reads

    def _look(self, made: Recipe | None) -> Look:
        variables = {o.name: o.digest for o in made.variables} if made is not None else {}
        return Look(
            self.root, self.cwd, self.files, os.environ, self.keyed, variables, self.reader.syntax, self.loaded.given
        )

    def holds(self, made: Recipe) -> Callable[[Observation], bool]:
        """Does an observation hold today?"""
        look = self._look(made)
        return lambda observation: now(observation, look) == observation.digest

    def is_as_it_was(self, observation: Observation) -> bool:
        """Does an observation that has nothing to do with a node hold today?"""
        return now(observation, self._look(None)) == observation.digest

    def unshaken(
        self, node: Node, traces: tuple[Trace, ...], holds: Callable[[Observation], bool]
    ) -> tuple[Trace, ...]:
        """*traces* without the module variables where they are the node's own and no project source has changed.

        A variable that differs all the same differs between two imports of the same sources: it counts by its source,
        which is part of the key. Another node of that key may be another closure of the same code. A notebook's
        variables have no such source: any cell may set them.
        """
        if node.definition.module == "__main__" and not hasattr(sys.modules["__main__"], "__file__"):
            return traces
        if all(holds(o) for trace in traces for o in trace.observations if o.kind == "variable"):
            return traces
        world = self.world()
        return tuple(
            evolve(t, observations=tuple(o for o in t.observations if o.kind != "variable"))
            if t.world == world and t.node == node.id
            else t
            for t in traces
        )

    def counted(self, node: Node, traces: tuple[Trace, ...]) -> tuple[Trace, ...]:
        """*traces* without what is left out by name today, whatever was when they were made."""
        if not (self.ignored or node.definition.ignore):
            return traces
        look, rules = self._look(None), self._rules_of(node.definition.ignore)

        def counts(each: Observation) -> bool:
            if each.seen_as in ("env", "given", "env beginning"):
                return rules.variable(each.name.partition(SEPARATOR)[0])
            is_path = each.seen_as in ("file", "dir", "names", "sqlite", "exists", "size", "link", *ACCESS_KINDS)
            return not (is_path and rules.ignored(look.locate(each.name.partition(SEPARATOR)[0])))

        return tuple(evolve(t, observations=tuple(filter(counts, t.observations))) for t in traces)

    def foreign(self, node: Node, classes: Iterable[str], values: Mapping[str, Value]) -> str | None:
        """Of *classes*, and functions, that another step's value holds, one of the project that the node could not have
        made: of a file with the same code that is another, or had another name. None where there is none.

        *values* are those that the node takes.
        """
        held = [each for each in classes if self.modules.is_project(each.partition(":")[0])]
        if not held:
            return None
        reach = self.reached(node)
        own = set(reach.modules) if reach is not None else set()
        own |= {each.partition(":")[0] for value in values.values() for each in value.every_class}
        return next((each for each in held if each.partition(":")[0] not in own), None)

    def lacks(self, node: Node, trace: Trace) -> Observation | None:
        """The first of the node's `reads` that the trace says nothing of: it was made before that was declared."""
        if not node.definition.reads:
            return None
        seen = {(o.kind, o.name) for o in trace.observations}
        every = named(node.definition.reads, os.path.dirname(node.definition.source.path), self._look(None))
        return next((each for each in every if (each.kind, each.name) not in seen), None)

    def begin(self, elements_of: str = "") -> None:
        """Something is about to run: have modules forget what was read before.

        The elements of one mapped step, named by *elements_of*, have what they remember in common: a model would be
        loaded for each.
        """
        if not elements_of or elements_of != self._elements_of:
            self._elements_of = elements_of
            self.remembered.forget(self.loaded.loaded)
            self.stains.take_out()

    def conclusion(self, watch: Watch, node: Node, facts: Facts) -> Seen:
        """What *watch* has seen a node do."""
        settings = {s.name: s.value for s in node.settings}
        libraries = tuple(self._libraries(facts))
        if watch.quiet and not (facts.literals or facts.ambient or settings or libraries):
            return _NOTHING
        return watch.conclude(
            self._look(None),
            self._rules_of(node.definition.ignore),
            literals=facts.literals,
            env_names=facts.names,
            settings=settings,
            reached=facts.modules,
            whole=facts.whole,
            closure=self.reader.closure,
            ambient=facts.ambient,
            libraries=libraries,
            is_project=self.modules.is_project,
        )

    def _libraries(self, facts: Facts) -> Iterator[str]:
        """The shared libraries that modules which a node reaches are, or have read while they were imported."""
        for name in facts.modules:
            file = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(file, str) and not file.endswith(".py") and is_library(file):
                yield os.path.abspath(file)
            reads = self.reads_of_import(name)
            if reads:
                look = self._look(None)
                yield from (look.locate(o.name) for o in reads if o.kind == "file" and is_library(o.name))

    def reads_of_import(self, name: str) -> tuple[Observation, ...]:
        """What a project module was seen to read while it was imported."""
        if name in self.import_reads:
            return self.import_reads[name]
        known = self._known(name)
        return known.reads if known is not None else ()

    def reads_of_imports(self) -> Iterator[Observation]:
        """What all project modules were seen to read that were imported, in the run that made the snapshot too."""
        asleep = self.snapshot.modules if self.snapshot is not None else {}
        for name in dict.fromkeys((*self.import_reads, *asleep)):
            yield from self.reads_of_import(name)

    def _known(self, name: str) -> ModuleFacts | None:
        return self.snapshot.modules.get(name) if self.snapshot is not None else None

    def set_up(self, resource: str, make: Callable[[], Any]) -> tuple[Any, tuple[Observation, ...]]:
        """Run the set-up of a resource, named where steps share its object, and see what it reads."""
        self.begin()
        before = self.stains.begin(self.loaded.loaded)
        seen = _NOTHING
        try:
            with self.observer.watch() as watch, self.loaded.importing():
                made = make()
            seen = watch.conclude(self._look(None), self._rules_of(()), is_project=self.modules.is_project)
        finally:
            self.remembered.note(watch)
            self.stains.end(before, seen.observations, for_good=True)
        if resource:
            self.stains.set_up(resource, made)
        return made, seen.observations

    def paused(self) -> AbstractContextManager[None]:
        """Nothing is seen meanwhile."""
        return self.observer.paused()

    def standing(self, node: Node, made: Recipe) -> Iterator[Observation]:
        """What counts besides what was seen: module variables, what their modules read when imported, `reads`."""
        yield from made.variables
        for name in made.modules:
            reads = self.reads_of_import(name)
            counts = bool(reads) and self._takes_of_import(name, made)
            for each in self._named_of_import(reads, made):
                yield each.of_import
                if counts:
                    yield each
        if node.definition.reads:
            yield from declared(node.definition.reads, os.path.dirname(node.definition.source.path), self._look(made))

    def _named_of_import(self, reads: Iterable[Observation], made: Recipe) -> Iterator[Observation]:
        """What an import has read: of the whole environment, what the code that is reached names."""
        for each in reads:
            if each.kind != "environment":
                yield each
            elif not each.name:
                yield from named_variables(self.facts(made).names, self._look(None))

    def _takes_of_import(self, name: str, made: Recipe) -> bool:
        """May what a module has read while it was imported be in what the code reaches there, unseen? Not where the
        import has only bound names, before any step ran, and those that are reached say all of what they stand for."""
        return name in made.made or name not in self.imported or not self.reader.is_quiet(name)

    def _rules_of(self, ignore: tuple[str, ...]) -> Rules:
        own = (*self.caches, *self.handed())
        if (ignore, own) not in self._rules:
            patterns = (*self.ignored, *ignore)
            self._rules[ignore, own] = Rules(self.root, environ=os.environ, cache=own, ignore=patterns)
        return self._rules[ignore, own]
