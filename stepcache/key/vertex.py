"""A vertex of the graph of reached code."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field

from stepcache.records import define


@define(eq=False)
class Vertex:
    """A definition, variable, module or leaf of the graph.

    `content` is what it is by itself. `name` is what explanations call it; leaves have none. `state` is the digest
    of the value that it holds. `literals` are its texts, each with the folder of its file. `packages` are installed
    modules that it stands for. `annotations` and `doc` count only where code looks at them, or `annotated` says so.
    """

    kind: str
    content: str
    name: str = ""
    module: str = ""
    source: str = ""
    edges: list[tuple[str, Vertex]] = field(factory=list)
    state: str | None = None
    literals: list[tuple[str, str]] = field(factory=list)
    packages: list[str] = field(factory=list)
    uncertain: list[str] = field(factory=list)
    marks: set[str] = field(factory=set)
    annotations: str = ""
    doc: str = ""
    annotated: bool = False
    made: bool = False
    """Did its module's import make it, and does its content not tell all of what it made?"""
    told: tuple[str, str] = ("", "")
    """Its content, and the digest that explanations compare; made once."""
    mentions: set[str] = field(factory=set)
    guarded: list[tuple[str, str, Vertex]] = field(factory=list)
    """Methods of a class: name, label and vertex. Each counts only where reached code names it."""
    bases: list[list[Vertex]] = field(factory=list)
    """What each base of such a class stands for."""
    keep: object = None
    """What it was made from: kept, so that another object cannot come to have its id."""

    def link(self, label: str, targets: Iterable[Vertex]) -> None:
        """Add an edge to each of *targets*, whose order tells them apart."""
        for number, target in enumerate(targets):
            self.edges.append((label if not number else f"{label}|{number}", target))
