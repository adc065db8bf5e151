"""Pipelines that are kept open: what tests ask for is made when it is asked for, and at most once.

Values come from the cache under the rules of a run. What depends on a value that a test gave is made outside of it.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from attrs import evolve, field

from stepcache.api import Skipped
from stepcache.collect.load import Executes
from stepcache.errors import CollectionFailed, StepFailed, Unstorable, UsageError, ValueGone
from stepcache.execution.body import Bodies
from stepcache.execution.call import BuiltIns, arguments_of, call
from stepcache.execution.capture import Capture
from stepcache.execution.engine import Engine, Policy
from stepcache.execution.inline import Inline
from stepcache.execution.resources import Resources
from stepcache.execution.returned import given_product, held, stored, streamed
from stepcache.execution.schedule import Limits, Schedule
from stepcache.execution.values import Held, Inputs, Product, Variants, own_settings
from stepcache.graph.family import Family
from stepcache.graph.order import ordered
from stepcache.model import BoundResource, Miss, Need, Node, NodeReport, Setting
from stepcache.records import define
from stepcache.session import Call, Session, collect, describer, open_session


@define(eq=False)
class Served:
    """An open session. `close` it, so that what was made is written and resources are torn down."""

    session: Session
    bodies: Bodies
    engine: Engine
    schedule: Schedule
    _ancestors: dict[str, frozenset[str]] = field(factory=dict)

    # --- names

    def families(self, name: str) -> Mapping[str, Family]:
        """What is meant by a name, by the base of its ids; several where pipelines mean different things by it."""
        return self.session.offer.families.get(name, {})

    def family(self, name: str) -> Family:
        """What is meant by a name. Raises `UsageError` where that is nothing, several things, or broken."""
        found = self.families(name)
        if not found:
            from difflib import get_close_matches

            near = get_close_matches(name, self.session.offer.families, 1)
            raise UsageError(f"there is no step '{name}'" + (f": did you mean '{near[0]}'?" if near else ""))
        if len(found) > 1:
            ids = sorted(found)
            raise UsageError(
                f"more than one step is called '{name}': {', '.join(ids)}\n"
                f'  stepcache_value("{ids[0]}") gives the value of one'
            )
        (family,) = found.values()
        problems = dict.fromkeys(problem.message for problem in _problems(family))
        if family.broken:
            raise UsageError("\n".join(problems))
        return family

    def ancestors(self, node_id: str) -> frozenset[str]:
        """The names of all steps and resources that come before a node or resource."""
        known = self._ancestors.get(node_id)
        if known is None:
            names: set[str] = set()
            for need in self._needs(node_id):
                names.add(need.step)
                for each in (*need.nodes, *([need.resource] if need.resource is not None else [])):
                    names |= self.names(each)
            known = self._ancestors[node_id] = frozenset(names)
        return known

    def names(self, node_id: str) -> frozenset[str]:
        """The names of a node or resource and of all that come before it."""
        graph = self.session.graph
        node = graph.nodes.get(node_id)
        name = node.name if node is not None else graph.resources[node_id].definition.name
        return self.ancestors(node_id) | {name}

    def _needs(self, node_id: str) -> tuple[Need, ...]:
        graph = self.session.graph
        return graph.nodes[node_id].needs if node_id in graph.nodes else graph.resources[node_id].needs

    # --- values

    def value(self, asked: str) -> Any:
        """A fresh copy of a value, by name or node id; of a parametrised step, a mapping from variant id to value."""
        name, bracket, variant = asked.partition("[")
        output = None
        if "::" not in name:
            family = self.family(name)
            output = name if name in family.definition.outputs else None
            name = str(family.base)
            asked = f"{name}{bracket}{variant}"
        graph = self.session.graph
        if asked in graph.nodes:
            return self.of(asked, output)
        found = [node for node in graph.nodes.values() if node.base == name]
        if bracket or not found:
            ids = ", ".join(node.id.rpartition("::")[2] for node in found)
            raise UsageError(f"there is no node {asked}" + (f": there are {ids}" if ids else ""))
        params = {n.variant or "": {k: v for *_, values in n.choices for k, v in values.items()} for n in found}
        return Variants({n.variant or "": functools.partial(self.of, n.id, output) for n in found}, params)

    def of(self, node_id: str, output: str | None = None) -> Any:
        """A fresh copy of a node's value, or of that output of it; it is made if it is not there."""
        self.made(node_id)
        try:
            return self.engine.value(node_id, output)
        except ValueGone as gone:  # evicted since, or damaged
            node = self.session.graph.nodes[node_id]
            self.engine.lose(gone, node)
            self._raise(self.schedule.again(node))
            return self.engine.value(node_id, output)

    def made(self, node_id: str) -> NodeReport:
        """As `row`. Raises what kept the node from having a value: what was raised in it, or in what it needs."""
        row = self.row(node_id)
        self._raise(row)
        return row

    def row(self, node_id: str) -> NodeReport:
        """The row of a node, which is run if it has not been, with all that it needs."""
        nodes, rows = self.session.graph.nodes, self.schedule.rows
        if node_id not in rows:
            before = {i: n.upstream for i, n in nodes.items()}
            todo = [nodes[i] for i in ordered([node_id], before) if i not in rows]
            with self.bodies.capture.open():
                self.schedule.go(todo)
            for each in todo:
                _echo(rows[each.id])
        return rows[node_id]

    def _raise(self, row: NodeReport) -> None:
        rows = self.schedule.rows
        if row.outcome == "blocked":
            before = {i: r.needs for i, r in rows.items()}
            row = next(rows[i] for i in ordered([row.id], before) if i in rows and rows[i].outcome == "failed")
        if row.outcome == "skipped":
            raise Skipped(f"{row.id}: {row.message}")
        if row.outcome == "failed":
            error = row.failure.exception if row.failure is not None else None
            if error is None:
                raise StepFailed(f"{row.id} failed: {row.error}")
            note = f"{row.id}: {row.error}"
            if self.session.graph.nodes[row.id].mapped and note not in getattr(error, "__notes__", ()):
                error.add_note(note)  # what was raised does not say in which element
            raise error

    # --- resources

    def resource(self, resource_id: str) -> Any:
        """A live resource of scope "run", which lives until `close`."""
        return self.bodies.resources.get(resource_id, self.session.graph.resources, self._taken_by([resource_id]))

    def set_up(self, resource_id: str, arguments: Mapping[str, object], ends: ExitStack) -> Any:
        """A resource of its own, torn down by *ends*; what *arguments* leave open comes from the run's values."""
        bound = dict(self.session.graph.resources)
        told = {**arguments, **self._shared(bound[resource_id].needs, arguments)}
        needs = tuple(need for need in bound[resource_id].needs if need.parameter not in told)
        settings = tuple(Setting(name, value, "test") for name, value in told.items())
        bound[resource_id] = evolve(bound[resource_id], needs=needs, settings=(*bound[resource_id].settings, *settings))
        own = Resources(self.session.sight.set_up, self.session.sight.stains.torn_down)
        ends.callback(_torn_down, own)
        return own.get(resource_id, bound, self._inputs(needs, bound))

    def _shared(self, needs: Iterable[Need], arguments: Mapping[str, object]) -> dict[str, Any]:
        """The resources of scope "run" among *needs*: there is one of each."""
        bound = self.session.graph.resources
        return {
            need.parameter: self.resource(need.resource)
            for need in needs
            if need.resource is not None
            and need.parameter not in arguments
            and bound[need.resource].definition.scope == "run"
        }

    def _taken_by(self, resources: Iterable[str]) -> Inputs:
        bound = self.session.graph.resources
        return self._inputs([need for each in resources for need in bound[each].needs], bound)

    def _inputs(self, needs: Sequence[Need], bound: Mapping[str, BoundResource]) -> Inputs:
        """The values that *needs*, and the resources among them, take; they are made if they are not there."""
        return Inputs(self.bodies.load, self._products(needs, bound))

    def _products(self, needs: Sequence[Need], bound: Mapping[str, BoundResource]) -> dict[str, Product]:
        found: dict[str, Product] = {}
        for node_id in dict.fromkeys(each for need in needs for each in _taken(need, bound)):
            if self.row(node_id).outcome == "skipped" and _only_among_variants(node_id, needs):
                continue
            self.made(node_id)
            found[node_id] = self.engine.products[node_id]
        return found

    # --- outside the cache

    def product(self, value: object) -> Product:
        """A value as it is handed on: each that takes it is given its own copy, if it can be copied."""
        return given_product(value, (), self.session.shelf)

    def copy(self, product: Product, output: str | None = None) -> Any:
        """A fresh copy of a value, or of that output of it."""
        return Inputs(self.bodies.load, {"": product}).of("", output)

    def called(self, node_id: str, arguments: Mapping[str, object], ends: ExitStack) -> Product:
        """What the node's body gives for *arguments*; what they leave open comes from the run's values.

        Resources of scope "node" are torn down by *ends*. Nothing is stored.
        """
        node = self.session.graph.nodes[node_id]
        told = {**own_settings(node.settings, arguments), **arguments, **self._shared(node.needs, arguments)}
        open_needs = tuple(need for need in node.needs if need.parameter not in told)
        narrowed = evolve(node, needs=open_needs, builtins=tuple(b for b in node.builtins if b not in told))
        bound = self.session.graph.resources
        work = evolve(self.engine.work(narrowed, Miss("", ())), inputs=self._products(open_needs, bound), keeps=False)
        own = Resources(self.session.sight.set_up, self.session.sight.stains.torn_down)
        ends.callback(_torn_down, own)
        built_in = BuiltIns(narrowed)
        ends.callback(built_in.close)
        found = arguments_of(work, Inputs(self.bodies.load, work.inputs), own)
        found = {**found, **built_in.made(), **told}
        bodies = self.bodies
        result = call(narrowed, found, lambda elements: streamed(elements, work, built_in.tmp, bodies), bodies.wait)
        if node.kind == "check":
            return Held(result)
        try:
            return stored(result, node, keep=False, tmp=built_in.tmp, shelf=self.session.shelf)
        except Unstorable:
            return held(result, node)

    def called_for_each(
        self, node_id: str, arguments: Mapping[str, object], wholes: Mapping[str, tuple[Product, str | None]]
    ) -> Product:
        """What a mapped node gives for *arguments*, and for the elements of *wholes*, each a value or an output of it.

        What they leave open comes from the run's values. Nothing is stored.
        """
        graph = self.session.graph
        node = graph.nodes[node_id]
        needs = [need for need in node.needs if need.parameter not in arguments and need.parameter not in wholes]
        products = self._products(needs, graph.resources)
        nodes = dict(graph.nodes)
        for need in node.needs:
            if need.parameter in wholes:
                stand_in = f"the test's {need.parameter}"
                nodes[stand_in] = evolve(nodes[need.nodes[0]], id=stand_in)
                products[stand_in], output = wholes[need.parameter]
                needs.append(evolve(need, node=stand_in, output=output))
        handed = tuple(Setting(name, value, "test") for name, value in arguments.items())
        definition = evolve(node.definition, ignore=(*node.definition.ignore, *arguments))  # no key is made of them
        narrowed = evolve(node, definition=definition, needs=tuple(needs), settings=(*node.settings, *handed))
        nodes[node_id] = narrowed
        engine = Engine(
            evolve(graph, nodes=nodes),
            Policy(off=frozenset((node_id,))),
            self.session.shelf,
            self.session.sight,
            products,
        )
        executor = Inline(self.bodies, engine.settle, engine.rouse)
        schedule = Schedule(engine, executor, Limits(), describer(self.session))
        with self.bodies.capture.open():
            schedule.go([narrowed])
        _echo(schedule.rows[node_id])
        self._raise(schedule.rows[node_id])
        return engine.products[node_id]

    def close(self) -> None:
        """Tear down the resources, and write what was made."""
        try:
            self.bodies.close()
        finally:
            self.session.project.loaded.rewriter = None
            self.session.close()


