"""What a run under `--watch` depended on, told by the process that ran to the one that waits for changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from attrs import field

from stepcache.grounds import Grounds, Unsure
from stepcache.model import Observation
from stepcache.records import frozen
from stepcache.state import Session
from stepcache.wholefile import write_whole

# In the environment of a process that runs under --watch: how it is to choose, and the file that it tells in.
VARIABLE = "STEPCACHE_WATCHED"


@frozen
class Depends:
    """What a run depended on.

    `files` says of each path whether there was something at the end of the run. In `folders` each name counts, in
    `searched` those of sources and folders. `hidden` is the cache folder. `whole` says that the run got so far that
    nothing is left out.
    """

    files: Mapping[str, bool] = field(factory=dict)
    folders: frozenset[str] = frozenset()
    searched: frozenset[str] = frozenset()
    hidden: str = ""
    whole: bool = False

    def joined(self, other: Depends) -> Depends:
        """What either of the two depended on; of *other*, which is the later one, what is known of files."""
        return Depends(
            {**self.files, **other.files},
            self.folders | other.folders,
            self.searched | other.searched,
            other.hidden or self.hidden,
            self.whole and other.whole,
        )


def tell(session: Session, path: str) -> None:
    """Write what the run depended on to the file at *path*."""
    found = _depends(session)
    folders, searched = sorted(found.folders), sorted(found.searched)
    write_whole(path, json.dumps([found.files, folders, searched, found.hidden, found.whole]).encode())


def heard(path: str) -> Depends:
    """What was told in the file at *path*; nothing where the run did not get as far as that."""
    try:
        with open(path, encoding="utf-8") as file:
            files, folders, searched, hidden, whole = json.load(file)
    except FileNotFoundError:
        return Depends()
    return Depends(files, frozenset(folders), frozenset(searched), hidden, whole)


def _depends(session: Session) -> Depends:
    sources, data = Grounds(session, session.began), Grounds(session, session.began)
    for gather in (*_of_sources(session, sources), *_of_data(session, data)):
        try:
            gather()
        except (Unsure, OSError):
            continue  # what cannot be looked at by its name cannot be waited for
    (paths, searched), (more, folders) = sources.named(), data.named()
    whole = session.schedule is not None and not session.collection.problems
    files = {path: os.path.lexists(path) for path in sorted(paths | more)}
    return Depends(files, frozenset(folders), frozenset(searched), data.hidden, whole)


def _of_sources(session: Session, grounds: Grounds) -> Iterator[Callable[[], None]]:
    yield grounds.configuration
    yield grounds.discovery
    yield grounds.modules
    rows = session.schedule.rows if session.schedule is not None else {}
    if session.collection.problems or not rows or any(row.uncertain for row in rows.values()):
        yield grounds.everything


def _of_data(session: Session, grounds: Grounds) -> Iterator[Callable[[], None]]:
    graph = session.graph
    bound = [*(node.settings for node in graph.nodes.values()), *(each.settings for each in graph.resources.values())]
    for settings in bound:
        yield partial(grounds.settings, [setting.value for setting in settings])
    for each in _observations(session):
        yield partial(grounds.observed, each)


def _observations(session: Session) -> Iterator[Observation]:
    yield from session.sight.reads_of_imports()
    if session.schedule is None or session.engine is None:
        return
    for row in session.schedule.rows.values():
        yield from row.observations
        made = session.engine.decided.get(row.id)
        if made is not None:
            yield from session.sight.standing(session.graph.nodes[row.id], made[0])
