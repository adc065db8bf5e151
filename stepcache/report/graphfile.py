"""The graph of a run as a file: --graph=PATH, by its suffix for Graphviz (.dot), Mermaid (.mmd) or a browser (.svg).

Nodes stand by the file that they are bound in, coloured by their outcome. A line leads from a node to what takes its
value, a dashed one from a check to what waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stepcache.errors import UsageError
from stepcache.model import Graph, NodeOutcome
from stepcache.report.drawing import svg
from stepcache.report.picture import COLORS, Picture, picture
from stepcache.wholefile import write_whole


def write_graph(graph: Graph, outcomes: Mapping[str, NodeOutcome], path: str) -> None:
    """Draw *graph* in the file *path*, whole or not at all. Raises `UsageError` where that cannot be."""
    try:
        write_whole(path, drawn(picture(graph, outcomes), path).encode())
    except OSError as error:
        raise UsageError(f"--graph={path}: cannot be written: {error.strerror}") from None


def drawn(picture: Picture, path: str) -> str:
    """*picture* in the format that the suffix of *path* names."""
    if path.endswith(".dot"):
        return "\n".join(_dot(picture)) + "\n"
    if path.endswith(".mmd"):
        return "\n".join(_mermaid(picture)) + "\n"
    return svg(picture)


def _files(picture: Picture) -> dict[str, list[int]]:
    files: dict[str, list[int]] = {}
    for number, box in enumerate(picture.boxes):
        files.setdefault(box.file, []).append(number)
    return files


def _dot(picture: Picture) -> Iterator[str]:
    shapes = {"step": "box", "pipeline": "box", "check": "hexagon"}
    yield "digraph stepcache {"
    yield '  rankdir="LR";'
    yield '  node [style="filled,rounded", fontname="sans-serif"];'
    for cluster, (file, numbers) in enumerate(_files(picture).items()):
        yield f"  subgraph cluster_{cluster} {{"
        yield f'    label={_quoted(file)}; style="dotted"; fontname="sans-serif";'
        for number in numbers:
            box = picture.boxes[number]
            fill, border = box.colors
            bold = ' penwidth="2",' if box.kind == "pipeline" else ""
            told = f"{box.name}\n{box.outcome}".rstrip()
            yield (
                f'    n{number} [label={_quoted(told)}, shape="{shapes[box.kind]}",{bold} '
                f'fillcolor="{fill}", color="{border}", tooltip={_quoted(box.id)}];'
            )
        yield "  }"
    for line in picture.lines:
        yield f"  n{line.start} -> n{line.end}{' [style=dashed]' if line.gates else ''};"
    yield "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _mermaid(picture: Picture) -> Iterator[str]:
    brackets = {"step": ("[", "]"), "pipeline": ("[[", "]]"), "check": ("{{", "}}")}
    yield "flowchart LR"
    for cluster, (file, numbers) in enumerate(_files(picture).items()):
        yield f"  subgraph f{cluster}[{_mermaid_text(file)}]"
        for number in numbers:
            box = picture.boxes[number]
            left, right = brackets[box.kind]
            style = f":::{box.outcome.replace('-', '_')}" if box.outcome else ""
            yield f"    n{number}{left}{_mermaid_text(box.name)}{right}{style}"
        yield "  end"
    for line in picture.lines:
        yield f"  n{line.start} {'-.->' if line.gates else '-->'} n{line.end}"
    for outcome in sorted({box.outcome for box in picture.boxes if box.outcome}):
        fill, border = COLORS[outcome]
        yield f"  classDef {outcome.replace('-', '_')} fill:{fill},stroke:{border}"


def _mermaid_text(text: str) -> str:
    """*text* in quotes, with what Mermaid would read as its own as entities."""
    return '"' + "".join(f"#{ord(char)};" if char in '"#<>&;`\\' else char for char in text) + '"'
