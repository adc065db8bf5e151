"""Which nodes are in a run: what was asked for, the checks on it, and what `-k`, `-m`, `--lf` leave of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import evolve, field

from stepcache.collect.harvest import Level, identity
from stepcache.config.spelling import nearest
from stepcache.graph.family import Family
from stepcache.graph.order import closure, gates, ordered
from stepcache.graph.scope import Found, Scope
from stepcache.graph.settings import Given
from stepcache.graph.wire import Binder, Under
from stepcache.model import BoundResource, Definition, Graph, Node, Problem
from stepcache.records import define, frozen

Matcher = Callable[[Node], bool]


@frozen
class Filters:
    """What narrows a run down.

    `matchers` are the `-k` and `-m` expressions, each with whether it is true of a node without name or mark: then it
    excludes. `last_failed` are the ids for `--lf` (None where it is not asked for), `first` those for `--ff`.
    """

    matchers: tuple[tuple[Matcher, bool], ...] = ()
    deselect: tuple[str, ...] = ()
    last_failed: frozenset[str] | None = None
    first: frozenset[str] = frozenset()
    checks: bool = True
    given: frozenset[str] = frozenset()


@define
class Picked:
    """What the arguments name, bound."""

    targets: dict[str, None] = field(factory=dict)
    nodes: dict[str, Node] = field(factory=dict)
    resources: dict[str, BoundResource] = field(factory=dict)
    problems: dict[str, Problem] = field(factory=dict)
    pipelines: dict[str, Definition] = field(factory=dict)
    """The selected pipelines, and those whose node was asked for by its id, by node id."""
    _taken: set[int] = field(factory=set)
    """The families that were added with all they need, by identity: the binder keeps them."""

    def take(self, family: Family, wanted: Callable[[str], bool] = lambda node: True) -> list[str]:
        """Add a family and all it needs; its nodes that are wanted become targets. Broken ones add their problems."""
        added = []
        todo, taken = [family], self._taken
        while todo:
            each = todo.pop()
            if id(each) in taken:
                continue
            taken.add(id(each))
            for problem in each.problems:
                self.problems.setdefault(problem.message, problem)
            todo.extend(reversed(each.needed))
            if each.broken or any(i in self.nodes or i in self.resources for i in each.ids.values()):
                continue
            for node in each.nodes():
                if isinstance(node, BoundResource):
                    self.resources[node.id] = node
                else:
                    self.nodes[node.id] = node
        for node_id in family.ids.values():
            if wanted(node_id) and not family.broken:
                self.targets[node_id] = None
                added.append(node_id)
        return added

    def take_element(self, mapped: str, element: str) -> None:
        """Make one element of a mapped node that is among the nodes a target."""
        self.targets[self._element(self.nodes[mapped], element)] = None

    def _element(self, node: Node, element: str) -> str:
        """Add the node that stands for one element of a mapped node; its id. Chains stay with that element."""
        needs = tuple(
            evolve(need, node=self._element(self.nodes[need.node], element), element=element)
            if need.each and need.node is not None and self.nodes[need.node].mapped
            else need
            for need in node.needs
        )
        alone = evolve(node, id=f"{node.id}[{element}]", needs=needs, builds=(), element=element)
        self.nodes[alone.id] = alone
        return alone.id


class Selector:
    """Turns what was asked for into the nodes of a run."""

    def __init__(self, binder: Binder, scopes: Mapping[str, Scope]) -> None:
        self._binder = binder
        self._scopes = scopes
        self.picked = Picked()
        self._unders: dict[str, list[Under]] = {}

    def _bound(self, definition: Definition, scope: Scope, under: Under | None = None) -> Family:
        return self._binder.bind(definition, scope, under)

    # --- what was asked for

    def whole_file(self, scope: Scope) -> None:
        """Its pipelines and checks; without a pipeline, all its steps."""
        level = scope.chain[0]
        own = list(level.own.values())
        pipelines = [d for d in own if d.kind == "pipeline"]
        for definition in pipelines or [d for d in own if d.kind == "step"]:
            self._take(definition, scope, self._under(definition, scope))

    def _take(self, definition: Definition, scope: Scope, under: Under | None, wanted: str | None = None) -> bool:
        family = self._bound(definition, scope, under)
        accept = (lambda node: True) if wanted is None else (lambda node: node == wanted)
        if wanted is not None and wanted not in family.ids.values():
            return False
        for node_id in self.picked.take(family, accept):
            if definition.kind == "pipeline":
                self.picked.pipelines[node_id] = definition
        return True

    def _under(self, definition: Definition, scope: Scope) -> Under | None:
        if definition.kind != "pipeline" or not definition.params:
            return None
        file = scope.file if definition.source.path == scope.chain[0].path else definition.source.file
        given = Given(
            f"@pipeline(params=…) of {definition.name}",
            definition.params,
            folder=os.path.dirname(definition.source.path),
        )
        under = Under(f"{file}::{definition.name}", file, definition.name, given)
        known = self._unders.setdefault(scope.file, [])
        if all(each.id != under.id for each in known):
            known.append(under)
        return under

    def one(self, scope: Scope, selector: str) -> Iterator[Problem]:
        """Take the node or nodes that the selector names in a file; gives a problem where there are none."""
        wanted = f"{scope.file}::{selector}"
        bare, bracket, _ = selector.partition("[")
        variant = selector[len(bare) :]
        name = bare.split("::")[-1] if "@" not in bare else bare.partition("@")[0].split("::")[-1]
        pipeline = bare.partition("@")[2]
        for definition in self._named(scope, name):
            if name in definition.outputs:  # it is selected by the step that makes it
                bare = bare.replace(name, definition.name, 1) if bare.startswith(name) else bare
                name = definition.name
            under = self._under(definition, scope)
            if pipeline:
                under = self._pipeline_of(scope, pipeline)
                if under is None:
                    continue
            family = self._bound(definition, scope, under)
            base = str(family.base)
            short = f"{scope.file}::{bare}"
            if bracket:
                whole = wanted if wanted in family.ids.values() else base + variant
                if self._fits(base, short, name) and (
                    self._take(definition, scope, under, whole) or self._take_element(family, whole)
                ):
                    return
            elif self._fits(base, short, name):
                self._take(definition, scope, under)
                return
        yield self._unknown(scope, selector, name)

    def _take_element(self, family: Family, wanted: str) -> bool:
        """Take one element of a mapped step: `name[KEY]`, or `name[variant][KEY]`."""
        mapped = [i for i in family.ids.values() if wanted.startswith(f"{i}[") and wanted.endswith("]")]
        if family.elements is None or family.broken or not mapped:
            return False
        self.picked.take(family, lambda node: False)
        node = max(mapped, key=len)
        self.picked.take_element(node, wanted[len(node) + 1 : -1])
        return True

    @staticmethod
    def _fits(base: str, asked: str, name: str) -> bool:
        """Is it the id asked for, or the same name, found in a file further out?"""
        return base == asked or ("@" not in asked and asked.count("::") == 1 and base.endswith(f"::{name}"))

    def _named(self, scope: Scope, name: str) -> Iterator[Definition]:
        """The definitions so called that the file can mean, the nearest first."""
        found: Found | None = scope.find(name)
        seen = set()
        if found is not None:
            seen.add(identity(found.definition))
            yield found.definition
        for level in (*scope.chain, *self._levels_below(scope)):
            for definition in (*(c for c in level.checks if c.name == name), level.provider(name)):
                if definition is not None and identity(definition) not in seen:
                    seen.add(identity(definition))
                    yield definition

    def _levels_below(self, scope: Scope) -> Iterable[Level]:
        return scope.modules.values()

    def _pipeline_of(self, scope: Scope, text: str) -> Under | None:
        file, found, name = text.rpartition("::")
        for each in self._scopes.values() if found else (scope,):
            if found and each.file != file:
                continue
            definition = each.chain[0].own.get(name)
            if definition is not None and definition.kind == "pipeline":
                return self._under(definition, each)
        return None

    def _unknown(self, scope: Scope, selector: str, name: str) -> Problem:
        level = scope.chain[0]
        offered = [*scope.names(), *(c.name for c in level.checks)]
        near = nearest(name, offered)
        lines = [f"{scope.file}::{selector}: there is no such node in {scope.file}"]
        if name in offered:
            family = self._bound(next(self._named(scope, name)), scope)
            ids = list(family.ids.values())
            lines.append(f"  '{name}' has {', '.join(i.rpartition('::')[2] for i in ids[:8])}")
        elif near:
            lines.append(f"  did you mean {scope.file}::{near}?")
        lines.append("  `stepcache --collect-only -q` lists the nodes")
        return Problem(f"{scope.file}::{selector}", "\n".join(lines))

    # --- checks

    def checks(self, scopes: Sequence[tuple[Scope, bool]]) -> None:
        """Add the checks whose values are in the run; those of files asked for whole bring what they take."""
        run = self._run()
        for scope, whole in scopes:
            for number, level in enumerate(scope.chain):
                for definition in level.checks:
                    families = [self._bound(definition, scope, u) for u in (None, *self._unders.get(scope.file, ()))]
                    present = [self._present(f, run) for f in families]
                    if whole and number == 0 and not any(present):
                        self.picked.take(families[0])
                        run.update(self._run())

    def _run(self) -> dict[str, None]:
        return closure(self.picked.targets, {i: n.upstream for i, n in self.picked.nodes.items()})

    def _present(self, family: Family, run: Mapping[str, None]) -> bool:
        """Is the check in the run, since all that it takes is? Then it is a target."""
        if family.broken:
            return False
        nodes = [node for node in family.nodes() if isinstance(node, Node)]
        present = {n.id for n in nodes if all(each in run for each in n.upstream)}
        if present:
            self.picked.take(family, lambda node: node in present)
        return bool(present)

    # --- the run

    def graph(self, filters: Filters) -> Graph:
        """The nodes of the run, narrowed down, in order."""
        nodes = self.picked.nodes
        if not filters.checks:
            nodes = {i: n for i, n in nodes.items() if n.kind != "check"}
        nodes = _with_given(nodes, filters.given) if filters.given else nodes
        before = {i: n.upstream for i, n in nodes.items()}
        everything = dict.fromkeys(ordered((t for t in self.picked.targets if t in nodes), before))
        excluded: set[str] = {i for i in everything if any(_names(i, nodes[i], d) for d in filters.deselect)}
        chosen = set(everything)
        for matches, negative in filters.matchers:
            fitting = {i for i in everything if matches(nodes[i])}
            if negative:
                excluded |= {*everything} - fitting
            else:
                chosen &= fitting
        failed = {i for i in everything if i in (filters.last_failed or ())}
        if failed:
            chosen &= failed
        targets = [t for t in self.picked.targets if t in nodes]
        if len(chosen) < len(everything):
            targets = _narrowed(targets, chosen, everything)
        if excluded:
            # What an excluded target would have brought along is in the run all the same.
            targets = _narrowed(targets, {*closure(targets, before)} - excluded, everything)
        run = closure(targets, before)
        for each in nodes.values():
            left_out = each.id not in everything or each.id in run or each.id in excluded
            if each.kind == "check" and not left_out and each.upstream and all(u in run for u in each.upstream):
                targets.append(each.id)
                run[each.id] = None
        checked = gates({i: node for i, node in nodes.items() if i in run})
        edges = {i: (*before[i], *checked.get(i, ())) for i in run}
        starts = sorted(targets, key=lambda t: t not in filters.first) if filters.first else targets
        kept_nodes = {i: nodes[i] for i in ordered(starts, edges)}
        return Graph(
            nodes=kept_nodes,
            resources=dict(self.picked.resources),
            targets=tuple(targets),
            gates=checked,
            excluded=frozenset(excluded & set(kept_nodes)),
            deselected=len(everything) - len(kept_nodes) + len(excluded & set(kept_nodes)),
        )


def _with_given(nodes: Mapping[str, Node], given: frozenset[str]) -> dict[str, Node]:
    """*nodes* where those whose values are given need nothing; an output that is given is a node of its own."""
    found: dict[str, Node] = {}
    for node in nodes.values():
        if node.kind == "step" and node.name in given:
            found[node.id] = evolve(node, needs=(), builds=(), through=())
            continue
        needs = []
        for need in node.needs:
            if need.output not in given or need.output is None or nodes[need.nodes[0]].name in given:
                needs.append(need)
                continue
            alone = {each: _output_alone(nodes[each], need.output) for each in need.nodes}
            found.update({each.id: each for each in alone.values()})
            variants = need.variants and tuple((variant, alone[each].id) for variant, each in need.variants)
            only = alone[need.node].id if need.node is not None else None
            needs.append(evolve(need, node=only, variants=variants, output=None))
        found[node.id] = evolve(node, needs=tuple(needs))
    return found


def _output_alone(node: Node, output: str) -> Node:
    """A node that stands for one output of *node*."""
    variant = f"[{node.variant}]" if node.variant is not None else ""
    alone = f"{node.file}::{output}{variant}"
    return evolve(node, id=alone, name=output, settings=(), needs=(), builds=(), through=(), builtins=())


def _narrowed(targets: list[str], kept: set[str], everything: Iterable[str]) -> list[str]:
    """The kept nodes as targets: those that were targets first, in their order, then the others."""
    first = {t: None for t in targets if t in kept}
    return [*first, *(i for i in everything if i in kept and i not in first)]


def _names(node_id: str, node: Node, prefix: str) -> bool:
    """Does a `--deselect` argument mean the node? A file or folder means all in it, a bare id all of its variants."""
    return prefix in (node_id, node.base, node.file) or node.file.startswith(f"{prefix.rstrip('/')}/")
