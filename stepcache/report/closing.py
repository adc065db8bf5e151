"""The last line: `2 ran, 2 cached, 1 passed in 0.31s (12.4s saved)`."""

from __future__ import annotations

from collections import Counter

from stepcache.model import NodeReport, RunReport
from stepcache.report import figures
from stepcache.report.progress import COLORS
from stepcache.report.writer import Writer

# The words in the order in which they are told.
WORDS = ("failed", "blocked", "ran", "given", "cached", "passed", "warned", "skipped", "would-run", "unknown")

Parts = list[tuple[str, str]]


def warnings_of(report: RunReport) -> list[tuple[str, str]]:
    """The warnings that arose in this run as (node id or nothing, text); those stored with hits are not among them."""
    told = [("", text) for text in report.warnings]
    return told + [(row.id, text) for row in report.nodes if row.outcome != "cached" for text in row.output.warnings]


def counts(report: RunReport) -> Parts:
    """What happened in words, each with its colour."""
    found = Counter(row.outcome for row in report.nodes)
    parts = [(f"{found[word]} {word}", COLORS[word]) for word in WORDS if found[word]]  # type: ignore[index]
    if report.deselected:
        parts.append((f"{report.deselected} deselected", "yellow"))
    if warnings := len(warnings_of(report)):
        parts.append((figures.counted(warnings, "warning"), "yellow"))
    if report.problems:
        parts.append((figures.counted(len(report.problems), "error"), "red"))
    return parts or [("no nodes ran", "yellow")]


def collected_counts(collected: int, report: RunReport) -> Parts:
    """What --collect-only found."""
    if not collected:
        parts = [("no nodes collected", "yellow")]
    elif report.deselected:
        selected = collected - report.deselected
        told = f"{selected}/{collected}" if selected else "no"
        parts = [(f"{told} nodes collected ({report.deselected} deselected)", "green" if selected else "yellow")]
    else:
        parts = [(f"{figures.counted(collected, 'node')} collected", "green")]
    if report.problems:
        parts.append((figures.counted(len(report.problems), "error"), "red"))
    return parts


def main_color(report: RunReport) -> str:
    """The colour of the whole: red for failures, yellow for warnings or when nothing happened, else green."""
    outcomes = {row.outcome for row in report.nodes}
    if report.problems or report.exit_code not in (0, 5) or outcomes & {"failed", "blocked"}:
        return "red"
    if "warned" in outcomes or warnings_of(report):
        return "yellow"
    return "green" if outcomes - {"skipped", "unknown", "would-run"} else "yellow"


def closing(report: RunReport, parts: Parts) -> str:
    """The line without colours."""
    return ", ".join(text for text, _ in parts) + _ending(report)


def write_closing(writer: Writer, report: RunReport, parts: Parts, *, ruled: bool) -> None:
    """Write the line, between `=` if *ruled*."""
    color = main_color(report)
    told = writer.styled(", ", color).join(
        writer.styled(text, own, "bold") if own == color else writer.styled(text, own) for text, own in parts
    )
    told += writer.styled(_ending(report), color)
    if ruled:
        writer.separator("=", closing(report, parts), color, shown=told)
    else:
        writer.line(told)


def _ending(report: RunReport) -> str:
    saved = report.saved_seconds
    return f" in {figures.duration(report.seconds)}" + (f" ({figures.time(saved)} saved)" if saved >= 0.05 else "")


def slowest(rows: tuple[NodeReport, ...]) -> list[NodeReport]:
    """The nodes that were executed in this run, the slowest first."""
    executed = [row for row in rows if row.outcome in ("ran", "failed", "passed", "warned")]
    return sorted(executed, key=lambda row: -row.seconds)
