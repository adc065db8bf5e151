"""Stored traces, and the record of which of them each root used for which node."""

from __future__ import annotations

import json
import time
from operator import itemgetter
from typing import TYPE_CHECKING

from blake3 import blake3

from stepcache.store import documents
from stepcache.store.ahead import Ahead
from stepcache.store.batch import TraceRow
from stepcache.store.composed import PACK
from stepcache.store.frame import INGREDIENTS, TRACE, Damaged, Foreign
from stepcache.store.rows import opened, sealed

if TYPE_CHECKING:
    from stepcache.model import Ingredient, Trace
    from stepcache.store.batch import EntryName
    from stepcache.store.database import Row
    from stepcache.store.ledger import Ledger
    from stepcache.store.settings import Trouble
    from stepcache.store.values import Values

# Longer documents are packed; zstd is not imported for the others.
_LONG = 4096
_RECENT_SECONDS = 3600
_FEW = 100
# What is not there may be gone, which is asked at once: the row with the id 0 says so.
_WITHOUT = "SELECT id, variant, frame FROM traces WHERE key = ? UNION ALL SELECT 0, 0, 0 FROM gone WHERE key = ?"
_WITH_INGREDIENTS = "SELECT id, variant, frame, ingredients FROM traces WHERE key = ?"
_KEY_SIZE = 32
_id = itemgetter(0)


