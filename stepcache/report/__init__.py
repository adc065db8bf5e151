"""What happened, for people and for programs.

Nothing here decides or stores: it takes frozen data and writes lines. Read in this order: terminal (a run as it
happens), progress, summary, closing (its three parts), statusline (what runs now), why and lists (explanations and
tables), traceback (how a failure is shown), jsonreport, junitxml (for programs), picture, drawing, graphfile (the
graph as a file), figures and writer (numbers and the terminal).
"""

from __future__ import annotations

from stepcache.report.jsonreport import json_report, node_row, write_json
from stepcache.report.lists import (
    EntryLine,
    cache_show_lines,
    cleared_line,
    collect_lines,
    dropped_line,
    lost_line,
    markers_lines,
    plan_lines,
    steps_lines,
    total_line,
    verified_lines,
)
from stepcache.report.statusline import StatusLine
from stepcache.report.terminal import HeaderFacts, Terminal
from stepcache.report.why import reason_lines, why_lines
from stepcache.report.writer import Writer

__all__ = [
    "EntryLine",
    "HeaderFacts",
    "StatusLine",
    "Terminal",
    "Writer",
    "cache_show_lines",
    "cleared_line",
    "collect_lines",
    "dropped_line",
    "failure_text",
    "json_report",
    "lost_line",
    "markers_lines",
    "node_row",
    "plan_lines",
    "reason_lines",
    "steps_lines",
    "total_line",
    "verified_lines",
    "why_lines",
    "write_json",
]


def __getattr__(name: str) -> object:
    if name == "failure_text":  # only a failure needs it
        from stepcache.report.traceback import failure_text

        return failure_text
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
