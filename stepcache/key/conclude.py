"""From what was noted to what counts: the events of a watch, under the rules, as observations. Reads files, decides.

The order of the events settles what the step made itself: a path that it wrote before it read it is its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from attrs import field

from stepcache.key.callers import PROJECT
from stepcache.key.children import Command
from stepcache.key.environment import Folders, below, portable, shown
from stepcache.key.events import Event
from stepcache.key.files import ABSENT, FILE, FOLDER, kind_of, names_digest, stamp_of
from stepcache.key.libraries import outdated
from stepcache.key.look import SEPARATOR, Look, find_program, literal_digest, literal_files, named_variables
from stepcache.key.matching import fitting
from stepcache.key.mentions import quoted
from stepcache.key.rules import ORACLES, SERVANTS, Rules
from stepcache.model import Observation
from stepcache.records import frozen


@frozen
class Seen:
    """What counts of what a watch saw.

    `notices` say what could not be seen. `changed` names the inputs that changed while they were in use: a result made
    from them must not be stored.
    """

    observations: tuple[Observation, ...]
    notices: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


_NOTHING = Seen(())


@frozen
class Context:
    """What a step's code says about what it reads."""

    started: int
    """When the watch began. Files may be stamped some milliseconds late: what looks younger is younger."""
    cwd: str
    literals: tuple[tuple[str, str], ...] = ()
    env_names: frozenset[str] = frozenset()
    settings: Mapping[str, object] = field(factory=dict)
    reached: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    ambient: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    is_project: Callable[[str], bool] = lambda _: True
    closure: Callable[[Iterable[str]], set[str]] = set
    of_import: bool = False
    """Was the import of a module watched?"""


def conclude(events: list[Event], look: Look, rules: Rules, context: Context) -> Seen:
    """The observations, notices and changed inputs that *events* come to."""
    if not (events or context.literals or context.settings or context.ambient or context.libraries):
        return _NOTHING
    conclusion = _Conclusion(events, look, rules, context)
    for event in events:
        getattr(conclusion, "on_" + event.kind.replace("-", "_"))(event)
    conclusion.files()
    conclusion.listings()
    conclusion.environment()
    conclusion.literal_files()
    conclusion.drop_implied()
    observations = tuple(sorted(conclusion.observations.values(), key=lambda o: (o.kind, o.name)))
    return Seen(
        observations,
        tuple(dict.fromkeys(conclusion.notices)),
        tuple(sorted({*conclusion.changed, *outdated(context.libraries, observations, look)})),
    )


