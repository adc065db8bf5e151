"""The lists that are shown instead of running: nodes, steps, marks, the plan, and the entries of the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from stepcache.model import ABSENT, Definition, Node, NodeReport
from stepcache.records import frozen
from stepcache.report import figures
from stepcache.report.why import reason_lines
from stepcache.report.writer import rule

_INDENT = "    "


@frozen
class EntryLine:
    """A line of --cache-show: sizes in bytes, times in seconds; `seconds` is what a hit saves.

    `stored` is None where the value is there no more.
    """

    node: str
    size: int
    stored: int | None
    age: float
    idle: float
    seconds: float


def collect_lines(nodes: Iterable[Node], verbosity: int = 0) -> list[str]:
    """The nodes as a tree; with -q one id a line, with -qq a count a file, with -v what they say of themselves."""
    kept = list(nodes)
    if verbosity == -1:
        return [node.id for node in kept]
    files: dict[str, list[Node]] = {}
    for node in kept:
        files.setdefault(node.file, []).append(node)
    if verbosity < -1:
        return [f"{file}: {len(found)}" for file, found in files.items()]
    lines = []
    for file, found in files.items():
        lines.append(f"<File {file}>")
        for node in found:
            lines.append(f"  <{node.kind.capitalize()} {node.id.partition('::')[2]}>")
            if verbosity > 0:
                lines += [f"{_INDENT}{line}".rstrip() for line in _doc(node.definition)]
    return lines


def steps_lines(definitions: Sequence[Definition], *, verbosity: int = 0, width: int = 80) -> list[str]:
    """What can be asked for, file by file: name, place and docstring, as `pytest --fixtures` shows fixtures.

    Names that begin with an underscore are shown under -v only, as are the settings that each takes.
    """
    files: dict[str, list[Definition]] = {}
    for definition in definitions:
        if definition.kind != "check" and (verbosity > 0 or not definition.name.startswith("_")):
            files.setdefault(definition.source.file, []).append(definition)
    lines = []
    for file, found in files.items():
        lines += ["", rule("-", f"steps defined in {file}", width)]
        for definition in sorted(found, key=lambda one: one.source.line):
            kind = "" if definition.kind == "step" else f" [{definition.kind}]"
            lines.append(f"{definition.name}{kind} -- {definition.source}")
            lines += [f"{_INDENT}{line}".rstrip() for line in _doc(definition)[: None if verbosity > 0 else 1]]
            if definition.outputs:
                lines.append(f"{_INDENT}outputs: {', '.join(definition.outputs)}")
            if verbosity > 0:
                lines += _parameter_lines(definition)
            lines.append("")
    return lines


def _doc(definition: Definition) -> list[str]:
    if not definition.doc.strip():
        return ["no docstring available"]
    from inspect import cleandoc

    return cleandoc(definition.doc).split("\n")


def _parameter_lines(definition: Definition) -> list[str]:
    needs = [parameter.name for parameter in definition.parameters if parameter.default is ABSENT]
    settings = [parameter.name for parameter in definition.parameters if parameter.default is not ABSENT]
    told = [("takes", needs), ("settings", settings)]
    return [f"{_INDENT}{word}: {', '.join(names)}" for word, names in told if names]


def markers_lines(markers: Mapping[str, str]) -> list[str]:
    """The marks by their signature, such as "slow" or "skip(reason)", with what each says."""
    lines = []
    for signature, text in markers.items():
        lines += [f"@mark.{signature}: {text}".rstrip(), ""]
    return lines


def plan_lines(rows: Iterable[NodeReport]) -> list[str]:
    """What would happen to each node, and below what would run the reasons."""
    lines = []
    for row in rows:
        lines.append(f"{row.outcome:<9} {row.id}" + (f" ({row.message})" if row.message else ""))
        lines += [f"{' ' * 12}{line}" for line in reason_lines(row.why)]
    return lines


# By column of --cache-show, what is sorted by: the most first.
_COLUMNS: Mapping[str, Callable[[EntryLine], float]] = {
    "node": lambda entry: 0,
    "size": lambda entry: -entry.size,
    "stored": lambda entry: -(entry.stored or 0),
    "age": lambda entry: -entry.age,
    "used": lambda entry: -entry.idle,
    "saves": lambda entry: -entry.seconds,
}


def cache_show_lines(entries: Sequence[EntryLine], column: str) -> list[str]:
    """A table of the entries, sorted by *column* (a key of `_COLUMNS`)."""
    heads = ("node", "size", "stored", "age", "last used", "saves")
    ordered = sorted(entries, key=lambda one: (_COLUMNS[column](one), one.node))
    rows = [heads, *(_cells(entry) for entry in ordered)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]))
    return lines


def _cells(entry: EntryLine) -> tuple[str, ...]:
    sizes = (figures.size(entry.size), "gone" if entry.stored is None else figures.size(entry.stored))
    return (entry.node, *sizes, *(figures.time(seconds) for seconds in (entry.age, entry.idle, entry.seconds)))


def total_line(count: int, size: int, stored: int, seconds: float) -> str:
    """What the entries that --cache-show lists come to: each value counted once, those that are gone left out."""
    return f"{_entries(count, size, stored)}, saving {figures.time(seconds)}"


def lost_line(count: int, size: int, stored: int, seconds: float) -> str:
    """What --cache-clear would remove: the entries that no other project uses."""
    if not count:
        return "--cache-clear would lose none of them: other projects use them too"
    return f"--cache-clear would lose {_entries(count, size, stored)}, which took {figures.time(seconds)} to make"


def cleared_line(count: int, size: int, stored: int, seconds: float) -> str:
    """What --cache-clear removed."""
    if not count:
        return "cache: nothing to clear"
    return f"cache: cleared {_entries(count, size, stored)}, which took {figures.time(seconds)} to make"


def dropped_line(count: int, stored: int, left: int) -> str:
    """What --cache-gc dropped."""
    dropped = f"{figures.counted(count, 'entry', 'entries')}, {figures.size(stored)}"
    return f"cache: dropped {dropped}; {figures.size(left)} left"


def verified_lines(checked: int, damaged: Sequence[str]) -> list[str]:
    """What --cache-verify found."""
    if not damaged:
        return [f"cache: {figures.counted(checked, 'entry', 'entries')} checked, none damaged"]
    told = f"cache: {figures.counted(checked, 'entry', 'entries')} checked, {len(damaged)} damaged and dropped:"
    return [told, *(f"  {name}" for name in damaged)]


def _entries(count: int, size: int, stored: int) -> str:
    return f"{figures.counted(count, 'entry', 'entries')}, {figures.size(size)} ({figures.size(stored)} on disk)"
