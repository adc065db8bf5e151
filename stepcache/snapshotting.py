"""The snapshot of collection in the cache: found before anything is imported, and kept when a run has collected anew.

It holds as long as all that collection looked at is as it was, but for the sources of the project's own modules and
what these read while they were imported: of those that have changed, the files whose imports lead to them are collected
anew, and no others.
"""

from __future__ import annotations

import marshal
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from blake3 import blake3

from stepcache import archive, stamping
from stepcache.collect.discover import STEPCONF, Asked
from stepcache.collect.harvest import identity
from stepcache.collect.load import stamp_of
from stepcache.collect.packed import NotPlain, Row, pack
from stepcache.collect.snapshot import LevelRow, ModuleFacts, Snapshot, pack_level, pack_reach, source_digest
from stepcache.digest import digest
from stepcache.grounds import PACKAGE, Grounds, Unsure
from stepcache.key.ingredients import definitions_of
from stepcache.key.reach import Reach
from stepcache.model import Definition, Observation
from stepcache.stamp import grounds_hold, surroundings
from stepcache.state import Session

_KIND = "snapshot"
# Raise it when what is kept changes.
_FORMAT = 3
# More ways to reach code than this are not remembered: those of other settings, of runs long ago.
_MOST_REACHES = 100_000
# So many definitions, or ways to reach code, are packed at once.
_CHUNK = 500
# Options under which a run looks at more than a snapshot tells.
_LOOKING = ("executor", "replay", "check_determinism", "steps", "cache_clear")
# Options that decide what is found where.
_DECIDING = ("plugins", "overrides", "config_file", "rootdir", "ignore", "warnings")


def _may_be_used(session: Session) -> bool:
    """Does this run look at definitions and code only as a snapshot tells of them?"""
    options, call = session.options, session.call
    return (
        session.shelf.store is not None
        and not (call.values or call.plugins or call.target or call.everything or call.supplied)
        and options.capture != "no"  # what files print is to be seen
        and not any(getattr(options, name) for name in _LOOKING)
        and stamping.only_registering(session)
    )


def _name(session: Session, asked: Iterable[Asked]) -> bytes:
    """What a snapshot is called: by the files that are asked for, and all that decides what is found where.

    Other files beside them may give a name another meaning: what one question has found answers no other.
    """
    files = [(each.path, tuple(each.pipeline_files())) for each in asked]
    told = [getattr(session.options, name) for name in _DECIDING]
    parts = (_FORMAT, str(session.configuration.root), files, told, session.plugins.told, surroundings(_KIND))
    return bytes.fromhex(digest("snapshot", repr(parts)))


def find(session: Session, asked: Sequence[Asked]) -> Snapshot | None:
    """What an earlier run has collected, as far as it holds; None where all is to be collected anew."""
    store = session.shelf.store
    if store is None or session.collects_anew or not _may_be_used(session):
        return None
    session.snapshot_name = _name(session, asked)
    data = store.memo(_KIND, session.snapshot_name)
    if data is None:
        return None
    head, *lists = marshal.loads(data)
    loud, files, folders, hidden, rows, common, needs, levels = _read(head)
    modules = {name: _facts(row) for name, *row in rows}
    if _is_imported(session, modules) or not grounds_hold(files, folders, hidden):
        return None
    changed = {name for name, facts in modules.items() if not _is_as_it_was(session, facts)}
    if changed.intersection(common) or (loud and changed):
        return None
    needed = {module: frozenset(each) for module, each in needs}
    stale = {module for module, each in needed.items() if not changed.isdisjoint(each)}
    definitions, reaches, names = ([each for chunk in chunks for each in _read(chunk)] for chunks in lists)
    return Snapshot(
        session.project.loaded,
        definitions,
        {
            path: LevelRow(file, path, module, own, checks, needed[module])
            for file, path, module, own, checks in levels
            if module not in stale
        },
        {name: facts for name, facts in modules.items() if name not in changed},
        {name: (reaches[at], rests_on) for name, at, rests_on in names if stale.isdisjoint(rests_on)},
        loud,
        (
            *(facts.path for facts in modules.values()),
            *(path for path, *_ in files if not path.startswith(PACKAGE + os.sep)),
            *(os.path.join(path, "") for path, *_ in folders if path not in sys.path),
        ),
        (files, folders, hidden),
    )


