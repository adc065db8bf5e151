"""The store: what a run has of the cache. Trouble with the disk does not leave it: it is noted, and is a miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepcache.errors import ValueGone
from stepcache.store.blobs import TooLarge
from stepcache.store.checkpoints import Checkpoints
from stepcache.store.claims import Claim
from stepcache.store.content import Content, inlined
from stepcache.store.counters import REMOVALS, counted, volume
from stepcache.store.database import Unusable
from stepcache.store.folder import Refused, prepare
from stepcache.store.ledger import Ledger
from stepcache.store.memos import Memos
from stepcache.store.objects import loaded, saved
from stepcache.store.parcel import Parcel
from stepcache.store.scratch import SMALL, Scratch
from stepcache.store.settings import StoreSettings
from stepcache.store.stamps import Stamps
from stepcache.store.traces import Traces
from stepcache.store.values import Values

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Literal

    from stepcache.model import Ingredient, Trace, Value
    from stepcache.store.batch import EntryName
    from stepcache.store.evict import Order
    from stepcache.store.gc import Dropped
    from stepcache.store.inventory import EntryRow, Inventory, Totals, VerifyReport
    from stepcache.store.registry import Codecs
    from stepcache.store.seal import Seal
    from stepcache.store.settings import Trouble

_LAST_RUN = "last run"


def open_store(
    folder: str | os.PathLike[str],
    *,
    project: str | os.PathLike[str],
    seal: Seal,
    codecs: Codecs,
    settings: StoreSettings | None = None,
    mode: Literal["on", "readonly"] = "on",
) -> Store | Refused:
    """The store in *folder*, for the project whose absolute root is *project*; made if it is absent."""
    prepared = prepare(str(folder), make=mode == "on")
    if isinstance(prepared, Refused):
        return prepared
    return Store(
        prepared, project=str(project), seal=seal, codecs=codecs, settings=settings or StoreSettings(), mode=mode
    )


class Store:
    """An open cache folder. It may be used by several threads, and in forked children.

    `problems` holds at most one line for each kind of trouble met.
    """

    def __init__(
        self, folder: str, *, project: str, seal: Seal, codecs: Codecs, settings: StoreSettings, mode: str
    ) -> None:
        self.folder = folder
        self.readonly = mode == "readonly"
        self._settings = settings
        self._ledger = Ledger(folder, seal, settings, readonly=self.readonly)
        self.scratch = Scratch(codecs, formats=settings.formats)
        self._ledger.abandoned = self.scratch.keep
        self._values = Values(self._ledger, packer=settings.packer, max_size=settings.max_size)
        self._traces = Traces(self._ledger, self._values, project)
        self._memos = Memos(self._ledger)
        self.stamps = Stamps(self._ledger, self._traces.project)
        self._project = project.encode("utf-8", "surrogatepass")
        self.checkpoints = Checkpoints(folder, self._project)
        self._lost: set[str] = set()
        self._wrote = False

    @property
    def problems(self) -> list[str]:
        return self._ledger.problems

    # --- traces

    def traces(self, key: str, ingredients: tuple[Ingredient, ...] | None = None) -> tuple[Trace, ...]:
        """The traces under *key*, the newest first.

        The key is made from ingredients: who gives them is given them back, and theirs need not be read.
        """
        return self._traces.under(key, ingredients)

    def trouble(self, key: str) -> Trouble | None:
        """Why `traces` had nothing although something was there."""
        return self._traces.trouble(key)

    def latest(self, node_id: str) -> Trace | None:
        """What this project last used or made for the node."""
        return self._traces.latest(node_id)

    def put(self, trace: Trace) -> None:
        """Store *trace* beside the others under its key (in place of one that saw the same), for this project."""
        if not self.readonly:
            self._wrote = True
            self._traces.put(trace)

    def used(self, node_id: str, trace: Trace) -> None:
        """This project uses *trace* for the node now."""
        self._traces.used(node_id, trace)

    # --- values

    def save(self, value: object, codec: str | None = None, *, tmp: Path | None = None) -> Value:
        """Store *value*, by the codec of that name if given; paths inside *tmp* as what they lead to.

        What cannot be stored now is kept as long as this object is open. Raises Unstorable.
        """
        return saved(value, codec, tmp, self)

    def content(self, value: object, codec: str | None = None, tmp: Path | None = None) -> Content:
        """*value* as bytes. Raises Unstorable."""
        return self.scratch.content(value, codec, tmp)

    def keep(self, content: Content) -> Value:
        """Store a value that is encoded already; one that cannot be stored now, as long as this object is open."""
        if (small := inlined(content)) is not None:
            return small
        if self.readonly:
            return self.scratch.keep(content)
        self._wrote = True
        try:
            value = self._values.keep(content)
            if value.digest in self._lost:
                self.scratch.keep(content)
            return value
        except OSError as error:
            self._ledger.note("write", error.strerror or str(error))
        except TooLarge:
            self._ledger.note("large", f"{self._settings.max_size} bytes")
        return self.scratch.keep(content)

    def load(self, value: Value) -> object:
        """A fresh object. Raises ValueGone."""
        return loaded(value, self)

    def data(self, value: Value) -> memoryview:
        """The bytes of a value that has bytes of its own, writable and the caller's. Raises ValueGone."""
        if value.inline is not None or self.scratch.holds(value.digest):
            return self.scratch.data(value)
        try:
            return self._values.load(value)
        except ValueGone:
            # When it is made again, this run does not depend on finding it there.
            self._lost.add(value.digest)
            raise

    def decoded(self, codec_name: str, data: memoryview, digest: str) -> object:
        """The object that *data* is, a value of that digest or an element of one. Raises ValueGone."""
        return self.scratch.decoded(codec_name, data, digest)

    # --- values that cross between the processes of a run

    def parcel(self, value: Value) -> Parcel | None:
        """A value with bytes of its own that another process does not find in the cache; None if it does."""
        kept = self.scratch.parcel(value)
        if kept is not None:
            return kept
        pending = self._values.pending(value)
        return Parcel(value, data=pending) if pending is not None else None

    def pack(self, content: Content) -> Parcel:
        """What is encoded, for the process that stores it; if it is large, it is written to the cache already."""
        if content.size >= SMALL:
            try:
                return Parcel(self._values.keep_aside(content))
            except OSError as error:
                self._ledger.note("write", error.strerror or str(error))
            except TooLarge:
                self._ledger.note("large", f"{self._settings.max_size} bytes")
        return self.scratch.pack(content)

    def unpack(self, parcel: Parcel) -> Value:
        """Store the value that another process packed to be kept."""
        value = parcel.value
        if parcel.data is not None:
            digest = bytes.fromhex(value.digest)
            return self.keep(Content(value.codec, (parcel.data,), value.classes, value.size, parcel.hash, digest))
        if parcel.path is not None:
            self.scratch.adopt(parcel)
        else:
            self._wrote = True
            self._values.enter_blob(self._values.name(value.digest), value.stored)
        return value

    def holds(self, value: Value) -> bool:
        """Whether the value is stored, and not only kept for this run."""
        return self._values.holds(value)

    # --- small derived facts

    def memo(self, kind: str, name: bytes) -> bytes | None:
        """What was remembered under *name*."""
        return self._memos.get(kind, [name]).get(name)

    def memos(self, kind: str, names: Iterable[bytes]) -> dict[bytes, bytes]:
        """What was remembered under those of *names* that there is something for."""
        return self._memos.get(kind, names)

    def remember(self, kind: str, name: bytes, data: bytes, *, packed: bool = False) -> None:
        """Keep a fact that can be derived again; written with the next results. *packed* is one that is so already."""
        self._memos.put(kind, name, data, packed=packed)

    def take_unwritten(self) -> dict[bytes, bytes]:
        """The facts that this object, opened for reading, was to remember since the last time."""
        return self._memos.take_unwritten()

    def enter_unwritten(self, unwritten: Mapping[bytes, bytes]) -> None:
        """Keep the facts of another process of this run."""
        self._memos.enter(unwritten)

    def last_run(self) -> bytes | None:
        """What this project recorded of its last run."""
        return self.memo(_LAST_RUN, self._project)

    def record_last_run(self, data: bytes) -> None:
        """Record what the next run of this project may want to know."""
        self._ledger.batch.changed.add(self._traces.project)
        self.remember(_LAST_RUN, self._project, data)

    # --- the cache as a whole

    def _inventory(self) -> Inventory:
        from stepcache.store.inventory import Inventory  # a run does not look at the whole

        return Inventory(self._ledger, self._values, self._traces)

    def entries(self) -> list[EntryRow]:
        """The entries of this project."""
        return self._inventory().entries()

    def totals(self, node_ids: Collection[str] | None = None) -> tuple[Totals, Totals]:
        """This project's entries, of those nodes only if given, and those of them that `clear` would remove."""
        return self._inventory().totals(node_ids)

    def clear(self, node_ids: Collection[str] | None = None) -> Totals | None:
        """Remove this project's entries, of those nodes only if given. None where the cache cannot be changed.

        What another project uses too stays, and is not read again by this object.
        """
        if node_ids is None and not self.readonly:
            self.checkpoints.clear()
        return self._inventory().clear(node_ids)

    def gc(self, limit: int | None = None) -> Dropped | None:
        """Drop what nothing refers to, and least recently used entries down to *limit* bytes.

        None where the cache cannot be changed.
        """
        return self._collect(limit, "use")

    def _collect(self, limit: int | None, order: Order, spared: Collection[EntryName] = ()) -> Dropped | None:
        from stepcache.store import gc

        ledger = self._ledger
        dropped = ledger.change(
            lambda connection: gc.collect(connection, ledger.blobs, ledger.seal, limit, order, spared)
        )
        if dropped is None:
            return None
        self.checkpoints.drop_old()
        ledger.change_outside("PRAGMA incremental_vacuum")
        return dropped

    def verify(self) -> VerifyReport:
        """Read and check every entry; drop the damaged."""
        return self._inventory().verify()

    def removals(self) -> int:
        """How often anything was removed: an answer that rests on entries holds while this stays the same."""
        try:
            return self._ledger.database.work(lambda connection: counted(connection, REMOVALS))
        except Unusable:
            return -1

    # --- running

    def claim(self, key: str, waits: Callable[[], object] = lambda: None) -> AbstractContextManager[bool]:
        """True if the computation of *key* is ours now, False after another process's was waited for: look again.

        *waits* is called before it is waited for.
        """
        return Claim(self._ledger, self._traces.looked_at_again(key), waits)

    def before_wait(self) -> None:
        """A result is about to be waited for: a kill meanwhile is to lose nothing, and other runs are to find all."""
        self._ledger.before_wait()

    def flush(self) -> None:
        """Write all that waits to be written."""
        self._ledger.commit()

    def settle(self) -> None:
        """Write what waits to be written; if the cache has outgrown its limit, make room, but not at the cost of what
        this object put or used."""
        self.flush()
        if self._wrote and not self.readonly:
            self._wrote = False
            self._make_room()

    def close(self) -> None:
        """Settle, and let go of everything."""
        self.settle()
        self._ledger.database.close()
        self.scratch.close()

    def _make_room(self) -> None:
        limit, database = self._settings.max_size, self._ledger.database
        try:
            size = database.work(volume)
            if size is None or size > limit:
                from stepcache.store.gc import total

                self._collect(None if database.work(total) <= limit else limit * 9 // 10, "worth", self._traces.kept())
        except Unusable:
            return
