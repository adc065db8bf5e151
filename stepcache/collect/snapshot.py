"""What an earlier run collected, as far as it holds: levels whose files are not imported until they are needed."""

from __future__ import annotations

import importlib
import marshal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from attrs import field

from stepcache.collect.discover import stepconf_chain
from stepcache.collect.harvest import Level, harvest, identity
from stepcache.collect.load import ProjectModules
from stepcache.collect.packed import NotPlain, Row, pack, unpack
from stepcache.collect.search import same_file
from stepcache.digest import digest_all
from stepcache.errors import CollectionFailed
from stepcache.key.reach import Reach
from stepcache.model import Definition, Ingredient, Observation, become, is_asleep
from stepcache.records import define, frozen


class Outdated(CollectionFailed):
    """What a snapshot says does not hold after all: all is to be collected anew."""


def source_digest(source: bytes) -> str:
    """The digest of a module's source."""
    return digest_all("source", [source])


@frozen
class ModuleFacts:
    """What is known of a project module without importing it.

    `stamp` tells cheaply that its file was changed; it is None where that cannot be told. `source` is the digest of its
    source, `reads` what its import was seen to read, `packages` the installed packages that it imports. `imported` is
    false where it was only looked at.
    """

    path: str
    stamp: tuple[int, int, int] | None
    source: str
    reads: tuple[Observation, ...] = ()
    packages: tuple[str, ...] = ()
    imported: bool = True


@frozen
class LevelRow:
    """A level as plain data: names and numbers of its definitions, and the project modules that it rests on."""

    file: str
    path: str
    module: str
    own: tuple[tuple[str, int], ...]
    checks: tuple[int, ...]
    needs: frozenset[str]