def _is_imported(session: Session, modules: Iterable[str]) -> bool:
    """Was one of *modules* imported before collection, other than for a plugin? Who did may have changed it since."""
    return any(name in sys.modules and not session.plugins.are_of(name) for name in modules)


def _is_as_it_was(session: Session, module: ModuleFacts) -> bool:
    """Has a module the source that it had, and does what it read while it was imported say what it did?"""
    if module.stamp is None or stamp_of(module.path) != module.stamp:
        try:
            if source_digest(archive.content(module.path)) != module.source:
                return False
        except OSError:
            return False
    return all(map(session.sight.is_as_it_was, module.reads))


def _facts(row: Sequence[Any]) -> ModuleFacts:
    path, stamp, source, reads, packages, imported = row
    return ModuleFacts(path, stamp, source, tuple(Observation(*each) for each in reads), packages, imported)


# --- keeping it -----------------------------------------------------------------------------------


def keep(session: Session) -> None:
    """Keep what was collected for the next run, if there is anything that it does not know."""
    store = session.shelf.store
    name = session.snapshot_name
    if name is None or store is None or store.readonly or not _may_be_used(session) or not _is_whole(session):
        return
    try:
        data = _Packing(session).data()
    except (NotPlain, Unsure, OSError, ValueError):  # ValueError: what cannot be marshalled
        return
    if data is not None:
        store.remember(_KIND, name, data, packed=True)


def _is_whole(session: Session) -> bool:
    """Was all collected that was asked for, and nothing more done by it than what a snapshot tells?"""
    levels = session.collection.levels
    stepconfs = [sys.modules.get(level.module) for path, level in levels.items() if os.path.basename(path) == STEPCONF]
    return (
        not session.collection.problems
        and not session.told_at_import
        and "__main__" not in session.sight.imported
        and not any(
            name.startswith("stepcache_") for module in stepconfs if module is not None for name in vars(module)
        )
    )


