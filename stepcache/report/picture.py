"""What is drawn of a run's graph: boxes and lines, whatever the format of the file."""

from __future__ import annotations

from collections.abc import Mapping

from stepcache.model import Graph, Kind, NodeOutcome
from stepcache.records import frozen

# Fill and border.
COLORS: dict[str, tuple[str, str]] = {
    "cached": ("#e3f2fd", "#1565c0"),
    "given": ("#e3f2fd", "#1565c0"),
    "ran": ("#e8f5e9", "#2e7d32"),
    "passed": ("#e8f5e9", "#2e7d32"),
    "failed": ("#ffebee", "#c62828"),
    "blocked": ("#fff3e0", "#e65100"),
    "warned": ("#fffde7", "#f9a825"),
    "skipped": ("#f5f5f5", "#757575"),
    "would-run": ("#fffde7", "#f9a825"),
    "unknown": ("#f5f5f5", "#757575"),
    "": ("#ffffff", "#616161"),
}


@frozen
class Box:
    """A node as it is drawn. `outcome` is empty where nothing is known of it."""

    id: str
    file: str
    name: str
    kind: Kind
    outcome: NodeOutcome | str

    @property
    def colors(self) -> tuple[str, str]:
        """Fill and border."""
        return COLORS[self.outcome]


@frozen
class Line:
    """From a box to another, by their numbers."""

    start: int
    end: int
    gates: bool = False


@frozen
class Picture:
    """What is drawn: boxes, each after those that lead to it, and the lines between them."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def picture(graph: Graph, outcomes: Mapping[str, NodeOutcome]) -> Picture:
    """What is to be drawn of *graph*."""
    nodes = [node for node in graph.nodes.values() if node.id not in graph.excluded]
    number = {node.id: at for at, node in enumerate(nodes)}
    boxes = tuple(Box(n.id, n.file, n.id.removeprefix(f"{n.file}::"), n.kind, outcomes.get(n.id, "")) for n in nodes)
    lines = [Line(number[each], at) for at, n in enumerate(nodes) for each in n.upstream if each in number]
    gates = [Line(number[each], at, gates=True) for at, n in enumerate(nodes) for each in graph.gates.get(n.id, ())]
    return Picture(boxes, (*lines, *gates))
