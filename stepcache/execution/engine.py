"""One node: is its answer stored, what is to be run if not, and what came of it: its trace and its row."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve, field

from stepcache.errors import ValueGone
from stepcache.execution.returned import given_product
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.execution.values import Held, Inputs, Product
from stepcache.execution.work import Done, Work
from stepcache.key.conclude import Seen
from stepcache.key.decide import decide, explain
from stepcache.key.decide import key_of as key_of_ingredients
from stepcache.key.ingredients import Recipe
from stepcache.model import (
    Decision,
    Elements,
    Failure,
    Graph,
    Hit,
    Miss,
    Node,
    NodeReport,
    Reason,
    Trace,
    Value,
    skipping,
)
from stepcache.records import define, frozen
from stepcache.store.objects import loaded
from stepcache.store.vault import Vault

if TYPE_CHECKING:
    from stepcache.execution.mapped import Mapped
    from stepcache.execution.mapper import Mapper


@frozen
class Policy:
    """What the cache may do for which node.

    `off` are the nodes whose cache is off; `refresh` those that run without reading. `given` are values that the
    caller put in the place of steps'.
    """

    off: frozenset[str] = frozenset()
    refresh: frozenset[str] = frozenset()
    given: Mapping[str, object] = field(factory=dict)


@define
class Engine:
    """Decides for the nodes of a graph, and takes what came of those that were run. It runs none itself."""

    graph: Graph
    policy: Policy
    shelf: Shelf
    sight: Sight
    products: dict[str, Product] = field(factory=dict)
    decided: dict[str, tuple[Recipe, str]] = field(factory=dict)
    """The recipe and key of each node, as last decided; of one whose result is stored, in outline."""
    expected: dict[str, float] = field(factory=dict)
    """How many seconds nodes that are to run took last time."""
    tainted: set[str] = field(factory=set)
    """Nodes below given values: nothing of theirs is stored."""
    notices: dict[str, list[str]] = field(factory=dict)
    warnings: list[str] = field(factory=list)
    gone: dict[str, str] = field(factory=dict)
    """The digests of values that could not be had, with what was wrong with them, until they are made again."""
    wrong_ends: list[str] = field(factory=list)
    """What went wrong when the resources of the run were torn down."""
    mapped: dict[str, Mapped] = field(factory=dict)
    """The mapped nodes that are not answered as a whole, as last decided."""
    wholes: dict[str, Trace] = field(factory=dict)
    """Of mapped nodes, what was kept of the whole in this run."""
    _answered: set[str] = field(factory=set)
    """The nodes whose stored results were taken."""
    _foreseen: dict[str, tuple[Hit, tuple[object, ...]]] = field(factory=dict)
    """What was decided before a node ran, with the digests of the values that it rests on."""
    _foresaw: bool = False
    _begun: bool = False
    """Has a node been run?"""
    _mapper: Mapper | None = None

    @property
    def mapper(self) -> Mapper:
        """What decides about mapped nodes, element by element."""
        if self._mapper is None:
            from stepcache.execution.mapper import Mapper  # most runs have no mapped node

            self._mapper = Mapper(self.graph, self.shelf, self.sight, self.gone)
        return self._mapper

    # --- deciding

    def decide(self, node: Node) -> Decision:
        """May a stored result be used for the node?"""
        if self._foreseen:
            found = self._foreseen.pop(node.id, None)
            if found is not None and found[1] == self._digests(node) and self._still_holds(node, found[0]):
                return found[0]
        unstored = [n for n in self._taken(node) if isinstance(self.products.get(n), Held)]
        if unstored:
            miss = Miss("", tuple(Reason("unstored", self.graph.nodes[n].name) for n in unstored))
            return self.by_elements(node, miss) if node.mapped else miss
        recipe = self.sight.recipe(node, self.graph.resources, self._values(node))
        key = key_of_ingredients(recipe.ingredients, recipe.code)
        decision = self._decision(node, recipe, key)
        self.decided[node.id] = (recipe, key)
        return self.by_elements(node, decision) if node.mapped and isinstance(decision, Miss) else decision

    def by_elements(self, node: Node, miss: Miss) -> Decision:
        """A mapped node that is not answered as a whole: a hit where all its elements are stored."""
        reads = bool(miss.key) and node.id not in self.policy.off and node.id not in self.policy.refresh
        mapped = self.mapper.mapped(node, self.products, self._values(node), keyed=bool(miss.key), reads=reads)
        self.mapped[node.id] = mapped
        known = mapped.trouble is None and mapped.gone is None and not mapped.waits
        if known and reads and not mapped.all_skipped:
            return Hit(miss.key, self._whole(node, miss, mapped))
        return Miss(miss.key, mapped.reasons) if reads and mapped.reasons else miss

    def _digests(self, node: Node) -> tuple[object, ...]:
        """What tells the values of the nodes right before it from others."""
        return tuple(p.digest if isinstance(p, Value) else None for p in map(self.products.get, node.upstream))

    def _taken(self, node: Node) -> list[str]:
        """The nodes whose values it is handed, or its resources are."""
        ignored = node.definition.ignore
        direct = [n for need in node.needs if need.parameter not in ignored for n in need.nodes]
        return [*dict.fromkeys((*direct, *node.through))]

    def _values(self, node: Node) -> dict[str, Value]:
        """The stored values of the nodes right before it."""
        known = ((n, self.products.get(n)) for n in node.upstream)
        return {n: p for n, p in known if isinstance(p, Value)}

    def _decision(self, node: Node, recipe: Recipe, key: str) -> Decision:
        if node.id in self.policy.off or node.id in self.policy.refresh:
            self._expect(node, self.shelf.latest(node.id))
            return Miss(key, (Reason("off" if node.id in self.policy.off else "refresh"),))
        traces = self.shelf.traces(key, recipe.told)
        latest = self._latest(node) if not traces else None
        if not traces and latest is None:
            return self._or_trouble(Miss(key, explain(None, recipe.told, ())))
        holds = self.sight.holds(recipe)
        traces = self.sight.counted(node, self.sight.unshaken(node, traces, holds))
        if node.definition.reads:
            traces = tuple(t for t in traces if self.sight.lacks(node, t) is None) or traces
        found = decide(
            key,
            recipe.told,
            traces,
            holds,
            latest=latest,
            objection=lambda trace: self._objection(node, trace),
            same_sources=self.sight.has_same_sources,
        )
        if isinstance(found, Miss):
            self._expect(node, traces[0] if traces else latest)
        return self._or_trouble(found) if isinstance(found, Miss) and not traces else found

    def _or_trouble(self, miss: Miss) -> Miss:
        """The miss of a key under which nothing is stored: because of what is wrong, where something had been there."""
        trouble = self.shelf.trouble(miss.key)
        return miss if trouble is None else Miss(miss.key, (Reason(trouble),))  # type: ignore[arg-type]

    def _expect(self, node: Node, latest: Trace | None) -> None:
        if latest is not None:
            self.expected[node.id] = latest.seconds

    def _latest(self, node: Node) -> Trace | None:
        latest = self.shelf.latest(node.id)
        return self.sight.counted(node, (latest,))[0] if latest is not None else None

    def _objection(self, node: Node, trace: Trace) -> Reason | None:
        if trace.node != node.id and trace.value is not None:
            foreign = self.sight.foreign(node, trace.value.every_class, self._values(node))
            if foreign is not None:
                return Reason("code", foreign)
        lacking = self.sight.lacks(node, trace)
        if lacking is not None:
            return Reason("env" if lacking.kind == "env" else "file", lacking.label)
        expires = node.definition.expires
        if expires is not None and not 0 <= time.time() - trace.made <= expires:
            return Reason("expired")
        for each in trace.value.contents if trace.value is not None else ():
            if each.digest in self.gone:
                return Reason(self.gone[each.digest])  # type: ignore[arg-type]
        if trace.value is not None and not self.shelf.held(trace.value):
            return Reason("evicted")
        return None

    # --- hits

    def use(self, node: Node, hit: Hit) -> NodeReport:
        """Take the stored result."""
        trace = hit.trace
        self._answered.add(node.id)
        if trace.value is not None:
            self.products[node.id] = trace.value
        self.shelf.used([(node.id, trace)])
        return self._row(
            node,
            "cached",
            key=hit.key,
            value=trace.value,
            saved_seconds=trace.seconds,
            made=trace.made,
            output=trace.output,
            observations=trace.observations,
            elements=_counted(trace.elements),
        )

    def next_row(self, row: NodeReport) -> NodeReport | None:
        """The row that the next run has for a node, if nothing changes until then; None where that runs it."""
        if row.outcome not in ("ran", "passed") or row.made is None:
            return row if row.outcome == "cached" else None
        whole = self.wholes.get(row.id)
        return evolve(
            row,
            outcome="cached",
            seconds=0.0,
            saved_seconds=row.seconds if whole is None else whole.seconds,
            why=(),
            elements=None if whole is None else _counted(whole.elements),
        )

    def give(self, node: Node, value: object) -> NodeReport:
        """Take the value that the caller gave."""
        self.tainted.add(node.id)
        product = self.products[node.id] = given_product(value, node.outputs, self.shelf)
        return self._row(node, "given", value=product if isinstance(product, Value) else None)

    # --- misses

    def work(self, node: Node, miss: Miss) -> Work:
        """What an executor needs to run the node."""
        self._begun = True
        made = self.decided[node.id][0] if node.id in self.decided else None
        inputs = {n: self.products[n] for n in self._taken(node) if n in self.products}
        return Work(node, miss.key, self.sight.facts(made), inputs, self.graph.resources, self.keeps(node))

    def batch(self, node: Node, miss: Miss) -> Work:
        """What an executor needs to run a mapped node for the next of its elements."""
        whole = {need.node for need in node.needs if need.each} - {
            n for need in node.needs if not need.each for n in need.nodes
        }
        work = self.work(node, miss)
        inputs = {n: each for n, each in work.inputs.items() if n not in whole or n in node.through}
        return self.mapper.batch(self.mapped[node.id], evolve(work, inputs=inputs))

    def keeps(self, node: Node) -> bool:
        """Is the node's result to be stored?"""
        tainted = node.id in self.tainted or any(n in self.tainted for n in node.upstream)
        if tainted:
            self.tainted.add(node.id)
        return not tainted and node.id not in self.policy.off and node.id in self.decided and self.shelf.writes

    def key(self, node: Node) -> str:
        """The key that the node had last."""
        return self.decided[node.id][1] if node.id in self.decided else ""

    def settle(self) -> None:
        """Look at all code and module variables that nodes reach: a body is about to run in this process."""
        self.foresee()
        self.sight.settle(self.graph.nodes.values(), self.graph.resources)

    def foresee(self) -> None:
        """Decide on all nodes as far as their inputs are known, and import the files of those that may run.

        It is done before any body runs, which may change what an import meets. Raises `Outdated`.
        """
        if self.sight.sleeps and not self._foresaw:
            self._foresaw = True
            left = (node for node in self.graph.nodes.values() if node.id not in self._answered)
            self.sight.rouse([node for node in left if not self._is_foreseen(node)], self.graph.resources)
            self.sight.note_imported()

    def _still_holds(self, node: Node, hit: Hit) -> bool:
        """Does what was foreseen hold when the node comes up? What has run since may have written files."""
        seen = (each.kind for each in hit.trace.observations if each.counts)
        return not self._begun or (not node.mapped and all(kind == "variable" for kind in seen))

    def rouse(self, node: Node) -> None:
        """Import what the node is defined in, if it is not there yet."""
        self.sight.rouse((node,), self.graph.resources)

    def _is_foreseen(self, node: Node) -> bool:
        """Is it known already that the node will not run?"""
        if skipping(node) is not None:
            return True
        if any(each not in self._answered and each not in self.products for each in node.upstream):
            return False
        decision = self.decide(node)
        if isinstance(decision, Miss):
            return False
        if decision.trace.value is not None:
            self.products[node.id] = decision.trace.value
        self._foreseen[node.id] = (decision, self._digests(node))
        return True

    def finish(self, node: Node, miss: Miss, work: Work, done: Done) -> NodeReport:
        """Take what came of a work: the trace is written, and this is the row."""
        if done.outcome == "skipped":
            return self._row(node, "skipped", output=done.output, message=done.message)
        told: dict[str, Any] = {"seconds": done.seconds, "why": miss.reasons, "output": done.output}
        if done.outcome == "failed":
            return self._failed(node, miss, done.failure, observations=done.seen.observations, **told)
        seen, keeps = done.seen, work.keeps and not done.seen.changed
        self._notice(node, seen.notices, work.keeps)
        if done.product is not None:
            self.products[node.id] = done.product
        if isinstance(done.product, Held):
            self.warnings.append(
                f"{node.id}: its value cannot be stored ({done.unstorable}): it runs each time, and so do the steps "
                f"that take it"
            )
            return self._row(node, "ran", key=miss.key or None, **told)
        for each in done.product.contents if done.product is not None else ():
            self.gone.pop(each.digest, None)
        self._warn_of_changed(node, seen.changed)
        trace = self._store(node, done) if keeps and self.shelf.store is not None else None
        return self._row(
            node,
            "passed" if node.kind == "check" else "ran",
            key=(miss.key if trace is None else trace.key) or None,
            value=done.product,
            made=None if trace is None else trace.made,
            observations=(*seen.observations, *done.standing) if trace is None else trace.observations,
            **told,
        )

    def _notice(self, node: Node, notices: Collection[str], keeps: bool) -> None:
        """Tell what could not be seen, unless the author has said what there is to it, or nothing is kept."""
        if notices and keeps and not node.definition.vouched_for:
            self.notices[node.id] = list(notices)

    def _warn_of_changed(self, node: Node, changed: Collection[str]) -> None:
        if changed:
            self.warnings.append(
                f"{node.id}: {', '.join(changed)} changed while it was in use: its result is used and not stored"
            )

    def _store(self, node: Node, done: Done) -> Trace:
        """Keep the result, under the key of the sources that ran."""
        trace = self._trace(node, done)
        assert self.shelf.store is not None
        self.shelf.store.put(trace)
        recipe, key = self.decided[node.id]
        self.decided[node.id] = (recipe.outlined, key)
        return trace

    def _trace(self, node: Node, done: Done) -> Trace:
        recipe, key = self.decided[node.id]
        if not recipe.told or self.sight.other_sources(recipe):
            recipe = self.sight.recipe(node, self.graph.resources, self._values(node))
            key = key_of_ingredients(recipe.ingredients, recipe.code)
            self.decided[node.id] = (recipe, key)
        every = dict.fromkeys((*done.seen.observations, *done.standing, *self.sight.standing(node, recipe)))
        return Trace(
            key=key,
            node=node.id,
            ingredients=recipe.told,
            observations=tuple(every),
            value=done.product if isinstance(done.product, Value) else None,
            seconds=done.seconds,
            made=time.time(),
            output=done.output,
            world=self.sight.world(),
        )

    # --- mapped nodes

    def _whole(self, node: Node, miss: Miss, mapped: Mapped) -> Trace:
        """The whole of a mapped node all of whose elements are known: kept, if it may be."""
        keeps = self.keeps(node) and not mapped.changed and mapped.skips_are_known
        product = None if node.kind == "check" else self.mapper.whole(mapped, keeps)
        done = Done(
            node.id,
            "ran",
            product,
            mapped.took_in_all(),
            Seen(mapped.rests_on()),
            tuple(mapped.standing),
            mapped.wrote(),
        )
        trace = evolve(self._trace(node, done), made=mapped.oldest(time.time()), elements=mapped.kept_and_skipped)
        if keeps and self.shelf.store is not None:
            self.shelf.store.put(trace)
            self.wholes[node.id] = trace
        return trace

    def finish_mapped(self, node: Node, miss: Miss, mapped: Mapped) -> NodeReport:
        """Take what came of the elements of a mapped node: the whole is kept, and this is the row."""
        self.mapper.tidy(mapped)
        told: dict[str, Any] = {
            "seconds": mapped.seconds,
            "why": miss.reasons,
            "output": mapped.wrote(),
            "elements": mapped.counts,
            "saved_seconds": mapped.saved(),
        }
        if mapped.trouble is not None or mapped.failures:
            return self._failed(node, miss, mapped.trouble or mapped.failure(), **told)
        if mapped.all_skipped:
            return self._row(node, "skipped", message=next(iter(mapped.skipped.values())), elements=mapped.counts)
        self._notice(node, mapped.notices, self.keeps(node))
        self._warn_of_changed(node, mapped.changed)
        if mapped.held:
            self.products[node.id] = self.mapper.held(mapped)
            self.warnings.append(
                f"{node.id}: elements of its value cannot be stored ({mapped.unstorable}): they run each time, and so "
                f"do the steps that take it"
            )
            return self._row(node, "ran", key=miss.key or None, **told)
        outcome = "passed" if node.kind == "check" else "ran"
        if node.id not in self.decided or not miss.key:
            product = None if node.kind == "check" else self.mapper.whole(mapped, keep=False)
            trace = None
        else:
            trace = self._whole(node, miss, mapped)
            product = trace.value
        if product is not None:
            self.products[node.id] = product
            for each in product.contents:
                self.gone.pop(each.digest, None)
        return self._row(
            node,
            outcome,
            key=trace.key if trace is not None else None,
            value=product,
            made=trace.made if trace is not None and self.wholes.get(node.id) is trace else None,
            observations=trace.observations if trace is not None else (),
            **told,
        )

    def _failed(self, node: Node, miss: Miss, failure: Failure | None, **more: Any) -> NodeReport:
        outcome = "warned" if node.kind == "check" and node.definition.warn else "failed"
        return self._row(node, outcome, key=miss.key or None, failure=failure, **more)

    # --- inputs that are gone

    def maker(self, gone: ValueGone, node: Node) -> Node | None:
        """The node that makes the value which *node* could not be given."""
        for each in self._taken(node):
            product = self.products.get(each)
            if isinstance(product, Value) and any(gone.digest == part.digest for part in product.contents):
                return self.graph.nodes[each]
        return None

    def lose(self, gone: ValueGone, maker: Node) -> None:
        """A value is not to be had: its maker's stored result is no answer any more."""
        self.gone[gone.digest] = gone.reason
        product = self.products.pop(maker.id, None)
        if maker.mapped and isinstance(product, Value):  # only what is gone of it is made again: all that is
            for each in product.contents:
                try:
                    self.shelf.all.data(each)
                except ValueGone as another:
                    self.gone[another.digest] = another.reason

    def without(self, node: Node, miss: Miss, maker: Node | None, gone: ValueGone, failure: Failure) -> NodeReport:
        """The row of a node whose input cannot be had: its maker is not to run, or did, and to no avail."""
        if maker is not None and maker.id in self.graph.excluded:
            message = f"needs {maker.id}, which is deselected, and whose stored value is {gone.reason}"
            return self._row(node, "skipped", message=message)
        return self._failed(node, miss, failure, why=miss.reasons)

    def _row(self, node: Node, outcome: Any, **more: Any) -> NodeReport:
        uncertain = self.decided[node.id][0].uncertain if node.id in self.decided else ()
        return NodeReport(node.id, node.kind, outcome, node.file, needs=node.upstream, uncertain=uncertain, **more)

    def value(self, node: str, output: str | None = None, vault: Vault | None = None) -> Any:
        """A fresh copy of a node's value, or of that output. Raises `ValueGone`, or KeyError where it has none."""
        return Inputs(lambda value: loaded(value, vault or self.shelf.all), self.products).of(node, output)


def _counted(elements: tuple[int, int] | None) -> Elements | None:
    """The elements of a mapped node that is a hit as a whole."""
    return Elements(elements[0], skipped=elements[1]) if elements is not None else None