class _Packing:
    """What one run has collected, and what it took from the snapshot before, as plain data."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sight = session.sight
        self._reader = session.sight.reader
        self._before = session.sight.snapshot or Snapshot(session.project.loaded)
        self._needs: dict[str, frozenset[str]] = {row.module: row.needs for row in self._before.levels.values()}
        self._packed_before = self._before.packed_definitions()
        self._numbers: dict[Row, int] = {}
        self._definitions = _Chunks()

    def data(self) -> bytes | None:
        """All of it; None where there is nothing new, or where it does not hold. Raises NotPlain, Unsure."""
        session, before, levels = self._session, self._before, self._session.collection.levels
        reached = self._reached()
        live = sorted(session.sight.imported.difference(before.modules))
        if levels.keys() <= before.levels.keys() and reached.keys() <= before.reaches.keys():
            return None
        if self._reader.restless(live) or any(session.project.import_notices.get(name) for name in live):
            return None
        paths = [each.path for each in session.project.loaded.loaded.values()]
        if len(paths) > len(set(paths)):
            return None  # a file that goes by two names was imported twice
        loud = before.loud or ", ".join(session.project.loaded.entries) or self._reader.loud(live)
        modules = {**before.modules, **dict(self._modules(live))}
        packed = [pack_level(level, self._number, self._needed(level.module)) for level in levels.values()]
        reaches, names = self._packed_reaches(reached)
        common = modules.keys() - {name for needs in self._needs.values() for name in needs}
        head = (
            loud,
            *(self._grounds(modules) if live or not before.grounds else before.grounds),
            [(name, *_row(facts)) for name, facts in modules.items()], sorted(common),
            [(module, sorted(needs)) for module, needs in self._needs.items()],
            [(row.file, row.path, row.module, row.own, row.checks) for row in packed],
        )  # fmt: skip
        return marshal.dumps((_packed(head), *(each.packed() for each in (self._definitions, reaches, names))))

    def _grounds(self, modules: Mapping[str, ModuleFacts]) -> Row:
        """What it rests on besides the sources of the modules."""
        grounds = Grounds(self._session, self._session.began)
        grounds.program()
        grounds.configuration()
        grounds.only_ours()
        grounds.packages(self._sight.imported)
        grounds.looked_at()
        return grounds.files({facts.path for facts in modules.values()}), grounds.folders(), grounds.hidden

    # --- definitions

    def _number(self, definition: Definition) -> int:
        name = identity(definition)
        if name not in self._numbers:
            known = self._packed_before.get(id(definition))
            row = known if known is not None else marshal.dumps(pack(definition))
            self._numbers[name] = self._definitions.add(row)
        return self._numbers[name]

    # --- modules

    def _needed(self, module: str) -> frozenset[str]:
        """The project modules that a module and those that it imports are made of."""
        if module not in self._needs:
            is_project = self._reader.modules.is_project(module)
            self._needs[module] = frozenset(self._reader.needs(module) if is_project else ())
        return self._needs[module]

    def _modules(self, imported: Iterable[str]) -> Iterator[tuple[str, ModuleFacts]]:
        """The facts of the modules that were imported or looked at and that the snapshot before does not know."""
        loaded, sources = self._session.project.loaded.loaded, self._reader.sources()
        for name in imported:
            known = loaded[name]
            if sources.get(name, known.source) != known.source:
                raise Unsure(f"{known.path} was changed after it was imported")
            yield (
                name,
                ModuleFacts(
                    known.path,
                    None if known.racy else known.stamp,
                    source_digest(known.source),
                    self._sight.reads_of_import(name),
                    tuple(sorted(self._reader.packages([name]))),
                ),
            )
        for name, source in sources.items():
            if name not in self._before.modules and name not in self._sight.imported:
                place = self._reader.modules.find(name)
                if place is None or place.path is None:
                    raise Unsure(f"{name} has no file")
                yield name, ModuleFacts(place.path, None, source_digest(source), imported=False)

    # --- code

    def _reached(self) -> dict[Row, tuple[Reach, tuple[str, ...]]]:
        """The code that nodes were seen to reach, by its name, with the modules whose needs it rests on."""
        graph, found = self._session.graph, {}
        for node in graph.nodes.values():
            reach, name = self._sight.reached(node), self._sight.reach_name(node, graph.resources)
            if reach is None or name is None or reach.uncertain or name in found:
                continue
            bound = (each.module for each in definitions_of(node, graph.resources))
            rests_on = tuple(dict.fromkeys((name[0], *bound)))
            if name in self._before.reaches or {n for m in rests_on for n in self._needed(m)}.issuperset(reach.modules):
                found[name] = (reach, rests_on)
        return found

    def _packed_reaches(self, reached: Mapping[Row, tuple[Reach, tuple[str, ...]]]) -> tuple[_Chunks, _Chunks]:
        """What is reached, packed, each once; and by name which of them, and on what it rests."""
        before, packed_before = self._before, self._before.packed_reaches()
        reaches, names = _Chunks(), _Chunks()
        by_row: dict[bytes, int] = {}
        numbers: dict[int, int] = {}

        def number(row: bytes) -> int:
            short = blake3(row).digest()
            if short not in by_row:
                by_row[short] = reaches.add(row)
            return by_row[short]

        for name, (reach, rests_on) in reached.items():
            at = numbers.get(id(reach))
            if at is None:
                known = packed_before.get(id(reach))
                at = numbers[id(reach)] = number(known if known is not None else pack_reach(reach))
            names.add((name, at, rests_on))
        for name, (row, rests_on) in before.reaches.items():
            if name not in reached and names.count < _MOST_REACHES:
                for module in rests_on:
                    self._needed(module)
                names.add((name, number(row), rests_on))
        return reaches, names


class _Chunks:
    """Rows, packed piece by piece: all of them, and as bytes beside them, would take twice the memory."""

    def __init__(self) -> None:
        self.count = 0
        self._rows: list[Any] = []
        self._packed: list[bytes] = []

    def add(self, row: Any) -> int:
        """The number of the row."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == _CHUNK:
            self._pack()
        return self.count - 1

    def packed(self) -> list[bytes]:
        """All that was added."""
        if self._rows:
            self._pack()
        return self._packed

    def _pack(self) -> None:
        self._packed.append(_packed(self._rows))
        self._rows = []


def _packed(rows: list[Any] | Row) -> bytes:
    """As bytes: not for zstd, which would have to be imported to read them, also where nothing else is to be read."""
    return zlib.compress(marshal.dumps(rows), 1)


def _read(packed: bytes) -> Any:
    return marshal.loads(zlib.decompress(packed))


def _row(facts: ModuleFacts) -> Row:
    reads = tuple((o.kind, o.name, o.digest, o.label) for o in facts.reads)
    return (facts.path, facts.stamp, facts.source, reads, facts.packages, facts.imported)
