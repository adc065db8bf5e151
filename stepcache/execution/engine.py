"""One node: its answer is found, or its body is run; either way it is said why."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from attrs import define, evolve, field, frozen

from stepcache.api import Skipped
from stepcache.errors import Unstorable, ValueGone
from stepcache.execution.call import Request, arguments_of, call, seed_of, temporary_folder
from stepcache.execution.capture import Capture
from stepcache.execution.resources import Resources
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Seen, Sight
from stepcache.execution.values import Held, Inputs, Product
from stepcache.key.decide import decide
from stepcache.key.decide import key_of as key_of_ingredients
from stepcache.key.ingredients import Recipe, settings_digest
from stepcache.model import (
    Decision,
    Failure,
    Graph,
    Hit,
    Miss,
    Node,
    NodeReport,
    Observation,
    Output,
    Reason,
    Trace,
    Value,
)

Describe = Callable[[BaseException], Failure]


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
    """Runs the nodes of a graph, one at a time."""

    graph: Graph
    policy: Policy
    shelf: Shelf
    sight: Sight
    capture: Capture
    describe: Describe
    products: dict[str, Product] = field(factory=dict)
    decided: dict[str, tuple[Recipe, str, Decision]] = field(factory=dict)
    tainted: set[str] = field(factory=set)
    """Nodes below given values: nothing of theirs is stored."""
    notices: dict[str, list[str]] = field(factory=dict)
    warnings: list[str] = field(factory=list)
    gone: dict[str, str] = field(factory=dict)
    """The digests of values that could not be had, with what was wrong with them, until they are made again."""
    remade: dict[str, NodeReport] = field(factory=dict)
    """The rows of nodes that were hits and had to run after all, since their values were damaged or gone."""
    wrong_ends: list[str] = field(factory=list)
    """What went wrong when the resources of the run were torn down."""
    _settled: bool = False
    inputs: Inputs = field(init=False)
    resources: Resources = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.inputs = Inputs(self._load, self.products)
        self.resources = Resources(self.graph.resources, self.inputs, self.sight.set_up)

    # --- deciding

    def decide(self, node: Node) -> Decision:
        """May a stored result be used for the node?"""
        unstored = [n for n in self._taken(node) if isinstance(self.products.get(n), Held)]
        if unstored:
            return Miss("", tuple(Reason("unstored", self.graph.nodes[n].name) for n in unstored))
        recipe = self.sight.recipe(node, self.graph.resources, self._values(node))
        key = key_of_ingredients(recipe.ingredients, recipe.code)
        decision = self._decision(node, recipe, key)
        self.decided[node.id] = (recipe, key, decision)
        return decision

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
        if node.id in self.policy.off:
            return Miss(key, (Reason("off"),))
        if node.id in self.policy.refresh:
            return Miss(key, (Reason("refresh"),))
        traces = self.sight.unshaken(node, self.shelf.traces(key))
        found = decide(
            key,
            recipe.told,
            traces,
            self.sight.holds(recipe),
            latest=self.shelf.latest(node.id) if not traces else None,
            objection=lambda trace: self._objection(node, trace),
        )
        if isinstance(found, Miss) and not traces:
            trouble = self.shelf.trouble(key)
            if trouble is not None:
                return Miss(key, (Reason(trouble),))  # type: ignore[arg-type]
        return found

    def _objection(self, node: Node, trace: Trace) -> Reason | None:
        expires = node.definition.expires
        if expires is not None and not 0 <= time.time() - trace.made <= expires:
            return Reason("expired")
        if trace.value is not None and trace.value.digest in self.gone:
            return Reason(self.gone[trace.value.digest])  # type: ignore[arg-type]
        if trace.value is not None and not self.shelf.held(trace.value):
            return Reason("evicted")
        return None

    # --- hits

    def use(self, node: Node, hit: Hit) -> NodeReport:
        """Take the stored result."""
        trace = hit.trace
        if trace.value is not None:
            self.products[node.id] = trace.value
        self.shelf.used([(node.id, trace)])
        return self._row(
            node,
            "cached",
            key=hit.key,
            value=trace.value,
            saved_seconds=trace.seconds,
            output=trace.output,
            observations=trace.observations,
        )

    def give(self, node: Node, value: object) -> NodeReport:
        """Take the value that the caller gave."""
        self.tainted.add(node.id)
        try:
            self.products[node.id] = self.shelf.save(value, keep=False, codec=None, tmp=None)
        except Unstorable:
            self.products[node.id] = Held(value)
        product = self.products[node.id]
        return self._row(node, "given", value=product if isinstance(product, Value) else None)

    # --- misses

    def run(self, node: Node, miss: Miss, *, started: Callable[[Node], None] = lambda node: None) -> NodeReport:
        """Run the body; an input that is damaged or gone by now is made again first."""
        stack: list[tuple[Node, Miss]] = [(node, miss)]
        again: set[str] = set()
        while True:
            current, why = stack[-1]
            try:
                row = self._once(current, why, started)
            except ValueGone as gone:
                maker = self._maker(gone, current)
                if maker is not None and maker.id not in again and maker.id not in self.graph.excluded:
                    again.add(maker.id)
                    self.gone[gone.digest] = gone.reason
                    self.products.pop(maker.id, None)
                    stack.append((maker, Miss(self._key(maker), (Reason(gone.reason),))))  # type: ignore[arg-type]
                    continue
                row = self._without(current, why, maker, gone)
            settled = self._settle(stack, row)
            if settled is not None:
                return settled

    def _settle(self, stack: list[tuple[Node, Miss]], row: NodeReport) -> NodeReport | None:
        """Take *row* for the last of *stack*, and what follows from it for those before: the first one's row, or None
        where one of them has to run now."""
        while True:
            current, _ = stack.pop()
            if not stack:
                return row
            self.remade[current.id] = row
            waiting, _ = stack[-1]
            if row.outcome in ("failed", "blocked"):
                message = f"blocked by {row.id}" if row.outcome == "failed" else row.message
                row = evolve(self._row(waiting, "blocked"), message=message)
            elif row.outcome == "skipped":
                row = evolve(self._row(waiting, "skipped"), message=f"needs {row.id}, which is skipped")
            else:
                decision = self.decide(waiting)
                if isinstance(decision, Miss):
                    stack[-1] = (waiting, decision)
                    return None
                row = self.use(waiting, decision)

    def _without(self, node: Node, why: Miss, maker: Node | None, gone: ValueGone) -> NodeReport:
        """The row of a node whose input cannot be had: its maker is not to run, or did, and to no avail."""
        if maker is not None and maker.id in self.graph.excluded:
            message = f"needs {maker.id}, which is deselected, and whose stored value is {gone.reason}"
            return evolve(self._row(node, "skipped"), message=message)
        return self._failed(node, why, gone.__cause__ or gone, 0.0, Output())

    def _maker(self, gone: ValueGone, node: Node) -> Node | None:
        for each in self._taken(node):
            product = self.products.get(each)
            if isinstance(product, Value) and product.digest == gone.digest:
                return self.graph.nodes[each]
        return None

    def _key(self, node: Node) -> str:
        return self.decided[node.id][1] if node.id in self.decided else ""

    def _once(self, node: Node, miss: Miss, started: Callable[[Node], None]) -> NodeReport:
        keeps = self._keeps(node)
        with ExitStack() as stack:
            if keeps and self.shelf.store is not None and miss.reasons != (Reason("refresh"),):
                mine = stack.enter_context(self.shelf.store.claim(miss.key))
                if not mine or self.shelf.traces(miss.key):  # another run may have computed it meanwhile
                    again = self.decide(node)
                    if isinstance(again, Hit):
                        return self.use(node, again)
            started(node)
            return self._body(node, miss, keeps)

    def _keeps(self, node: Node) -> bool:
        """Is the node's result to be stored?"""
        tainted = node.id in self.tainted or any(n in self.tainted for n in node.upstream)
        if tainted:
            self.tainted.add(node.id)
        return not tainted and node.id not in self.policy.off and node.id in self.decided and self.shelf.writes

    def _body(self, node: Node, miss: Miss, keeps: bool) -> NodeReport:
        if not self._settled:
            self._settled = True
            self.sight.settle(self.graph.nodes.values(), self.graph.resources)
        self.capture.begin()
        began = time.perf_counter()
        with ExitStack() as stack:
            try:
                arguments = arguments_of(node, self.inputs, self.resources)
                recipe = self.decided[node.id][0] if node.id in self.decided else None
                began = time.perf_counter()
                with self.sight.watching(node, recipe) as watching:
                    # Seen to be made: what the step finds in its own folder is not read from outside.
                    built_in = self._built_in(node, stack)
                    result = call(node, arguments | built_in)
                seconds = time.perf_counter() - began
                arguments.clear()
            except ValueGone:
                self.capture.take()
                self._tear_down(node)
                raise
            except Skipped as skipped:
                self._tear_down(node)
                return evolve(self._row(node, "skipped", output=self.capture.take()), message=skipped.reason)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
                wrong = self._failed(node, miss, error, time.perf_counter() - began, self.capture.take())
                self._tear_down(node)
                return wrong
            seen = watching.seen()
            wrong_end = self._tear_down(node)
            if wrong_end is not None:
                return self._failed(node, miss, wrong_end, seconds, self.capture.take())
            tmp = built_in.get("tmp_path")
            return self._finish(node, miss, result, seconds, seen, keeps, tmp)

    def _built_in(self, node: Node, stack: ExitStack) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in node.builtins:
            if name == "tmp_path":
                found[name] = stack.enter_context(temporary_folder())
            elif name == "request":
                found[name] = Request(node.name, node.variant, {s.name: s.value for s in node.settings})
            else:
                found[name] = seed_of(node, settings_digest(node))
        return found

    def _tear_down(self, node: Node) -> BaseException | None:
        wrong = self.resources.after_node()
        return wrong[0][1] if wrong else None

    def _finish(
        self, node: Node, miss: Miss, result: Any, seconds: float, seen: Seen, keeps: bool, tmp: Any
    ) -> NodeReport:
        output = self.capture.take()
        if seen.notices and not node.definition.reads and node.definition.expires is None and keeps:
            self.notices[node.id] = list(seen.notices)
        keeps = keeps and not seen.changed
        value: Value | None = None
        if node.kind != "check":
            try:
                value = self.shelf.save(result, keep=keeps, codec=node.definition.codec, tmp=tmp)
            except Unstorable as error:
                self.products[node.id] = Held(result)
                self.warnings.append(
                    f"{node.id}: its value cannot be stored ({error}): it runs each time, and so do the steps that "
                    f"take it"
                )
                return self._row(node, "ran", seconds=seconds, why=miss.reasons, key=miss.key or None, output=output)
            self.products[node.id] = value
            self.gone.pop(value.digest, None)
        if seen.changed:
            self.warnings.append(
                f"{node.id}: {', '.join(seen.changed)} changed while it ran: its result is used and not stored"
            )
        key = miss.key
        if keeps and self.shelf.store is not None:
            key = self._store(node, value, seconds, seen.observations, output)
        outcome = "passed" if node.kind == "check" else "ran"
        return self._row(
            node,
            outcome,
            seconds=seconds,
            why=miss.reasons,
            key=key or None,
            value=value,
            output=output,
            observations=seen.observations,
        )

    def _store(
        self, node: Node, value: Value | None, seconds: float, observations: tuple[Observation, ...], output: Output
    ) -> str:
        """Keep the result, under the key of the sources that ran."""
        recipe, key, _ = self.decided[node.id]
        if self.sight.other_sources(recipe):
            recipe = self.sight.recipe(node, self.graph.resources, self._values(node))
            key = key_of_ingredients(recipe.ingredients, recipe.code)
            self.decided[node.id] = (recipe, key, Miss(key, ()))
        inner = [o for n in node.needs if n.resource is not None for o in self.resources.seen(n.resource)]
        every = dict.fromkeys((*observations, *inner, *self.sight.standing(node, recipe)))
        trace = Trace(
            key=key,
            node=node.id,
            ingredients=recipe.told,
            observations=tuple(every),
            value=value,
            seconds=seconds,
            made=time.time(),
            output=output,
            world=self.sight.world(),
        )
        assert self.shelf.store is not None
        self.shelf.store.put(trace)
        return key

    def _failed(self, node: Node, miss: Miss, error: BaseException, seconds: float, output: Output) -> NodeReport:
        outcome = "warned" if node.kind == "check" and node.definition.warn else "failed"
        failure = self.describe(error)
        return self._row(
            node,
            outcome,
            seconds=seconds,
            why=miss.reasons,
            key=miss.key or None,
            output=output,
            failure=failure,
        )

    def _row(self, node: Node, outcome: Any, **more: Any) -> NodeReport:
        uncertain = self.decided[node.id][0].uncertain if node.id in self.decided else ()
        return NodeReport(node.id, node.kind, outcome, node.file, needs=node.upstream, uncertain=uncertain, **more)

    def _load(self, value: Value) -> Any:
        with self.sight.paused():
            return self.shelf.load(value)

    def close(self) -> None:
        """Tear down what is left; what went wrong is a warning, and in `wrong_ends`."""
        self.wrong_ends = [
            f"{bound.definition.source}: tear-down of resource '{bound.definition.name}' failed: "
            f"{type(error).__name__}: {error}"
            for bound, error in self.resources.after_run()
        ]
        self.warnings.extend(self.wrong_ends)