class Traces:
    """The traces of one cache folder, and one root's record of them."""

    def __init__(self, ledger: Ledger, values: Values, project: str) -> None:
        self._ledger = ledger
        self._values = values
        self.project = ledger.seal.name(b"project", project.encode("utf-8", "surrogatepass"))[:16]
        self._unseen = self._variant(b"")
        self.hidden: set[EntryName] = set()
        self._latest: dict[str, EntryName] = {}
        self._troubles: dict[str, Trouble] = {}
        self._ahead = Ahead(ledger)
        self._read_last: tuple[Trace, EntryName] | None = None
        self._never = ""
        """The key that was asked for last, if nothing lies under it, nor has."""
        self._asked = 0
        self._records: dict[bytes, Row] | None = None

    # --- finding

    def under(self, key: str, ingredients: tuple[Ingredient, ...] | None) -> tuple[Trace, ...]:
        """The traces under *key*, the newest first. Their ingredients are those given, else read as well."""
        ledger, name = self._ledger, key_bytes(key)
        with ledger.lock:
            batch = ledger.batch
            waiting = batch.under(name) if name in batch.keys else {}
            found = list(waiting.values())
            rows = self._rows(key, name) if ingredients is not None else ledger.rows(_WITH_INGREDIENTS, (name,))
            if len(rows) > 1:  # cheaper than to have them sorted
                rows.sort(key=_id, reverse=True)
            for row in rows:
                entry = (name, row[1])
                if (waiting and entry in waiting) or (self.hidden and entry in self.hidden):
                    continue
                trace = self._read(key, entry, row[2], ingredients if ingredients is not None else row[3])
                if trace is not None:
                    found.append(trace)
                    self._read_last = (trace, entry)
        return tuple(found)

    def _rows(self, key: str, name: bytes) -> list[Row]:
        """The rows under a key: id, variant and frame."""
        rows = self._ahead.take(name)
        if rows is None:
            rows = self._ledger.rows(_WITHOUT, (name, name))
            self._never = "" if rows else key
            rows = [row for row in rows if row[0]]
            self._ahead.read_on(rows)
        return rows

    def looked_at_again(self, key: str) -> bytes:
        """A key's bytes; `under` is to give what others have stored under it until then."""
        name = key_bytes(key)
        self._ahead.drop(name)
        return name

    def trouble(self, key: str) -> Trouble | None:
        """Why there was nothing under *key* although there has been."""
        if (trouble := self._troubles.get(key)) is not None:
            return trouble
        if key == self._never:
            return None
        for (reason,) in self._ledger.rows("SELECT reason FROM gone WHERE key = ?", (key_bytes(key),)):
            return "damaged" if reason == b"damaged" else "evicted"
        return None

    def latest(self, node: str) -> Trace | None:
        """The trace that this root used or made last for *node*, with its ingredients."""
        ledger = self._ledger
        with ledger.lock:
            entry = self._latest.get(node)
            if entry is not None and (trace := self._entry(entry)) is not None:
                return trace
            name = _node_bytes(node)
            if self._last_record(name) is None:
                return None
            for row in ledger.rows(
                "SELECT key, variant, seal FROM records WHERE project = ? AND node = ? ORDER BY id DESC LIMIT 8",
                (self.project, name),
            ):
                entry = (row[0], row[1])
                if row[2] != self._record_seal(node, entry) or entry in self.hidden:
                    continue
                if (trace := self._entry(entry)) is not None:
                    return trace
                # Entries go with the records of them: the database must have lost it.
                ledger.suspect()
        return None

    def _entry(self, entry: EntryName) -> Trace | None:
        row = self._ledger.batch.traces.get(entry)
        if row is not None:
            return row.trace
        select = "SELECT frame, ingredients FROM traces WHERE key = ? AND variant = ?"
        for stored, ingredients in self._ledger.rows(select, entry):
            return self._read(None, entry, stored, ingredients)
        return None

    def _read(
        self, key: str | None, entry: EntryName, stored: bytes, ingredients: bytes | tuple[Ingredient, ...]
    ) -> Trace | None:
        """The trace in a row; one that is damaged is removed."""
        try:
            return self.decoded(entry, stored, ingredients)
        except Foreign:
            if key is not None:
                self._troubles[key] = "foreign"
        except Damaged:
            if key is not None:
                self._troubles[key] = "damaged"
            if not self._ledger.readonly:
                from stepcache.store.gc import drop_entries

                self._ledger.suspect()
                blobs = self._ledger.blobs
                self._ledger.change(lambda connection: drop_entries(connection, blobs, [entry], None))
        return None

    def decoded(self, entry: EntryName, stored: bytes, ingredients: bytes | tuple[Ingredient, ...]) -> Trace:
        """The trace in a row, checked. Raises Damaged or Foreign."""
        seal, name = self._ledger.seal, _row_name(entry)
        document = opened(stored, TRACE, name, seal)
        rest = None if type(ingredients) is tuple else opened(ingredients, INGREDIENTS, name, seal)
        try:
            if rest is not None:
                ingredients = documents.read_ingredients(rest)
            return documents.read_trace(document, entry[0].hex(), ingredients)  # type: ignore[arg-type]
        except (ValueError, TypeError) as error:
            raise Foreign from error  # it is as it was sealed: another version wrote it

    # --- keeping

    def put(self, trace: Trace) -> None:
        """Store *trace*, and that this root made it for its node."""
        ledger, entry = self._ledger, self.name(trace)
        value, named, parts = trace.value, None, None
        if value is not None and value.parts:
            lying = [each for each in value.contents if each.inline is None]
            parts = b"".join(self._values.name(each.digest) for each in lying) or None
        elif value is not None and value.inline is None:
            named = self._values.name(value.digest)
        name, seal, own_key = entry[0] + entry[1], ledger.seal, None if entry[0].hex() == trace.key else trace.key
        row = TraceRow(
            trace,
            named,
            parts,
            sealed(TRACE, name, documents.trace_document(trace, own_key), seal, long=_LONG),
            sealed(INGREDIENTS, name, documents.ingredients_document(trace.ingredients), seal, long=_LONG),
        )
        with ledger.lock:
            batch = ledger.batch
            batch.traces.pop(entry, None)
            batch.traces[entry] = row
            batch.keys.add(entry[0])
            self.hidden.discard(entry)
            self._troubles.pop(trace.key, None)
            self._record(trace.node, entry)
            ledger.added(len(row.frame) + len(row.ingredients))
            ledger.finished(trace.seconds)

    def used(self, node: str, trace: Trace) -> None:
        """This root uses *trace* for *node* now; nothing is written if that was so an hour ago."""
        ledger, last = self._ledger, self._read_last
        entry = last[1] if last is not None and last[0] is trace else self.name(trace)
        with ledger.lock:
            latest = self._latest.get(node)
            if ledger.readonly or latest == entry:
                return
            if latest is None and self._is_recent(node, entry):
                self._latest[node] = entry
                return
            self._record(node, entry)
            ledger.batch.used.add(entry)

    def _is_recent(self, node: str, entry: EntryName) -> bool:
        """Whether *entry* is what this root used last for *node*, not long ago."""
        row = self._last_record(_node_bytes(node))
        if row is None:
            return False
        key, variant, used, seal, _ = row
        same = (key, variant) == entry and seal == self._record_seal(node, entry)
        return same and isinstance(used, int) and abs(time.time() - used) < _RECENT_SECONDS

    def _last_record(self, node: bytes) -> Row | None:
        """What the database says this root used last for *node*: who asks for many is told of all at once."""
        select = "SELECT key, variant, used, seal, node FROM records WHERE project = ?"
        if self._asked < _FEW:
            self._asked += 1
            found = self._ledger.rows(f"{select} AND node = ? ORDER BY id DESC LIMIT 1", (self.project, node))
            return found[0] if found else None
        if self._records is None:
            self._records = {row[4]: row for row in self._ledger.rows(f"{select} ORDER BY id", (self.project,))}
        return self._records.get(node)

    def name(self, trace: Trace) -> EntryName:
        """What tells *trace* from others under its key: what its run was seen to read."""
        if not trace.observations:
            seen = b""
        else:
            seen = json.dumps(sorted((one.kind, one.name, one.digest) for one in trace.observations)).encode()
        if trace.value is not None and trace.value.codec == PACK:  # a mapped step has many under one key
            seen += trace.value.digest.encode()
        if trace.value is not None and (classes := trace.value.every_class):  # another step may have others
            seen += "\0".join(("", *classes)).encode("utf-8", "surrogatepass")
        return key_bytes(trace.key), self._variant(seen) if seen else self._unseen

    def _variant(self, seen: bytes) -> bytes:
        return self._ledger.seal.name(b"variant", seen)[:16]

    def _record(self, node: str, entry: EntryName) -> None:
        self._latest[node] = entry
        records = self._ledger.batch.records
        name = (self.project, _node_bytes(node), *entry)
        records.pop(name, None)
        records[name] = self._record_seal(node, entry)

    def _record_seal(self, node: str, entry: EntryName) -> bytes:
        return self._ledger.seal.seal(b"record:%b%b%b%b" % (self.project, *entry, _node_bytes(node)))[:16]

    def kept(self) -> set[EntryName]:
        """The entries that were put or used."""
        return set(self._latest.values())

    def forget(self, nodes: set[str] | None) -> None:
        """Look for what this root used last in the database again."""
        self._records = None
        for node in list(self._latest) if nodes is None else nodes:
            self._latest.pop(node, None)


def key_bytes(key: str) -> bytes:
    """A key as 32 bytes."""
    if len(key) == 64:
        try:
            digest = bytes.fromhex(key)
        except ValueError:
            digest = b""
        if len(digest) == 32:
            return digest
    return blake3(key.encode("utf-8", "surrogatepass")).digest()


def _row_name(entry: EntryName) -> bytes:
    """The name that a row is sealed under: it cannot be moved to another key or variant. Raises Damaged."""
    key, variant = entry
    if not (isinstance(variant, bytes) and len(key) == _KEY_SIZE):
        raise Damaged("no name of ours")
    return key + variant


def _node_bytes(node: str) -> bytes:
    return node.encode("utf-8", "surrogatepass")
