"""What the cache holds for one root: listed, cleared and checked as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepcache.errors import ValueGone
from stepcache.records import frozen
from stepcache.store.frame import Damaged, Foreign
from stepcache.store.gc import drop_entries

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from stepcache.model import Trace, Value
    from stepcache.store.batch import EntryName
    from stepcache.store.ledger import Ledger
    from stepcache.store.traces import Traces
    from stepcache.store.values import Values

_OF_PROJECT = (
    "SELECT records.node, traces.key, traces.variant, traces.used, traces.frame FROM records "
    "JOIN traces ON traces.key = records.key AND traces.variant = records.variant "
    "WHERE records.project = ? ORDER BY records.node, records.id"
)


@frozen
class EntryRow:
    """An entry of this project, as `--cache-show` lists it. `held` is whether its value is there."""

    node: str
    key: str
    size: int
    stored: int
    made: float
    used: float
    seconds: float
    held: bool


@frozen
class Totals:
    """Entries taken together: their number, the bytes of their values, raw and on disk, each content counted once, and
    the seconds they took to make."""

    count: int = 0
    size: int = 0
    stored: int = 0
    seconds: float = 0.0


@frozen
class VerifyReport:
    """How many entries were checked, and the nodes of those that were damaged."""

    checked: int = 0
    damaged: tuple[str, ...] = ()


class Inventory:
    """The entries of one cache folder as its user sees them."""

    def __init__(self, ledger: Ledger, values: Values, traces: Traces) -> None:
        self._ledger = ledger
        self._values = values
        self._traces = traces

    def entries(self) -> list[EntryRow]:
        """The entries of this root."""
        rows = []
        for node, _, used, trace in self._of_project():
            value = trace.value
            size, stored, held = (value.size, value.stored, self._values.holds(value)) if value else (0, 0, True)
            rows.append(EntryRow(node, trace.key, size, stored, trace.made, used, trace.seconds, held))
        return rows

    def totals(self, nodes: Collection[str] | None) -> tuple[Totals, Totals]:
        """This root's entries, of *nodes* only if given, and those of them that no other root uses."""
        found = self._of_nodes(nodes)
        shared = {
            (key, variant)
            for key, variant in self._ledger.rows(
                "SELECT DISTINCT key, variant FROM records WHERE project != ?", (self._traces.project,)
            )
        }
        own = [trace for entry, trace in found.items() if entry not in shared]
        return _totals(self._held(found.values())), _totals(self._held(own))

    def _held(self, traces: Iterable[Trace]) -> list[Trace]:
        return [trace for trace in traces if trace.value is None or self._values.holds(trace.value)]

    def _of_nodes(self, nodes: Collection[str] | None) -> dict[EntryName, Trace]:
        wanted = None if nodes is None else set(nodes)
        return {entry: trace for node, entry, _, trace in self._of_project() if wanted is None or node in wanted}

    def clear(self, nodes: Collection[str] | None) -> Totals | None:
        """Remove this root's entries, of *nodes* only if given; what other roots have under their keys is hidden.

        What was removed; None where nothing can be, and all is hidden.
        """
        found = self._of_nodes(nodes)
        kept = self._ledger.change(lambda connection: self._drop(connection, found))
        self._traces.hidden.update(found if kept is None else kept)
        self._traces.forget(None if nodes is None else set(nodes))
        return None if kept is None else _totals([trace for entry, trace in found.items() if entry not in kept])

    def _drop(self, connection: sqlite3.Connection, found: Collection[EntryName]) -> set[EntryName]:
        """Drop entries, but for those that another root's record names, and give back what stays under their keys."""
        kept, project = set(), self._traces.project
        for entry in found:
            connection.execute("DELETE FROM records WHERE project = ? AND key = ? AND variant = ?", (project, *entry))
            if connection.execute("SELECT 1 FROM records WHERE key = ? AND variant = ?", entry).fetchone():
                kept.add(entry)
        drop_entries(connection, self._ledger.blobs, [entry for entry in found if entry not in kept], None)
        for key in {key for key, _ in found}:
            kept.update((key, row[0]) for row in connection.execute("SELECT variant FROM traces WHERE key = ?", (key,)))
        return kept

    def _of_project(self) -> list[tuple[str, EntryName, float, Trace]]:
        """The entries in this root's record. What is damaged or of another key is no entry."""
        self._ledger.commit()
        found = []
        for node, key, variant, used, stored in self._ledger.rows(_OF_PROJECT, (self._traces.project,)):
            try:
                trace = self._traces.decoded((key, variant), stored, ())
            except (Damaged, Foreign):
                continue
            if (key, variant) not in self._traces.hidden:
                found.append((node.decode("utf-8", "surrogatepass"), (key, variant), float(used), trace))
        return found

    def verify(self) -> VerifyReport:
        """Read and check every entry of this key; drop those that are damaged."""
        self._ledger.commit()
        self._ledger.suspect()
        checked = 0
        damaged: dict[EntryName, tuple[bytes, str]] = {}
        states: dict[str, bool] = {}
        for key, variant, stored, ingredients in self._ledger.rows(
            "SELECT key, variant, frame, ingredients FROM traces"
        ):
            entry = (key, variant)
            try:
                trace = self._traces.decoded(entry, stored, ingredients)
            except Foreign:
                continue
            except Damaged:
                damaged[entry] = (stored, self._node_of(entry))
            else:
                if trace.value is not None and not self._is_whole(trace, states):
                    damaged[entry] = (stored, trace.node)
            checked += 1
        nodes = self._drop_damaged(damaged) if damaged else set()
        return VerifyReport(checked, tuple(sorted(nodes)))

    def _is_whole(self, trace: Trace, states: dict[str, bool]) -> bool:
        assert trace.value is not None
        return all(self._is_sound(each, states) for each in trace.value.contents)

    def _is_sound(self, value: Value, states: dict[str, bool]) -> bool:
        if value.inline is None and value.digest not in states:
            try:
                self._values.load(value)
            except ValueGone as error:
                states[value.digest] = error.reason == "foreign"
            else:
                states[value.digest] = True
        return value.inline is not None or states[value.digest]

    def _node_of(self, entry: EntryName) -> str:
        """The node that a damaged entry is recorded for."""
        for (node,) in self._ledger.rows("SELECT node FROM records WHERE key = ? AND variant = ?", entry):
            return str(node, "utf-8", "replace")
        return f"key {entry[0].hex()[:12]}"

    def _drop_damaged(self, damaged: Mapping[EntryName, tuple[bytes, str]]) -> set[str]:
        """Drop damaged entries, each with its row and its node, and give their nodes.

        Those that another process has dropped, or made anew, since they were read are none.
        """
        select = "SELECT frame FROM traces WHERE key = ? AND variant = ?"

        def drop(connection: sqlite3.Connection) -> set[str]:
            same = [e for e, (row, _) in damaged.items() if connection.execute(select, e).fetchone() == (row,)]
            drop_entries(connection, self._ledger.blobs, same, b"damaged")
            return {damaged[entry][1] for entry in same}

        dropped = None if self._ledger.readonly else self._ledger.change(drop)
        return {node for _, node in damaged.values()} if dropped is None else dropped


def _totals(traces: Sequence[Trace]) -> Totals:
    sizes = {each.digest: each for trace in traces if trace.value is not None for each in trace.value.contents}
    return Totals(
        len(traces),
        sum(value.size for value in sizes.values()),
        sum(value.stored for value in sizes.values()),
        sum(trace.seconds for trace in traces),
    )
