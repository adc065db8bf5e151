"""All nodes of a run: each is decided as soon as what it needs is known, and run when there is room for it.

Nodes come up in the order of the graph. One that needs a node which is still under way is parked with it and comes up
again when that has its row; nothing is parked as long as one node runs at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from attrs import Factory, evolve, field

from stepcache.errors import StepcacheError, ValueGone
from stepcache.execution.engine import Engine
from stepcache.execution.waiting import Waiting
from stepcache.execution.work import Done, Executor, Work
from stepcache.model import Failure, Hit, Miss, Node, NodeReport, Reason, skipping
from stepcache.records import define, frozen

if TYPE_CHECKING:
    from stepcache.execution.mapped import Mapped

_REFRESHED = (Reason("refresh"),)
# Outcomes after which the node has a value to hand on, or has let pass what it gates.
DONE = ("cached", "ran", "given", "passed", "warned")


@frozen
class Limits:
    """When to stop: after so many failures; 0 is never. `plan` runs nothing, and `fail_on_miss` neither.

    `slots` is how much there is of what steps take by `slots=`; of what is not named there is 1.
    """

    maxfail: int = 0
    plan: bool = False
    fail_on_miss: bool = False
    slots: Mapping[str, int] = Factory(dict)


@define(eq=False)
class _Flight:
    """A node under way: the works of its that an executor has, and the claim that goes with it.

    `mapped` is None where it runs once.
    """

    node: Node
    miss: Miss
    claim: AbstractContextManager[bool] | None
    mapped: Mapped | None

    @property
    def works(self) -> int:
        """How many works it has under way, or is about to have."""
        return 1 if self.mapped is None else max(1, len(self.mapped.under_way))

    def let_go(self) -> None:
        if self.claim is not None:
            self.claim.__exit__(None, None, None)


@define
class Schedule:
    """Goes through the nodes; `rows` holds what happened so far."""

    engine: Engine
    executor: Executor
    limits: Limits
    describe: Callable[[BaseException], Failure]
    started: Callable[[Node], None] = lambda node: None
    waits: Callable[[Node], None] = lambda node: None
    """Told of a node that another run computes, before that is waited for."""
    finished: Callable[[NodeReport], None] = lambda row: None
    progressed: Callable[[Node, int, int], None] = lambda node, done, total: None
    """Told of so many elements of a mapped node that are done, of so many in all."""
    rows: dict[str, NodeReport] = field(factory=dict)
    stopped: str = ""
    _failures: int = 0
    _open: set[str] = field(factory=set)
    """The nodes that are to have a row and have none yet."""
    _ready: deque[Node] = field(factory=deque)
    """Nodes that were parked and may come up again."""
    _parked: dict[str, list[Node]] = field(factory=dict)
    _waiting: Waiting = field(factory=Waiting)
    """What was decided on and waits for room."""
    _flights: dict[str, _Flight] = field(factory=dict)
    """The nodes under way."""
    _works: dict[str, tuple[_Flight, Work]] = field(factory=dict)
    """What an executor has."""
    _keys: dict[str, str] = field(factory=dict)
    """The nodes under way, or planned, by their keys: another one of the same key waits for the result."""
    _again: dict[str, str] = field(factory=dict)
    """Nodes that have to run once more, since their values are damaged or gone, with what is wrong."""
    _tried: set[tuple[str, str]] = field(factory=set)

    def go(self, nodes: Iterable[Node] | None = None) -> None:
        """Run all, or *nodes*; a KeyboardInterrupt marks what is left as skipped and goes on upwards."""
        every = self.engine.graph.nodes.values() if nodes is None else list(nodes)
        self._open = {node.id for node in every}
        try:
            self._go(iter(every))
        except KeyboardInterrupt as error:
            place = self.describe(error).location
            self.stopped = f"KeyboardInterrupt at {place}" if place else "KeyboardInterrupt"
            for done in self.executor.interrupt():
                self._land(done)
            for flight in self._flights.values():
                flight.let_go()
            for node in every:
                if node.id in self._open:
                    self._add(self._left(node, "not reached: the run was interrupted"))
            raise

    def again(self, node: Node) -> NodeReport:
        """Decide a node of a run that is over once more: its value is gone, or found after all."""
        del self.rows[node.id]
        self.go([node])
        return self.rows[node.id]

    def _go(self, nodes: Iterator[Node]) -> None:
        while True:
            for done in self.executor.finished(wait=False):
                self._land(done)
            if self._start_next():
                continue
            node = self._ready.popleft() if self._ready else next(nodes, None)
            if node is not None:
                self._come_up(node)
            elif self._flights:
                self._write()
                for done in self.executor.finished(wait=True):
                    self._land(done)
            else:
                break
        assert not self._open, f"nodes wait for one another: {sorted(self._open)}"

    # --- deciding

    def _come_up(self, node: Node) -> None:
        """Decide the node, unless it has to wait."""
        for each in self._before(node):
            if each in self._open:
                self._parked.setdefault(each, []).append(node)
                return
        found = self._decided(node)
        if isinstance(found, NodeReport):
            self._add(found)
        elif not self._flights and not self._waiting and self._has_room(node):
            self._start(node, found)
        else:
            self._waiting.add(node, found)

    def _before(self, node: Node) -> tuple[str, ...]:
        gates = self.engine.graph.gates.get(node.id)
        return (*gates, *node.upstream) if gates else node.upstream

    def _decided(self, node: Node) -> NodeReport | Miss:
        if self.stopped:
            return self._left(node, f"not reached: {self.stopped}")
        if node.name in self.engine.policy.given and node.kind == "step":
            return self.engine.give(node, self.engine.policy.given[node.name])
        mark = skipping(node)
        if mark is not None:
            return self._left(node, str(mark.kwargs.get("reason", "") or (mark.args[0] if mark.args else "")))
        stopper = self._stopper(node)
        if stopper is not None:
            return stopper
        if node.id in self._again:
            return self._made_again(node)
        if self.limits.plan or self.limits.fail_on_miss:
            return self._planned(node)
        decision = self.engine.decide(node)
        if isinstance(decision, Hit):
            return self.engine.use(node, decision)
        if node.id in self.engine.graph.excluded:
            return self._left(node, "deselected, and not in the cache")
        return decision

    def _made_again(self, node: Node) -> NodeReport | Miss:
        """Its value is gone; of a mapped node, only what is gone is made again."""
        miss = Miss(self.engine.key(node), (Reason(self._again.pop(node.id)),))  # type: ignore[arg-type]
        if not node.mapped:
            return miss
        decision = self.engine.by_elements(node, miss)
        return self.engine.use(node, decision) if isinstance(decision, Hit) else miss

    def _left(self, node: Node, message: str) -> NodeReport:
        return NodeReport(node.id, node.kind, "skipped", node.file, needs=node.upstream, message=message)

    def _stopper(self, node: Node) -> NodeReport | None:
        """The row of a node that cannot run: what it needs failed or was skipped, or a check has not passed."""
        worst: NodeReport | None = None
        for each in self._before(node):
            row = self.rows.get(each)
            if row is None or row.outcome in DONE or row.outcome in ("would-run", "unknown"):
                continue
            if row.outcome in ("failed", "blocked"):
                blocker = f"blocked by {row.id}" if row.outcome == "failed" else row.message
                return self._blocked(node, blocker)
            if worst is None and not _is_optional(node, each):
                worst = row
        return None if worst is None else self._left(node, f"needs {worst.id}, which is skipped")

    def _blocked(self, node: Node, blocker: str) -> NodeReport:
        return NodeReport(node.id, node.kind, "blocked", node.file, needs=node.upstream, message=blocker)

    def _planned(self, node: Node) -> NodeReport:
        waiting = [n for n in node.upstream if self.rows[n].outcome in ("would-run", "unknown")]
        row = NodeReport(node.id, node.kind, "unknown", node.file, needs=node.upstream)
        if waiting:
            return evolve(row, message=f"depends on {waiting[0]}")
        decision = self.engine.decide(node)
        if isinstance(decision, Hit):
            return self.engine.use(node, decision)
        if node.id in self.engine.graph.excluded:
            return self._left(node, "deselected, and not in the cache")
        if self._shares(node, decision):
            first = self._keys.setdefault(decision.key, node.id)
            if first != node.id:
                return evolve(row, key=decision.key, message=f"has the same key as {first}, which runs first")
        mapped = self.engine.mapped.get(node.id)
        elements = mapped.counts if mapped is not None else None
        return evolve(row, outcome="would-run", why=decision.reasons, key=decision.key or None, elements=elements)

    def _shares(self, node: Node, miss: Miss) -> bool:
        """Will what comes of the node serve others of its key?"""
        return self.engine.shelf.store is not None and miss.reasons != _REFRESHED and self.engine.keeps(node)

    # --- running

    def _start_next(self) -> bool:
        """Start the first work that there is room for, of nodes under way first; whether there was one."""
        for flight in self._flights.values():
            if self._is_cut_short(flight):
                self._end(flight, None)
                return True
            if self._has_more(flight) and self.executor.takes(flight.node):
                self._submit(flight, self.engine.batch(flight.node, flight.miss))
                return True
        found = self._waiting.take(self._has_room)
        if found is not None:
            self._start(*found)
        return found is not None

    def _has_room(self, node: Node) -> bool:
        """Is there room for the node, or is it not to run after all?"""
        return bool(self.stopped) or (self._has_slots(node) and self.executor.takes(node))

    def _has_more(self, flight: _Flight) -> bool:
        """Has it elements that may be handed out now?"""
        mapped = flight.mapped
        if self.stopped or mapped is None or not mapped.waits or mapped.gone is not None:
            return False
        return not mapped.under_way or self._has_slots(flight.node)

    def _is_cut_short(self, flight: _Flight) -> bool:
        """Is it to end before all its elements have run?"""
        mapped = flight.mapped
        return bool(self.stopped) and mapped is not None and mapped.waits and not mapped.under_way

    def _has_slots(self, node: Node) -> bool:
        """Is there enough of what the node takes? One that takes more than there is runs when nobody else takes any.

        Each work takes it: batches of elements that run at once, too.
        """
        for name, wanted in node.definition.slots.items():
            taken = sum(flight.node.definition.slots.get(name, 0) * flight.works for flight in self._flights.values())
            if taken and taken + wanted > self.limits.slots.get(name, 1):
                return False
        return True

    def _start(self, node: Node, miss: Miss) -> None:
        if self.stopped:
            self._add(self._left(node, f"not reached: {self.stopped}"))
            return
        claim = None
        store = self.engine.shelf.store
        if store is not None and self._shares(node, miss):
            if miss.key in self._keys:
                self._parked.setdefault(self._keys[miss.key], []).append(node)
                return
            claim = store.claim(miss.key, lambda: self.waits(node))
            mine = claim.__enter__()
            if not mine or self.engine.shelf.traces(miss.key, ()):  # another run may have computed it meanwhile
                found = self.engine.decide(node)
                if isinstance(found, Hit):
                    claim.__exit__(None, None, None)
                    self._add(self.engine.use(node, found))
                    return
            self._keys[miss.key] = node.id
        self.started(node)
        flight = self._flights[node.id] = _Flight(
            node, miss, claim, self.engine.mapped[node.id] if node.mapped else None
        )
        self._tell_progress(flight)
        if flight.mapped is None:
            self._submit(flight, self.engine.work(node, miss))
        elif flight.mapped.over:
            self._end(flight, None)

    def _tell_progress(self, flight: _Flight) -> None:
        if flight.mapped is not None:
            self.progressed(flight.node, flight.mapped.done, len(flight.mapped.names))

    def _write(self) -> None:
        """Have what is finished stored before something else is waited for."""
        if self.engine.shelf.store is not None:
            self.engine.shelf.store.before_wait()

    def _submit(self, flight: _Flight, work: Work) -> None:
        self._works[work.id] = (flight, work)
        self._write()
        self.executor.submit(work)

    def _land(self, done: Done) -> None:
        flight, work = self._works.pop(done.work)
        if flight.mapped is not None:
            self.engine.mapper.take(flight.mapped, done)
            self._tell_progress(flight)
            if not flight.mapped.over:
                return
        self._end(flight, work, done)

    def _end(self, flight: _Flight, work: Work | None, done: Done | None = None) -> None:
        """A node is no longer under way."""
        node, miss, mapped = flight.node, flight.miss, flight.mapped
        del self._flights[node.id]
        self._keys.pop(miss.key, None)
        try:
            gone = done.gone if done is not None else None
            if mapped is not None:
                gone = mapped.gone
            if gone is not None:
                self._lost(flight, gone)
            elif mapped is not None and mapped.waits and not mapped.failures:
                self._add(self._left(node, f"not reached: {self.stopped}"))
            elif mapped is not None:
                self._add(self.engine.finish_mapped(node, miss, mapped))
            elif work is not None and done is not None:
                self._add(self.engine.finish(node, miss, work, done))
        finally:
            flight.let_go()

    def _lost(self, flight: _Flight, gone: ValueGone) -> None:
        """An input of the node could not be had: it is made again first, if it may be and has not been already."""
        node, maker = flight.node, self.engine.maker(gone, flight.node)
        if maker is None or maker.id in self.engine.graph.excluded or (node.id, maker.id) in self._tried:
            error = gone if maker is None or gone.__cause__ is None else _unloadable(maker.id, gone.__cause__)
            failure = self.describe(error)
            self._add(self.engine.without(node, flight.miss, maker, gone, failure))
            return
        self._tried.add((node.id, maker.id))
        self.engine.lose(gone, maker)
        self._again[maker.id] = gone.reason
        self._open.add(maker.id)
        self._parked.setdefault(maker.id, []).append(node)
        self._ready.appendleft(maker)

    def _add(self, row: NodeReport) -> None:
        first = row.id not in self.rows
        self.rows[row.id] = row
        self._open.discard(row.id)
        self._ready.extend(self._parked.pop(row.id, ()))
        if row.outcome == "failed":
            self._failures += 1
            if self.limits.maxfail and self._failures >= self.limits.maxfail and not self.stopped:
                plural = "" if self._failures == 1 else "s"
                self.stopped = f"stopping after {self._failures} failure{plural}"
        if first:  # one that ran again after it had been a hit was told already
            self.finished(row)


def _is_optional(node: Node, upstream: str) -> bool:
    """Does the node take the other's value, if it does, by `All` only?"""
    return any(need.variants is not None and upstream in need.nodes for need in node.needs)


def _unloadable(maker: str, cause: BaseException) -> StepcacheError:
    """What is told of a value that cannot be loaded although it has just been made."""
    error = StepcacheError(
        f"the value of {maker} does not come back as it was stored: "
        f"give its class a __reduce__ from which it does, or the step a codec"
    )
    error.__cause__ = cause
    return error
