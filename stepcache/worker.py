"""A worker process: imports the pipeline files that it is asked for, and runs bodies for the run that started it."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from attrs import define, evolve, field

from stepcache.api.record import running_node
from stepcache.binding import file_rules, offered
from stepcache.collect.discover import STEPCONF, is_pipeline_file, stepconf_chain
from stepcache.collect.harvest import harvest, placed
from stepcache.execution.body import Bodies
from stepcache.execution.capture import Capture
from stepcache.execution.channel import Channel
from stepcache.execution.crossing import DoneData, Place, WorkData, find_definitions, pack_done, read_work
from stepcache.execution.shelf import Shelf
from stepcache.execution.site import Hello
from stepcache.execution.values import Held
from stepcache.execution.work import Done, Work
from stepcache.model import Definition, Value
from stepcache.opening import session_of
from stepcache.outcome import describer
from stepcache.plugins import Plugins
from stepcache.state import Call, Session
from stepcache.store import Parcel
from stepcache.store.packing import Packing
from stepcache.store.vault import Vault


def main(connection: int) -> None:
    """Serve the run that holds the other end of this connection, until it says that it is over or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    channel = Channel(socket.socket(fileno=connection))
    first = channel.receive()
    if first is not None:
        _, hello, captured = first
        serve(channel, Worker(pickle.loads(hello), "own" if captured else "no"))


def serve(channel: Channel, worker: Worker) -> None:
    """Answer each message until the last."""
    with worker.capture.open():
        while (message := channel.receive()) is not None:
            kind, *rest = message
            if kind == "end":
                break
            node, home, limited, data = rest
            begun = (lambda: channel.send("begun")) if limited else None
            channel.send("done", worker.answer(node, home, data, begun))
        ended = worker.close()
        if message is not None:
            channel.send("ended", ended)


@define
class _PackingShelf(Shelf):
    """A shelf that keeps nothing: what is saved is packed for the run, which stores it."""

    packed: dict[str, Parcel] = field(factory=dict)

    def vault(self, keep: bool) -> Vault:
        return Packing(self.store if keep else None, self.scratch, self.packed)