class _Conclusion:
    """One conclusion in the making."""

    def __init__(self, events: list[Event], look: Look, rules: Rules, context: Context) -> None:
        self.look, self.rules, self.context = look, rules, context
        self.observations: dict[tuple[str, str], Observation] = {}
        self.notices: list[str] = []
        self.changed: set[str] = set()
        self.made: dict[str, int] = {}
        self.folders: dict[str, int] = {}
        for event in events:
            if event.kind in ("made", "alias"):
                self.made.setdefault(event.path, event.at)
            elif event.kind == "folder":
                self.folders.setdefault(event.path, event.at)
        self.before = {e.path: e.what for e in reversed(events) if e.kind == "before"}
        self.names_before = {e.path: e.what for e in reversed(events) if e.kind == "names"}
        self.aliases = {e.path: e.what for e in events if e.kind == "alias"}
        self.grown = {e.path: e.what for e in reversed(events) if e.kind == "grown"}
        self.set = {e.path: e.at for e in reversed(events) if e.kind == "set"}
        self.children = any(e.kind == "child" for e in events)
        self.reads: dict[str, list[Event]] = {}
        self.lists: dict[tuple[str, str], list[Event]] = {}
        """The listings of each folder: as a whole (""), or for a pattern."""
        self.lookups: list[Event] = []
        self.whole: set[str] = set()
        self.named = Folders(self._named())

    # --- words for the rest ---

    def own(self, event: Event) -> bool:
        """Whether the step had made what the event is about before it."""
        at = self.made.get(event.path)
        if at is not None and at < event.at:
            return True
        return any(at < event.at and below(event.path, folder) for folder, at in self.folders.items())

    def is_named(self, path: str) -> bool:
        return self.named.hold(path)

    def _named(self) -> Iterator[str]:
        """The absolute paths, folders included, that literals and settings name."""
        for text, folder in self._texts():
            text = os.path.expanduser(text)
            for base in (self.look.cwd, self.look.root, folder):
                path = os.path.normpath(os.path.join(base, text))
                if text.strip("./") and path not in ("/", self.look.root):
                    yield path

    def _texts(self) -> Iterator[tuple[str, str]]:
        for literal, folder in self.context.literals:
            if literal and len(literal) < 4096 and "\0" not in literal and "\n" not in literal:
                yield literal, folder
                yield from ((text, folder) for text in quoted(literal))
        for value in self.context.settings.values():
            if isinstance(value, (str, PurePath)) and str(value):
                yield str(value), ""

    def observe(self, kind: str, path: str, asked: str, content: str, *more: str) -> None:
        """*more* stands in the observation's name after that of the path."""
        name = portable(path, self.look.root, asked, self.context.cwd)
        told = SEPARATOR.join([name, *more])
        self.observations.setdefault(
            (kind, told if kind == "names" else name), Observation(kind, told, content, shown(name))
        )

    # --- events ---

    def on_made(self, event: Event) -> None:
        """Taken in by the constructor, as are all that say what the step made."""

    on_alias = on_folder = on_before = on_names = on_grown = on_set = on_made

    def on_read(self, event: Event) -> None:
        source = self.aliases.get(event.path)
        if source is not None:
            event = event._replace(path=source, asked="", what=stamp_of(source))
        if not self.own(event):
            self.reads.setdefault(event.path, []).append(event)

    def on_native(self, event: Event) -> None:
        if not self.young(event.path):
            self.on_read(event)

    def on_list(self, event: Event) -> None:
        if not self.own(event):
            pattern = event.what[2] if event.what is not None else None
            self.lists.setdefault((event.path, pattern or ""), []).append(event)

    def on_test(self, event: Event) -> None:
        kind, answer = event.what
        by_project, absent = event.who == PROJECT, answer == ABSENT
        if self.own(event) or not self.rules.test(event.path, by_project=by_project, absent=absent):
            return
        now = self.look.files.exists(event.path)
        if absent and now != ABSENT:
            return  # made meanwhile, by a child or by native code
        if absent and event.path in self.made:
            return
        if now == ABSENT and answer != ABSENT and self.rules.gone(event.path):
            return
        self.observe(kind, event.path, event.asked, answer)

    def on_sqlite(self, event: Event) -> None:
        if event.what is None or self.own(event) or not self.rules.file(event.path, by_project=True):
            return
        if stamp_of(event.path) or not self.rules.gone(event.path):
            self.observe("sqlite", event.path, event.asked, event.what)

    def on_env(self, event: Event) -> None:
        self.lookups.append(event)

    def on_environ(self, event: Event) -> None:
        self.whole.add(event.path)

    def on_child(self, event: Event) -> None:
        command = Command(*event.what)
        self._program(command, event)
        for name in sorted(command.variables(self.look.environ)):
            if name not in self.set:
                self._variable(name, self.look.environ.get(name))
        if notice := notice_of(command, event.who):
            self.notices.append(notice)

    def on_before_child(self, event: Event) -> None:
        if not self.own(event) and self.rules.anyhow(event.path):
            self.observe("file", event.path, event.asked, event.what)

    def on_named_by_child(self, event: Event) -> None:
        if event.what == self.look.files.content(event.path):
            self.on_before_child(event)

    def on_network(self, event: Event) -> None:
        self.notices.append(
            f"it uses the network ({event.path}), and what comes from there is not seen: declare `expires=` or "
            "`enable_cache=False`, or `reads=()` to say that nothing is missing"
        )

    def on_import(self, event: Event) -> None:
        if event.path not in self.context.reached:
            self._module(event.path)

    def on_found(self, event: Event) -> None:
        if self._is_own_module(event.path):
            for name in self.context.closure([event.path]):
                if name not in self.context.whole:
                    self._module(name)

    def _module(self, name: str) -> None:
        if self._is_own_module(name):
            path = os.path.abspath(str(sys.modules[name].__file__))
            self.observe("module", path, "", self.look.source(path))

    def _is_own_module(self, name: str) -> bool:
        file = getattr(sys.modules.get(name), "__file__", None)
        return isinstance(file, str) and self.context.is_project(file)

    def _program(self, command: Command, event: Event) -> None:
        word = command.executable
        path = word if "/" in word else find_program(word, self.look.environ.get("PATH"))
        if path is None:
            return
        path = os.path.normpath(os.path.join(command.cwd, path))
        if os.path.realpath(path) == os.path.realpath(sys.executable or "/") or path in self.made:
            return
        if self.rules.never(path) or self.own(event._replace(path=path)):
            return
        content = self.look.files.content(path)
        if "/" in word:
            self.observe("file", path, "", content)
        else:
            self.observations["program", word] = Observation("program", word, content, path)

    # --- what is settled when all events are known ---

    def files(self) -> None:
        for path, events in self.reads.items():
            first = events[0]
            by_project = any(event.who == PROJECT for event in events)
            if not self.rules.file(path, by_project=by_project, named=self.is_named(path)):
                continue
            content = self._first_content(path, first)
            if content is not None:
                asked = next((event.asked for event in events if event.asked), "")
                self.observe("file", path, asked if len({bool(e.asked) for e in events}) == 1 else "", content)

    def _first_content(self, path: str, first: Event) -> str | None:
        """The digest of a file as it was when it was first read; None if it does not count after all."""
        files = self.look.files
        was, now = first.what, stamp_of(path)
        if was is None:
            return ABSENT if now is None and path not in self.made else None
        mode, stamp = was[0], tuple(was[1])
        if kind_of(mode) != FILE:
            return None
        if path in self.grown and self.made.get(path, first.at) >= first.at:
            return files.prefix(path, self.grown[path])
        kept = self.before.get(path)
        if kept is not None and path in self.made:
            return None if now is None and self.rules.gone(path) else str(kept)
        if now is None and self.rules.gone(path):
            return None
        content = files.content(path)
        if (kept is not None and kept != content) or (now is None) or (kept is None and now[1] != stamp):
            self.changed.add(shown(self.look.name(path)))
        if stamp_of(path) != now:
            self.changed.add(shown(self.look.name(path)))
        return str(kept or content)

    def listings(self) -> None:
        whole = set()
        for path, pattern in sorted(self.lists):  # that of the whole folder comes first
            events = self.lists[path, pattern]
            by_project = any(event.who == PROJECT for event in events)
            if path in whole or not self.rules.listing(path, by_project=by_project, named=self.is_named(path)):
                continue
            if not pattern:
                whole.add(path)
            was = events[0].what
            if was is None or kind_of(was[0]) != FOLDER:
                if was is None and stamp_of(path) is None:
                    self.observe("dir", path, events[0].asked, ABSENT)
                continue
            if stamp_of(path) is None and self.rules.gone(path):
                continue
            self._listing(path, events[0], pattern)

    def _listing(self, path: str, first: Event, pattern: str) -> None:
        made = self._made_in(path)
        names = self.names_before.get(path)
        if path not in self.names_before:
            now = stamp_of(path)
            names = self.look.files.names(path)
            if names is None or now is None or now[1] != tuple(first.what[1]):
                self.changed.add(shown(self.look.name(path)))
        elif not self._explained(path, names):
            self.changed.add(shown(self.look.name(path)))
        if pattern:
            names = names and [*fitting(names, pattern, path)]
            made = {*fitting(made, pattern, path)}
        content = ABSENT if names is None else names_digest(tuple(names), frozenset(made))
        told = (pattern, *sorted(made)) if pattern else sorted(made)
        self.observe("names" if pattern else "dir", path, first.asked, content, *told)

    def _explained(self, path: str, names: Any) -> bool:
        """Whether a folder that changed holds what it held, but for what the step made or removed there."""
        now = self.look.files.names(path)
        touched = {os.path.basename(p) for p in (*self.made, *self.folders) if os.path.dirname(p) == path}
        was = {name for name in names or () if name.rstrip("/") not in touched}
        return self.children or {name for name in now or () if name.rstrip("/") not in touched} == was

    def _made_in(self, path: str) -> set[str]:
        """The names of what the step made in a folder where nothing was before."""
        names = self.names_before.get(path)
        there = {name.rstrip("/") for name in names or ()}
        own = {os.path.basename(p) for p in (*self.made, *self.folders) if os.path.dirname(p) == path}
        return own - there

    def environment(self) -> None:
        for name in self.context.ambient:
            if name not in self.set:
                self._variable(name, self.look.environ.get(name))
        sweeps = self._sweeps()
        asked = [
            event
            for event in self.lookups
            if event.at < self.set.get(event.path, event.at + 1)
            and (event.asked not in sweeps or event.path in self.context.env_names)
        ]
        if self.context.of_import:
            self._environment_of_import(asked)
            return
        for event in asked:
            self._variable(event.path, event.what)
        if self.whole:
            texts = [each for each in self.context.settings.values() if isinstance(each, str) and each.isidentifier()]
            for each in named_variables({*self.context.env_names, *texts}, self.look, self._counts):
                self.observations.setdefault((each.kind, each.name), each)

    def _environment_of_import(self, asked: list[Event]) -> None:
        """What project code looks up counts by itself; what libraries do decides what may become of variables."""
        for event in asked:
            if event.who == PROJECT:
                self._variable(event.path, self.look.given.get(event.path), "given")
        names = sorted({event.path for event in asked if event.who != PROJECT and self.rules.variable(event.path)})
        if self.whole or names:
            name = "" if self.whole else SEPARATOR.join(names)
            self.observations["environment", name] = Observation("environment", name, self.look.environment(name))

    def _counts(self, name: str) -> bool:
        """Does a variable count that the step has not set?"""
        return name not in self.set and self.rules.variable(name)

    def _sweeps(self) -> set[str]:
        """The files whose code asked for the names of all variables and then looked nearly all of them up."""
        counts: dict[str, int] = {}
        for event in self.lookups:
            if event.asked in self.whole:
                counts[event.asked] = counts.get(event.asked, 0) + 1
        return {code for code, count in counts.items() if count * 2 > len(self.look.environ)}

    def _variable(self, name: str, value: str | None, kind: str = "env") -> None:
        if self.rules.variable(name):
            content = self.look.secret(name, value)
            self.observations.setdefault((kind, name), Observation(kind, name, content, name))

    def literal_files(self) -> None:
        for text, folder in dict.fromkeys(self._texts()):
            paths = literal_files(text, folder, self.look)
            own = [path for path in paths if self._wrote(path)]
            counting = [p for p in paths if p not in own and self.rules.anyhow(p)]
            if not counting:
                continue
            if len(counting) == len(paths) and not os.path.isabs(os.path.expanduser(text)):
                place = self.look.name(folder) if folder else ""
                name = text + (SEPARATOR + place if place else "")
                content = literal_digest(counting, self.look)
                self.observations["literal", name] = Observation(
                    "literal", name, content, shown(self.look.name(paths[0]))
                )
            else:
                for path in counting:
                    self.observe("file", path, "", self.look.files.content(path))

    def _wrote(self, path: str) -> bool:
        """Whether the step made the file, in sight or natively: it and its folder changed since the watch began."""
        if path in self.made or path in self.grown or any(below(path, folder) for folder in self.folders):
            return True
        if ("file", self.look.name(path)) in self.observations:
            return False
        return self.young(path)

    def young(self, path: str) -> bool:
        """Whether the file seems to have been made since the watch began: by native code, if no event tells of it."""
        file, folder = stamp_of(path), stamp_of(os.path.dirname(path))
        return bool(file and folder and file[1][2] > self.context.started and folder[1][2] > self.context.started)

    def drop_implied(self) -> None:
        """Leaves out existence tests of what was read as well."""
        read = {
            name.partition(SEPARATOR)[0]
            for kind, name in self.observations
            if kind in ("file", "dir", "names", "sqlite")
        }
        for kind, name in list(self.observations):
            if kind == "exists" and name in read:
                del self.observations[kind, name]


def notice_of(command: Command, who: int) -> str | None:
    """What to tell of a child whose reads are not seen; None where nothing can be missing."""
    program = os.path.basename(command.executable)
    if program in ORACLES or (who != PROJECT and program in SERVANTS):
        return None
    text = " ".join(command.words)
    if "multiprocessing" in text or "loky" in text:
        if who != PROJECT or "resource_tracker" in text:
            return None
        return (
            "what its spawned worker processes read is not seen: declare it with `reads=` (`reads=()` if they read "
            'nothing), or use the start method "fork"'
        )
    return (
        f"what the program it starts ({program}) reads is not seen: declare it with `reads=` "
        "(`reads=()` if it reads nothing)"
    )
