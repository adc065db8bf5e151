"""The nodes of a run, fully bound, and who feeds whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import Factory, field

from stepcache.model.definitions import Definition, Mark
from stepcache.records import frozen

Kind = Literal["step", "pipeline", "check"]


@frozen
class Setting:
    """A setting's value for one node. `source` says which level gave it."""

    name: str
    value: object
    source: str = "default"


@frozen
class Need:
    """What one parameter of a node asks for.

    `node` is the id of the node whose value it gets; for `All`, `variants` maps variant ids to node ids and
    `params` to their parameter values; `resource` is the index of a bound resource in the graph. `output` is the one
    of the node's outputs that is asked for, None for its whole value. `each` says that the taker runs once for each
    element of that; `element` names the one that `node` is itself.
    """

    parameter: str
    step: str
    node: str | None = None
    variants: tuple[tuple[str, str], ...] | None = None
    params: tuple[tuple[str, Mapping[str, object]], ...] = ()
    resource: str | None = None
    output: str | None = None
    each: bool = False
    element: str | None = None

    @property
    def nodes(self) -> tuple[str, ...]:
        """The ids of the nodes whose values it gets."""
        if self.variants is not None:
            return tuple(node for _, node in self.variants)
        return (self.node,) if self.node is not None else ()


@frozen
class BoundResource:
    """A resource with its settings and needs bound."""

    id: str
    definition: Definition = field(eq=False)
    settings: tuple[Setting, ...] = ()
    needs: tuple[Need, ...] = ()


@frozen
class Node:
    """One collected, fully bound thing to run.

    `base` is the id without the variant. `through` are the nodes whose values its resources take. `choices` holds,
    for each parametrised step it depends on or is, the step's base id, the decorator's number, the variant id and the
    parameter values. `builtins` are the built-in resources that it takes. `element` names the one element that a
    mapped step is run for, None for all.
    """

    id: str
    kind: Kind
    name: str
    base: str
    file: str
    definition: Definition = field(eq=False)
    settings: tuple[Setting, ...] = ()
    needs: tuple[Need, ...] = ()
    builds: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    builtins: tuple[str, ...] = ()
    choices: tuple[tuple[str, int, str, Mapping[str, object]], ...] = field(default=(), eq=False)
    marks: tuple[Mark, ...] = ()
    variant: str | None = None
    element: str | None = None
    upstream: tuple[str, ...] = field(init=False, eq=False, repr=False)
    """The ids of all nodes that come before it: by its parameters, its resources' and `builds`."""

    @upstream.default
    def _upstream(self) -> tuple[str, ...]:
        taken = [node for need in self.needs for node in need.nodes]
        return tuple(dict.fromkeys((*taken, *self.through, *self.builds)))

    @property
    def mapped(self) -> bool:
        """Does it run once per element?"""
        return any(need.each for need in self.needs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of its outputs; none where it stands for one of its definition's."""
        return self.definition.outputs if self.name == self.definition.name else ()


def skipping(node: Node) -> Mark | None:
    """The mark that skips the node, if there is one."""
    for mark in node.marks:
        if mark.name == "skip" or (mark.name == "skipif" and bool(mark.args) and bool(mark.args[0])):
            return mark
    return None


@frozen
class Graph:
    """The nodes of a run in an order in which each comes after what it needs.

    `gates` names, for a node, the checks that must have passed before it. `excluded` nodes may come from the cache
    but are not run. `deselected` counts the nodes that the selection left out.
    """

    nodes: Mapping[str, Node]
    resources: Mapping[str, BoundResource]
    targets: tuple[str, ...]
    gates: Mapping[str, tuple[str, ...]] = Factory(dict)
    excluded: frozenset[str] = frozenset()
    deselected: int = 0