def serve(asked: Call, folder: Path, rewriter: Executes | None = None) -> Served:
    """Collect what is asked for, relative to *folder*, and keep it open.

    Raises `CollectionFailed` where a file cannot be imported, or what was asked for cannot be bound.
    """
    session = open_session(asked, os.environ, folder)
    try:
        session.project.loaded.rewriter = rewriter
        collect(session, caught=False)
        if session.collection.problems:
            raise CollectionFailed("\n".join(problem.message for problem in session.collection.problems))
    except BaseException:
        session.close()
        raise
    session.graph = evolve(session.graph, gates={})
    engine = session.engine = Engine(session.graph, session.policy, session.shelf, session.sight)
    describe = describer(session)
    bodies = Bodies(session.shelf, session.sight, Capture("sys", session.options.log_level), describe)
    schedule = session.schedule = Schedule(engine, Inline(bodies, engine.settle, engine.rouse), Limits(), describe)
    return Served(session, bodies, engine, schedule)


def _problems(family: Family) -> Iterator[Any]:
    yield from family.problems
    for each in family.needed:
        yield from _problems(each)


def _taken(need: Need, bound: Mapping[str, BoundResource]) -> Iterator[str]:
    """The nodes whose values a parameter takes, or its resource does."""
    yield from need.nodes
    if need.resource is not None:
        for each in bound[need.resource].needs:
            yield from _taken(each, bound)


def _only_among_variants(node_id: str, needs: Iterable[Need]) -> bool:
    """Is the node taken by `All` only, which leaves skipped variants out?"""
    return all(need.variants is not None for need in needs if node_id in need.nodes)


def _torn_down(resources: Resources) -> None:
    for _, error in resources.after_run():
        raise error


def _echo(row: NodeReport) -> None:
    """Print what a node printed, for whoever captures now."""
    if row.outcome != "cached":
        sys.stdout.write(row.output.stdout)
        sys.stderr.write(row.output.stderr)


def checks_of(served: Served) -> list[Node]:
    """The check nodes, as they stand in their files."""
    graph = served.session.graph
    checks = [graph.nodes[target] for target in graph.targets if graph.nodes[target].kind == "check"]
    return sorted(checks, key=lambda check: (check.definition.source.path, check.definition.source.line))
