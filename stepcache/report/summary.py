"""What follows a run: errors, failures, warnings, output, notices, reasons, durations, and one line a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stepcache.config import Options
from stepcache.model import NodeReport, Output, Problem, RunReport
from stepcache.report import figures
from stepcache.report.closing import slowest, warnings_of
from stepcache.report.progress import COLORS
from stepcache.report.why import why_lines
from stepcache.report.writer import Writer, columns

# The letters of -r, and the outcomes each asks for.
SHORT = {
    "p": ("ran", "passed"),
    "c": ("cached",),
    "s": ("skipped",),
    "g": ("given",),
    "b": ("blocked",),
    "w": ("warned",),
    "f": ("failed",),
}

_NOT_SHOWN = 0.005


def write_problems(writer: Writer, problems: Sequence[Problem]) -> None:
    """All collection errors, each whole."""
    if not problems:
        return
    writer.separator("=", "ERRORS")
    for problem in problems:
        writer.separator("_", f"ERROR collecting {problem.id}" if problem.id else "ERROR", "red", "bold")
        writer.line(problem.message.rstrip("\n"))
        write_output(writer, problem.output)


def write_failures(writer: Writer, options: Options, rows: Iterable[NodeReport]) -> None:
    """The tracebacks and output of what failed, then those of checks that only warn."""
    if options.tb == "no":
        return
    kept = [row for row in rows if row.failure is not None]
    for outcome, title in (("failed", "FAILURES"), ("warned", "WARNED CHECKS")):
        chosen = [row for row in kept if row.outcome == outcome]
        if chosen:
            writer.separator("=", title)
        for row in chosen:
            assert row.failure is not None
            if options.tb == "line":
                write_output(writer, row.output)
                writer.line(row.failure.text.rstrip("\n"))
            else:
                writer.separator("_", row.id, COLORS[outcome], "bold")
                write_traceback(writer, row.failure.text)
                write_output(writer, row.output)


def write_determinism(writer: Writer, rows: Iterable[NodeReport]) -> None:
    """The steps that did not give the same twice, those of which that is not known, and how many did."""
    kept = [(row.id, row.determinism) for row in rows if row.determinism is not None]
    if not kept:
        return
    writer.separator("=", "determinism")
    for node, found in kept:
        if found.same is False:
            writer.line(f"{node} is not deterministic: {found.told}", "red")
    for node, found in kept:
        if found.same is None:
            writer.line(f"{node} was not compared: {found.told}", "yellow")
    same = sum(1 for _, found in kept if found.same)
    writer.line(f"{figures.counted(same, 'step')} gave the same value twice")


def write_traceback(writer: Writer, text: str) -> None:
    """A traceback, with what was raised in red."""
    if not writer.color:
        writer.line(text.rstrip("\n"))
        return
    for line in text.rstrip("\n").split("\n"):
        writer.line(line, *(("red", "bold") if line.startswith(("E ", "E\t")) else ()))


def write_output(writer: Writer, output: Output) -> None:
    """What a node printed and logged."""
    for name, text in (("stdout", output.stdout), ("stderr", output.stderr), ("log", output.log)):
        if text:
            writer.separator("-", f"Captured {name}")
            writer.line(text.removesuffix("\n"))


def write_warnings(writer: Writer, report: RunReport) -> None:
    """The warnings of this run, those of one text together under the nodes that they come from."""
    grouped: dict[str, list[str]] = {}
    for node, text in warnings_of(report):
        grouped.setdefault(text.rstrip("\n"), []).append(node)
    if not grouped:
        return
    writer.separator("=", "warnings summary", "yellow")
    for text, nodes in grouped.items():
        named = list(dict.fromkeys(node for node in nodes if node))
        for line in named if len(named) < 10 else _per_file(named):
            writer.line(line)
        for line in text.splitlines():
            writer.line(f"  {line}" if named else line)
        writer.line()


def _per_file(nodes: Sequence[str]) -> list[str]:
    found: dict[str, int] = {}
    for node in nodes:
        file = node.split("::", 1)[0]
        found[file] = found.get(file, 0) + 1
    return [f"{file}: {figures.counted(count, 'warning')}" for file, count in found.items()]


def write_stored_output(writer: Writer, rows: Iterable[NodeReport]) -> None:
    """What nodes that did not fail printed, logged and warned; a hit's is what it did when it ran."""
    chosen = [row for row in rows if row.outcome not in ("failed", "warned") and _has_output(row)]
    if chosen:
        writer.separator("=", "OUTPUT")
    for row in chosen:
        writer.separator("_", f"{row.id} ({row.outcome})", COLORS[row.outcome], "bold")
        write_output(writer, row.output)
        if row.outcome == "cached" and row.output.warnings:
            writer.separator("-", "Stored warnings")
            for text in row.output.warnings:
                writer.line(text.rstrip("\n"))


