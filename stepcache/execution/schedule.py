"""All nodes of a run in order, each ending in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import define, evolve, field, frozen

from stepcache.execution.engine import Engine
from stepcache.model import Decision, Hit, Miss, Node, NodeReport

# Outcomes after which the node has a value to hand on, or has let pass what it gates.
DONE = ("cached", "ran", "given", "passed", "warned")


@frozen
class Limits:
    """When to stop: after so many failures; 0 is never. `plan` runs nothing, and `fail_on_miss` neither."""

    maxfail: int = 0
    plan: bool = False
    fail_on_miss: bool = False


@define
class Schedule:
    """Goes through the nodes; `rows` holds what happened so far."""

    engine: Engine
    limits: Limits
    started: Callable[[Node], None] = lambda node: None
    finished: Callable[[NodeReport], None] = lambda row: None
    rows: dict[str, NodeReport] = field(factory=dict)
    stopped: str = ""
    _failures: int = 0

    def go(self) -> None:
        """Run all; a KeyboardInterrupt marks what is left as skipped and goes on upwards."""
        try:
            for node in self.engine.graph.nodes.values():
                self._add(self._row(node))
        except KeyboardInterrupt:
            self.stopped = "KeyboardInterrupt"
            for node in self.engine.graph.nodes.values():
                if node.id not in self.rows:
                    self._add(self._left(node, "not reached: the run was interrupted"))
            raise

    def _add(self, row: NodeReport) -> None:
        remade = [self.engine.remade.pop(node) for node in list(self.engine.remade)]
        self.rows.update({each.id: each for each in (*remade, row)})
        failures = sum(each.outcome == "failed" for each in (*remade, row))
        if failures:
            self._failures += failures
            if self.limits.maxfail and self._failures >= self.limits.maxfail and not self.stopped:
                plural = "" if self._failures == 1 else "s"
                self.stopped = f"stopping after {self._failures} failure{plural}"
        self.finished(row)

    def _row(self, node: Node) -> NodeReport:
        if self.stopped:
            return self._left(node, f"not reached: {self.stopped}")
        if node.name in self.engine.policy.given and node.kind == "step":
            return self.engine.give(node, self.engine.policy.given[node.name])
        for mark in node.marks:
            if mark.name == "skip" or (mark.name == "skipif" and mark.args and mark.args[0]):
                return self._left(node, str(mark.kwargs.get("reason", "") or (mark.args[0] if mark.args else "")))
        stopper = self._stopper(node)
        if stopper is not None:
            return stopper
        if self.limits.plan or self.limits.fail_on_miss:
            return self._planned(node)
        decision = self.engine.decide(node)
        if isinstance(decision, Hit):
            return self.engine.use(node, decision)
        if node.id in self.engine.graph.excluded:
            return self._left(node, "deselected, and not in the cache")
        return self._run(node, decision)

    def _run(self, node: Node, miss: Miss) -> NodeReport:
        return self.engine.run(node, miss, started=self.started)

    def _left(self, node: Node, message: str) -> NodeReport:
        return NodeReport(node.id, node.kind, "skipped", node.file, needs=node.upstream, message=message)

    def _stopper(self, node: Node) -> NodeReport | None:
        """The row of a node that cannot run: what it needs failed or was skipped, or a check has not passed."""
        optional = {n for need in node.needs if need.variants is not None for n in need.nodes}
        worst: tuple[str, str] | None = None
        for each in self._before(node):
            row = self.rows.get(each)
            if row is None or row.outcome in DONE or row.outcome in ("would-run", "unknown"):
                continue
            if row.outcome in ("failed", "blocked"):
                blocker = f"blocked by {row.id}" if row.outcome == "failed" else row.message
                return self._blocked(node, blocker)
            if each not in optional and worst is None:
                worst = ("skipped", f"needs {row.id}, which is skipped")
        return None if worst is None else self._left(node, worst[1])

    def _before(self, node: Node) -> Iterator[str]:
        yield from self.engine.graph.gates.get(node.id, ())
        yield from node.upstream

    def _blocked(self, node: Node, blocker: str) -> NodeReport:
        return NodeReport(node.id, node.kind, "blocked", node.file, needs=node.upstream, message=blocker)

    def _planned(self, node: Node) -> NodeReport:
        waiting = [n for n in node.upstream if self.rows[n].outcome in ("would-run", "unknown")]
        row = NodeReport(node.id, node.kind, "unknown", node.file, needs=node.upstream)
        if waiting:
            return evolve(row, message=f"depends on {waiting[0]}")
        decision: Decision = self.engine.decide(node)
        if isinstance(decision, Hit):
            return self.engine.use(node, decision)
        if node.id in self.engine.graph.excluded:
            return self._left(node, "deselected, and not in the cache")
        return evolve(row, outcome="would-run", why=decision.reasons, key=decision.key or None)