@define(eq=False)
class Snapshot:
    """The levels that hold by path, in the order in which they were collected, and what goes with them.

    `modules` are the facts of the project modules that are as they were. `reaches` is the code that nodes reach, by
    `Sight.reach_name`, each with the modules whose needs it rests on. `loud` says what in the import of these files may
    do something to others: if there is anything, all of them are imported as soon as one is.
    """

    project: ProjectModules
    definitions: Sequence[bytes] = ()
    levels: Mapping[str, LevelRow] = field(factory=dict)
    modules: Mapping[str, ModuleFacts] = field(factory=dict)
    reaches: Mapping[Row, tuple[bytes, tuple[str, ...]]] = field(factory=dict)
    loud: str = ""
    paths: tuple[str, ...] = ()
    """The files that it rests on, and behind a slash the folders whose names count, but for those of `sys.path`."""
    grounds: Row = ()
    """The same as plain data, but for the sources of the modules."""
    caught: Callable[[], AbstractContextManager[None]] = nullcontext
    """What is printed in this context is caught."""
    _made: dict[int, Definition] = field(factory=dict)
    _asleep: dict[str, Level] = field(factory=dict)
    _read: dict[Row, Reach] = field(factory=dict)
    _compared: set[str] = field(factory=set)
    """The modules that were imported and are what they were."""

    # --- levels

    def level(self, path: str, module: str) -> Level | None:
        """The level of a file that goes by the name *module*, asleep; None where it has to be imported."""
        row = self.levels.get(path)
        if row is None or row.module != module:
            return None
        own = {name: self._definition(number) for name, number in row.own}
        level = Level(row.file, row.path, row.module, own, tuple(map(self._definition, row.checks)))
        self._asleep[path] = level
        return level

    def _definition(self, number: int) -> Definition:
        known = self._made.get(number)
        if known is None:
            row = marshal.loads(self.definitions[number])
            known = self._made[number] = unpack(row, partial(self.wake, (row[2][1],)))
        return known

    def packed_definitions(self) -> dict[int, bytes]:
        """What the definitions were made of, by their ids."""
        return {id(each): self.definitions[number] for number, each in self._made.items()}

    def packed_reaches(self) -> dict[int, bytes]:
        """What the code that was reached was made of, by its id."""
        return {id(reach): self.reaches[name][0] for name, reach in self._read.items()}

    @property
    def sleeps(self) -> bool:
        """Is there a level whose file is not imported?"""
        return bool(self._asleep)

    def wake(self, paths: Iterable[str]) -> None:
        """Import these files, with the stepconf.py files that hold for them; all of them where the project is loud.

        Raises `Outdated` where that fails, or gives something else than it did.
        """
        wanted = {each for path in paths for each in (path, *stepconf_chain(path, self.project.root))}
        if self.loud and not wanted.isdisjoint(self._asleep):
            self.wake_all()
        else:
            self._wake({path: level for path, level in self._asleep.items() if path in wanted})

    def wake_all(self) -> None:
        """Import all files."""
        self._wake(dict(self._asleep))

    def _wake(self, todo: Mapping[str, Level]) -> None:
        if not todo:
            return
        for path in todo:
            del self._asleep[path]
        with self.caught():
            for path, level in todo.items():
                self._import(path, level)
        for name in self.project.loaded.keys() & self.modules.keys() - self._compared:
            self._compared.add(name)
            loaded, facts = self.project.loaded[name], self.modules[name]
            if (loaded.path, source_digest(loaded.source)) != (facts.path, facts.source):
                raise Outdated(f"{name} is another module than it was")

    def _import(self, path: str, level: Level) -> None:
        try:
            if path in self.project.names:
                module = self.project.load(path)
            else:
                with self.project.importing():
                    module = importlib.import_module(level.module)
        except Exception as error:
            raise Outdated(f"{level.file} cannot be imported: {type(error).__name__}: {error}") from error
        if not same_file(str(getattr(module, "__file__", None)), path):
            raise Outdated(f"{level.module} is no longer {level.file}")
        live, _ = harvest(module, path, self.project.root)
        found = {identity(each): each for each in (*live.own.values(), *live.checks)}
        for each in (*level.own.values(), *level.checks):
            if is_asleep(each):
                self._become(each, found.get(identity(each)), level)

    @staticmethod
    def _become(asleep: Definition, live: Definition | None, level: Level) -> None:
        try:
            same = live is not None and repr(pack(live)) == repr(pack(asleep))  # NaN is not equal to itself
        except NotPlain:
            same = False
        if live is None or not same:
            raise Outdated(f"{asleep.source}: {asleep.kind} '{asleep.name}' has changed although {level.file} has not")
        become(asleep, live)

    # --- code

    def reach(self, name: Row | None) -> Reach | None:
        """The code that was reached under that name."""
        if name is None:
            return None
        known = self._read.get(name)
        if known is None and name in self.reaches:
            known = self._read[name] = unpack_reach(self.reaches[name][0])
        return known


def pack_level(level: Level, numbers: Callable[[Definition], int], needs: frozenset[str]) -> LevelRow:
    """The level as plain data. Raises NotPlain."""
    own = tuple((name, numbers(each)) for name, each in level.own.items())
    return LevelRow(level.file, level.path, level.module, own, tuple(map(numbers, level.checks)), needs)


def pack_reach(reach: Reach) -> bytes:
    """The code that was reached, as plain data."""
    return marshal.dumps((
        reach.digest,
        tuple((i.kind, i.name, i.digest, i.shown) for i in reach.ingredients),
        tuple((o.kind, o.name, o.digest, o.label) for o in reach.variables),
        reach.literals, tuple(sorted(reach.names)), reach.modules, reach.whole, reach.ambient, reach.made,
    ))  # fmt: skip


def unpack_reach(data: bytes) -> Reach:
    """The code that `pack_reach` made the data of."""
    digest, ingredients, variables, literals, names, modules, whole, ambient, made = marshal.loads(data)
    return Reach(
        digest, tuple(Ingredient(*each) for each in ingredients), tuple(Observation(*each) for each in variables),
        literals, frozenset(names), modules, whole, (), ambient, made,
    )  # fmt: skip