def _has_output(row: NodeReport) -> bool:
    """Whether there is more to show than warnings that the warnings summary holds."""
    if row.outcome == "cached":
        return bool(row.output)
    return bool(row.output.stdout or row.output.stderr or row.output.log)


def write_notices(writer: Writer, notices: Sequence[str]) -> None:
    """Which steps depend on what cannot be seen, and what to declare."""
    if notices:
        writer.separator("=", "notices", "yellow")
        for notice in dict.fromkeys(notices):
            writer.line(notice.rstrip("\n"))


def write_why(writer: Writer, rows: Iterable[NodeReport], *, whole: bool) -> None:
    """What was different for each node that ran; with *whole*, all that each depends on that was seen."""
    lines = why_lines(rows, whole=whole)
    if lines:
        writer.separator("=", "why", "cyan")
        for line in lines:
            writer.line(line)


def write_durations(writer: Writer, options: Options, rows: tuple[NodeReport, ...]) -> None:
    """The slowest nodes, as pytest's table."""
    executed = slowest(rows)
    if options.durations is None or not executed:
        return
    count = options.durations or len(executed)
    title = f"slowest {count} durations" if options.durations else "slowest durations"
    writer.separator("=", title)
    least = 0.0 if options.verbosity >= 2 else _NOT_SHOWN
    shown = [row for row in executed[:count] if row.seconds >= least]
    for row in shown:
        writer.line(f"{row.seconds:.2f}s {row.outcome:<8} {row.id}")
    if hidden := min(count, len(executed)) - len(shown):
        writer.line(f"\n({hidden} durations < {_NOT_SHOWN}s hidden.  Use -vv to show these durations.)")


def write_short_summary(writer: Writer, options: Options, report: RunReport, *, whole: bool) -> None:
    """One line a node for the outcomes that -r asks for; *whole* keeps lines that are wider than the terminal."""
    lines: list[str] = []
    for char in options.reportchars:
        if char == "E":
            lines += [_short(writer, "ERROR", "red", problem.id, problem.message, whole) for problem in report.problems]
        for row in report.nodes:
            if row.outcome in SHORT.get(char, ()):
                reason = row.failure.summary if row.failure is not None else row.message
                lines.append(_short(writer, row.outcome.upper(), COLORS[row.outcome], row.id, reason, whole))
    if lines:
        writer.separator("=", "short run summary", "cyan", "bold")
        for line in lines:
            writer.line(line)


def _short(writer: Writer, word: str, color: str, node: str, reason: str, whole: bool) -> str:
    """`FAILED pipeline_x.py::a - ValueError: bad`, cut to the width unless *whole*."""
    file, found, name = node.partition("::")
    told = f"{writer.styled(word, color)} {file}{found}{writer.styled(name, 'bold')}"
    reason = reason.strip().split("\n", 1)[0]
    room = writer.width - columns(f"{word} {node} - ")
    if not reason or (room < 4 and not whole):
        return told
    if not whole and columns(reason) > room:
        while columns(reason) > room - 3:
            reason = reason[:-1]
        reason += "..."
    return f"{told} - {reason}"