class Worker:
    """What answers works in this process."""

    def __init__(self, hello: Hello, capture: Any) -> None:
        sys.argv[:] = hello.argv
        os.chdir(hello.cwd)
        plugins = Plugins(hello.blocked)
        from stepcache import builtin

        for name, part in builtin.parts():
            plugins.add(part, name)
        for name in hello.plugins:
            plugins.add_by_name(name, "the run")
        self.session = session_of(
            Call(), os.environ, Path(hello.cwd), hello.options, hello.configuration, plugins, began=time.time_ns()
        )
        self.session.shelf.scratch.live_in(hello.folder)
        self._shelf = _PackingShelf(self.session.shelf.store, self.session.shelf.scratch)
        options = hello.options
        filters = (*hello.configuration.filterwarnings, *options.warnings)
        self.capture = Capture(capture, options.log_level, filters)
        self._bodies = Bodies(self._shelf, self.session.sight, self.capture, describer(self.session))
        self._definitions = _Definitions(self.session, hello.homes)
        self._told = set(self.session.sight.import_reads)
        find_definitions(self._definitions.find)

    def answer(self, node: str, home: str, data: bytes, begun: Callable[[], object] | None = None) -> bytes:
        """Run the work that *data* is, of a node bound in the file *home*; *begun* is called before its body."""
        sight = self.session.sight
        try:
            with sight.loaded.importing():
                self._definitions.load_home(home)
                work = read_work(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's files may raise anything
            return self._refused(node, f"a worker process cannot import it ({type(error).__name__}: {error})")
        other = sight.other_than(work.sources)
        if other is not None:
            return self._refused(node, f"{other} was changed after the run had begun")
        try:
            return self._answered(work, begun)
        finally:
            for digest in (*self._shelf.packed, *(parcel.value.digest for parcel in work.parcels)):
                self._shelf.scratch.drop(digest)
            self._shelf.packed.clear()

    def _refused(self, node: str, why: str) -> bytes:
        return pack_done(DoneData(Done(node, "refused", message=why)))

    def _answered(self, data: WorkData, begun: Callable[[], object] | None) -> bytes:
        for parcel in data.parcels:
            self._shelf.scratch.adopt(parcel)
        if begun is not None:
            begun()
        try:
            with _Interruptible(data.node.definition.timeout):
                done = self._bodies.run(Work(data.node, data.key, data.facts, data.inputs, data.resources, data.keeps))
        except KeyboardInterrupt:
            return pack_done(DoneData(Done(data.node.id, "interrupted")))
        if isinstance(done.product, Held):
            return self._refused(data.node.id, f"its value cannot be stored ({done.unstorable})")
        late = self.session.sight.other_than(data.sources)
        if late is not None:
            done = evolve(done, seen=evolve(done.seen, changed=(*done.seen.changed, late)))
        contents = done.product.contents if isinstance(done.product, Value) else ()
        return pack_done(
            DoneData(
                done,
                tuple(self._shelf.packed[each.digest] for each in contents),
                memos=self._shelf.store.take_unwritten() if self._shelf.store is not None else {},
                reads=self._new_reads(),
            )
        )

    def _new_reads(self) -> dict[str, Any]:
        """What modules read while they were imported since the last time."""
        reads = self.session.sight.import_reads
        new = {name: reads[name] for name in reads.keys() - self._told}
        self._told.update(new)
        return new

    def close(self) -> list[str]:
        """Tear down; what went wrong with it, a line each."""
        try:
            return self._bodies.close()
        finally:
            self.session.close()


class _Interruptible:
    """In the block, SIGINT raises KeyboardInterrupt, and SIGTERM TimeoutError if there is a *limit*."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit

    def __enter__(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._limit is not None:
            signal.signal(signal.SIGTERM, self._over)

    def _over(self, number: int, frame: FrameType | None) -> None:
        if running_node.get() is not None:  # else the body has ended meanwhile
            raise TimeoutError(f"it took longer than its timeout of {self._limit:g} seconds")

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if self._limit is not None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class _Definitions:
    """Finds definitions by where they stand; what they need is imported as it is in the run."""

    def __init__(self, session: Session, homes: Any) -> None:
        self._session = session
        self._homes = homes
        self._loaded: set[str] = set()
        self._found: dict[tuple[str, str], dict[tuple[str, str, int], Definition]] = {}
        self._rules = file_rules(session.configuration)

    def load_home(self, home: str) -> None:
        """Import a file in which nodes are bound, after the stepconf.py files that hold for it."""
        path = self._homes.get(home)
        if path is None or path in self._loaded:
            return
        self._loaded.add(path)
        modules = self._session.project.loaded
        for each in (*reversed(stepconf_chain(path, modules.root)), path):
            if each in self._loaded and each != path:
                continue
            self._loaded.add(each)
            module = modules.load(each)
            if os.path.basename(each) == STEPCONF:
                for codec in getattr(module, "stepcache_codecs", tuple)():
                    self._session.shelf.scratch.codecs.add(codec)

    def find(self, place: Place) -> Definition:
        """The definition that stands there. Raises LookupError."""
        key = (place.path, place.module)
        if key not in self._found:
            self._found[key] = {(d.kind, d.name, d.source.line): d for d in self._in(place)}
        try:
            return self._found[key][place.kind, place.name, place.line]
        except KeyError:
            raise LookupError(f"{place.path}:{place.line} has no {place.kind} {place.name}") from None

    def _in(self, place: Place) -> Iterable[Definition]:
        modules, root = self._session.project.loaded, self._session.project.loaded.root
        yield from (placed(d, root) for d in offered(self._session))
        if not os.path.isfile(place.path):
            return
        name = os.path.basename(place.path)
        if name == STEPCONF or is_pipeline_file(name, self._rules) or place.path in self._homes.values():
            module = modules.load(place.path)
        else:
            import importlib

            module = importlib.import_module(place.module)
        level, _ = harvest(module, place.path, root)
        yield from level.own.values()
        yield from level.checks
