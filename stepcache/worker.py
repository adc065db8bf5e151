"""A worker process: imports the pipeline files that it is asked for, and runs bodies for the run that started it."""

from __future__ import annotations

import atexit
import faulthandler
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from attrs import evolve, field

from stepcache.api.record import running_node
from stepcache.binding import file_rules, offered
from stepcache.collect.discover import STEPCONF, is_pipeline_file, stepconf_chain
from stepcache.collect.harvest import harvest, placed
from stepcache.execution.body import Bodies
from stepcache.execution.capture import Capture, LiveLog
from stepcache.execution.channel import Channel
from stepcache.execution.crossing import DoneData, Place, WorkData, find_definitions, pack_done, read_work
from stepcache.execution.debugging import without_terminal
from stepcache.execution.inline import run_work
from stepcache.execution.pulse import Pulse
from stepcache.execution.shelf import Shelf
from stepcache.execution.site import Hello
from stepcache.execution.work import Done
from stepcache.key.conclude import Seen
from stepcache.key.environment import put_variable
from stepcache.model import Definition, Value
from stepcache.opening import session_of
from stepcache.outcome import describer
from stepcache.plugins import Plugins
from stepcache.records import define
from stepcache.state import Call, Session
from stepcache.store import Parcel
from stepcache.store.packing import Packing
from stepcache.store.vault import Vault


def main(connection: int, pulse: int) -> None:
    """Serve the run that holds the other end of this connection, until it says that it is over or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    channel = Channel(socket.socket(fileno=connection))
    first = channel.receive()
    if first is not None:
        _, hello, captured = first
        serve(channel, Worker(pickle.loads(hello), "own" if captured else "no", Pulse(pulse), _teller(channel)))


def _teller(channel: Channel) -> Callable[[str, str], object]:
    """What tells the run of a log record; those of forked children would come in between."""
    process = os.getpid()

    def tell(node: str, line: str) -> None:
        if os.getpid() == process:
            channel.send("logged", node, line)

    return tell


_answering: dict[bytes, Worker] = {}


def answer(hello: bytes, work_id: str, home: str, packed: bytes) -> bytes:
    """Run a work here, in a process that somebody else has started, for the run that said *hello*.

    What it came to is for `Site.unpack`. The resources that it has set up are torn down with the process.
    """
    if hello not in _answering:
        told = pickle.loads(hello)
        folder = os.path.join(told.folder, str(os.getpid()))
        os.mkdir(folder, 0o700)
        worker = Worker(evolve(told, folder=folder), "fd", Pulse())
        ends = ExitStack()
        ends.enter_context(worker.capture.open())
        ends.callback(worker.close)
        atexit.register(ends.close)
        _answering[hello] = worker
    return _answering[hello].answer(work_id, home, packed)


def serve(channel: Channel, worker: Worker) -> None:
    """Answer each message until the last."""
    with worker.capture.open():
        while (message := channel.receive()) is not None:
            kind, *rest = message
            if kind == "end":
                break
            channel.send("done", worker.answer(*rest))
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

    def __init__(
        self,
        hello: Hello,
        capture: Any,
        pulse: Pulse,
        tell: Callable[[str, str], object] = lambda node, line: None,
    ) -> None:
        self._pulse = pulse
        self._variables = hello.variables
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
        live = None if options.log_cli_level is None else LiveLog(options.log_cli_level, tell)
        self.capture = Capture(capture, options.log_level, filters, live)
        self._bodies = Bodies(self._shelf, self.session.sight, self.capture, describer(self.session), pulse=pulse)
        self._definitions = _Definitions(self.session, hello.homes)
        self._told = set(self.session.sight.import_reads)
        find_definitions(self._definitions.find)

    def answer(self, work_id: str, home: str, packed: bytes) -> bytes:
        """Run the work that *packed* is, of a node bound in the file *home*."""
        sight = self.session.sight
        try:
            with self._as_given(), sight.loaded.importing():
                self._definitions.load_home(home)
                data = read_work(packed)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's files may raise anything
            return self._refused(work_id, f"a worker process cannot import it ({type(error).__name__}: {error})")
        other = sight.other_than(data.sources)
        if other is not None:
            return self._refused(work_id, f"{other} was changed after the run had begun")
        try:
            return self._answered(data)
        finally:
            for digest in (*self._shelf.packed, *(parcel.value.digest for parcel in data.parcels)):
                self._shelf.scratch.drop(digest)
            self._shelf.packed.clear()

    @contextmanager
    def _as_given(self) -> Iterator[None]:
        """Imports find the variables as those of the run did; bodies find what all imports of the run have set."""
        self._put({name: was for name, (was, _) in self._variables.items()})
        try:
            yield
        finally:
            self._put({name: became for name, (_, became) in self._variables.items()})

    def _put(self, variables: Mapping[str, str | None]) -> None:
        """Set variables but for those that imports of this process have set."""
        own = self.session.project.loaded.given.changes()
        for name in variables.keys() - own.keys():
            put_variable(name, variables[name])

    def _refused(self, work_id: str, why: str) -> bytes:
        return pack_done(DoneData(Done(work_id, "refused", message=why)))

    def _answered(self, data: WorkData) -> bytes:
        for parcel in data.parcels:
            self._shelf.scratch.adopt(parcel)
        try:
            with _Interruptible(data.work.node.definition.timeout, self._pulse), without_terminal():
                done = run_work(data.work, self._bodies)
        except KeyboardInterrupt:
            return pack_done(DoneData(Done(data.work.id, "interrupted")))
        unstorable = [text for text in (done.unstorable, *(each.unstorable for each in done.ended)) if text]
        if unstorable:
            return self._refused(data.work.id, f"its value cannot be stored ({unstorable[0]})")
        late = self.session.sight.other_than(data.sources)
        if late is not None:
            done = _changed(done, late)
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


def _changed(done: Done, module: str) -> Done:
    """What came of a work while a *module* changed that its code reaches."""

    def also(seen: Seen) -> Seen:
        return evolve(seen, changed=(*seen.changed, module))

    return evolve(done, seen=also(done.seen), sights=tuple(map(also, done.sights)))


class _Interruptible:
    """In the block, SIGINT raises KeyboardInterrupt, and SIGTERM TimeoutError if there is a *limit* that is over."""

    def __init__(self, limit: float | None, pulse: Pulse) -> None:
        self._limit = limit
        self._pulse = pulse

    def __enter__(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._limit is not None:
            signal.signal(signal.SIGTERM, self._over)

    def _over(self, number: int, frame: FrameType | None) -> None:
        assert self._limit is not None
        over = time.monotonic() - self._pulse.began >= self._limit
        if over and running_node.get() is not None:  # else the body that was meant has ended meanwhile
            raise TimeoutError(f"it took longer than its timeout of {self._limit:g} seconds")

    def __exit__(self, *_: object) -> None:
        self._pulse.rest()
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
