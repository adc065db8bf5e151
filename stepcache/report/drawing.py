"""The graph of a run drawn in SVG, left to right, with nothing to install.

Boxes stand in columns, each right of all that lead to it, and in a column in the order of the mean of their
neighbours (the barycentre heuristic of Sugiyama, Tagawa and Toda, 1981).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from stepcache.records import frozen
from stepcache.report.picture import Box, Picture
from stepcache.report.writer import columns as width_of

# In pixels; letters are about 7.2 wide at 12.
_LETTER, _HEIGHT, _BETWEEN, _MARGIN, _GAP = 7.4, 40.0, 16.0, 20.0, 70.0
_SWEEPS = 8
# Names may be of any length; the whole one is told where the pointer rests on the box.
_LONGEST = 48


@frozen
class Place:
    """Where a box is drawn: its left upper corner, and its width."""

    x: float
    y: float
    width: float


def svg(picture: Picture) -> str:
    """*picture* as the text of an SVG file."""
    return "\n".join(_lines(picture, places(picture))) + "\n"


def places(picture: Picture) -> list[Place]:
    """The place of each box."""
    found = [Place(0, 0, 0)] * len(picture.boxes)
    columns = _ordered(_columns(picture), picture)
    highest = max((len(column) for column in columns), default=0) * (_HEIGHT + _BETWEEN)
    left = _MARGIN
    for column in columns:
        width = max(_box_width(picture.boxes[number]) for number in column)
        top = _MARGIN + (highest - len(column) * (_HEIGHT + _BETWEEN)) / 2
        for row, number in enumerate(column):
            found[number] = Place(left, top + row * (_HEIGHT + _BETWEEN), width)
        left += width + _GAP
    return found


def _columns(picture: Picture) -> list[list[int]]:
    """The boxes by the length of the longest way to them. They come in an order in which lines lead forwards."""
    column = [0] * len(picture.boxes)
    before = _neighbours(picture, "before")
    for number in range(len(picture.boxes)):
        column[number] = 1 + max((column[each] for each in before[number]), default=-1)
    found: list[list[int]] = [[] for _ in range(max(column, default=-1) + 1)]
    for number, at in enumerate(column):
        found[at].append(number)
    return found


def _neighbours(picture: Picture, side: str) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in picture.boxes]
    for line in picture.lines:
        start, end = (line.end, line.start) if side == "before" else (line.start, line.end)
        found[start].append(end)
    return found


def _ordered(columns: list[list[int]], picture: Picture) -> list[list[int]]:
    before, after = _neighbours(picture, "before"), _neighbours(picture, "after")
    height = {number: float(row) for column in columns for row, number in enumerate(column)}
    for sweep in range(_SWEEPS):
        near, walk = (before, columns) if sweep % 2 == 0 else (after, columns[::-1])
        for column in walk:
            column.sort(key=lambda number: _mean([height[each] for each in near[number]], height[number]))
            middle = (len(column) - 1) / 2
            height.update((number, row - middle) for row, number in enumerate(column))
    return columns


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _box_width(box: Box) -> float:
    return max(width_of(_shown(box.name)), len(box.outcome), 6) * _LETTER + 20


def _shown(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _lines(picture: Picture, found: list[Place]) -> Iterator[str]:
    width = max((place.x + place.width for place in found), default=0) + _MARGIN
    height = max((place.y + _HEIGHT for place in found), default=0) + _MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12">'
    )
    yield (
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#616161"/></marker></defs>'
    )
    yield f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>'
    for line in picture.lines:
        yield _curve(found[line.start], found[line.end], dashed=line.gates)
    for box, place in zip(picture.boxes, found, strict=True):
        yield from _box(box, place)
    yield "</svg>"


def _curve(start: Place, end: Place, *, dashed: bool) -> str:
    x1, y1, x2, y2 = start.x + start.width, start.y + _HEIGHT / 2, end.x, end.y + _HEIGHT / 2
    bend = (x2 - x1) / 2
    style = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<path d="M{x1:.0f} {y1:.0f} C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}" '
        f'fill="none" stroke="#616161"{style} marker-end="url(#end)"/>'
    )


def _box(box: Box, place: Place) -> Iterator[str]:
    fill, border = box.colors
    middle = place.x + place.width / 2
    round_by, thick = (_HEIGHT / 2 if box.kind == "check" else 6), (2.5 if box.kind == "pipeline" else 1)
    yield f"<g><title>{escape(box.id)}</title>"
    yield (
        f'<rect x="{place.x:.0f}" y="{place.y:.0f}" width="{place.width:.0f}" height="{_HEIGHT:.0f}" '
        f'rx="{round_by:.0f}" fill="{fill}" stroke="{border}" stroke-width="{thick}"/>'
    )
    name_at = place.y + (17 if box.outcome else 24)
    yield f'<text x="{middle:.0f}" y="{name_at:.0f}" text-anchor="middle">{escape(_shown(box.name))}</text>'
    if box.outcome:
        yield (
            f'<text x="{middle:.0f}" y="{place.y + 32:.0f}" text-anchor="middle" font-size="10" '
            f'fill="{border}">{box.outcome}</text>'
        )
    yield "</g>"
