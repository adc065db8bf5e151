"""A definition bound in a scope, with all its variants: from what it needs to its nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from attrs import field

from stepcache.model import BoundResource, Definition, Need, Node, ParamSet, Problem, Setting
from stepcache.nodeid import NodeId
from stepcache.records import define, frozen
from stepcache.variantid import unique

# The place of a choice: the base id of the parametrised step, and the number of its decorator.
Dimension = tuple[str, int]
Assignment = tuple[int, ...]


@frozen(eq=False)
class Edge:
    """What a parameter asks for: the family that gives it."""

    parameter: str
    asked: str
    family: Family
    takes_all: bool = False
    takes_each: bool = False

    @property
    def output(self) -> str | None:
        """The output that is asked for, None where it is the whole value."""
        return self.asked if self.asked in self.family.definition.outputs else None

    @property
    def elements(self) -> tuple[str, str | None]:
        """Whose elements those of the family's value go back to."""
        return self.family.elements or (str(self.family.base), self.output)


@define(eq=False)
class Family:
    """A bound definition: `base` is the id of its nodes without the variant.

    `fixed` are the settings that all variants share. `dimensions` are the choices that tell the variants apart, its
    ancestors' first. `reached` is true where a pipeline's `params` change it or what it needs, `broken` where it or
    what it needs has problems: then it has no nodes.
    """

    definition: Definition
    base: NodeId
    edges: tuple[Edge, ...] = ()
    builds: tuple[Family, ...] = ()
    builtins: tuple[str, ...] = ()
    fixed: tuple[Setting, ...] = ()
    own: tuple[tuple[ParamSet, ...], ...] = ()
    sources: Mapping[str, str] = field(factory=dict)
    problems: tuple[Problem, ...] = ()
    reached: bool = False
    broken: bool = False
    dimensions: tuple[Dimension, ...] = ()
    choices: tuple[tuple[ParamSet, ...], ...] = ()
    ids: dict[Assignment, str] = field(factory=dict)
    variants: dict[Assignment, str | None] = field(factory=dict)

    @property
    def elements(self) -> tuple[str, str | None] | None:
        """Whose elements it runs once for each of: the base id of a step that is not mapped itself, and the output."""
        for edge in self.edges:
            if edge.takes_each:
                return edge.elements
        return None

    @property
    def needed(self) -> tuple[Family, ...]:
        """The families that come right before it."""
        return tuple(edge.family for edge in self.edges) + self.builds

    def settle(self) -> None:
        """Work out the dimensions and the id of each variant; what it needs must be settled already."""
        found: dict[Dimension, tuple[ParamSet, ...]] = {}
        for edge in self.edges:
            if not edge.takes_all:
                found.update(zip(edge.family.dimensions, edge.family.choices, strict=True))
        base = str(self.base)
        for number, each in enumerate(self.own):
            found[(base, number)] = each
        self.dimensions, self.choices = tuple(found), tuple(found.values())
        assignments = list(product(*(range(len(each)) for each in self.choices)))
        if not found:
            self.variants, self.ids = {(): None}, {(): base}
            return
        names = unique(["-".join(c[i].id for c, i in zip(self.choices, a, strict=True)) for a in assignments])
        self.variants = dict(zip(assignments, names, strict=True))
        self.ids = {a: f"{base}[{name}]" for a, name in self.variants.items()}

    # --- nodes

    def nodes(self) -> Iterator[Node | BoundResource]:
        """A node, or bound resource, for each variant."""
        base = str(self.base)
        for assignment, node_id in self.ids.items():
            chosen = [each[i] for each, i in zip(self.choices, assignment, strict=True)]
            own = [c for (of, _), c in zip(self.dimensions, chosen, strict=True) if of == base]
            settings = self.fixed + tuple(
                Setting(name, value, self.sources.get(name, "parametrize")) for c in own for name, value in c.values
            )
            needs = tuple(self._need(edge, assignment) for edge in self.edges)
            if self.definition.kind == "resource":
                yield BoundResource(node_id, self.definition, settings, needs)
                continue
            yield Node(
                id=node_id,
                kind=self.definition.kind,
                name=self.definition.name,
                base=base,
                file=self.base.file,
                definition=self.definition,
                settings=settings,
                needs=needs,
                builds=tuple(dict.fromkeys(i for f in self.builds for i in f.ids.values())),
                through=tuple(dict.fromkeys(_through(self.edges, self, assignment))),
                builtins=self.builtins,
                choices=tuple(
                    (of, number, c.id, dict(c.values)) for (of, number), c in zip(self.dimensions, chosen, strict=True)
                ),
                marks=self.definition.marks + tuple(m for c in own for m in c.marks),
                variant=self.variants[assignment],
            )

    def _need(self, edge: Edge, assignment: Assignment) -> Need:
        family = edge.family
        whole = edge.takes_all and family.elements is not None and not self.agreeing(family, assignment)[0]
        if not edge.takes_all or whole:
            node_id = family.ids[self.project(family, assignment)]
            if family.definition.kind == "resource":
                return Need(edge.parameter, edge.asked, resource=node_id)
            return Need(edge.parameter, edge.asked, node=node_id, output=edge.output, each=edge.takes_each)
        free, agreeing = self.agreeing(family, assignment)
        labels = unique(["-".join(family.choices[at][a[at]].id for at in free) for a in agreeing])
        return Need(
            edge.parameter,
            edge.asked,
            variants=tuple((label, family.ids[a]) for label, a in zip(labels, agreeing, strict=True)),
            params=tuple((label, _values(family, free, a)) for label, a in zip(labels, agreeing, strict=True)),
            output=edge.output,
        )

    def project(self, family: Family, assignment: Assignment) -> Assignment:
        """The variant of a needed family that agrees with one of ours."""
        if not family.dimensions:
            return ()
        mine = dict(zip(self.dimensions, assignment, strict=True))
        return tuple(mine[each] for each in family.dimensions)

    def agreeing(self, family: Family, assignment: Assignment) -> tuple[list[int], list[Assignment]]:
        """The places of the dimensions that are free, and the variants that agree on the others."""
        mine = dict(zip(self.dimensions, assignment, strict=True))
        free = [at for at, each in enumerate(family.dimensions) if each not in mine]
        agree = [
            a for a in family.ids if all(mine.get(each, a[at]) == a[at] for at, each in enumerate(family.dimensions))
        ]
        return free, agree


def _values(family: Family, free: list[int], assignment: Assignment) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for at in free:
        found.update(family.choices[at][assignment[at]].values)
    return found


def _through(edges: tuple[Edge, ...], owner: Family, assignment: Assignment) -> Iterator[str]:
    """The nodes whose values the resources among *edges* take."""
    for edge in edges:
        if edge.family.definition.kind != "resource":
            continue
        inner = owner.project(edge.family, assignment)
        for below in edge.family.edges:
            need = edge.family._need(below, inner)
            yield from need.nodes
        yield from _through(edge.family.edges, edge.family, inner)
