"""A run as a notebook shows it: a line that counts, a table of its nodes, and what went wrong."""

from __future__ import annotations

from html import escape

from stepcache.model import NodeReport, RunReport
from stepcache.report import figures
from stepcache.results import counts

MOST = 200
"""How many rows are shown; those of nodes that failed come before others where there are more."""

_HEAD = "<tr>" + "".join(f"<th>{name}</th>" for name in ("node", "outcome", "time", "saved", "why")) + "</tr>"


def html_table(report: RunReport) -> str:
    """The report as HTML that stands alone: no script, no style sheet."""
    parts = [f"<p>{escape(counts(row.outcome for row in report.nodes))}</p>"]
    rows = _shown(report)
    if rows:
        parts.append(f"<table><thead>{_HEAD}</thead><tbody>{''.join(map(_row, rows))}</tbody></table>")
    if hidden := len(report.nodes) - len(rows):
        parts.append(f"<p>and {hidden} more</p>")
    parts += [f"<pre>{escape(problem.message)}</pre>" for problem in report.problems]
    parts += [f"<pre>{escape(row.failure.text.rstrip())}</pre>" for row in rows if row.failure is not None]
    parts += [f"<p>warning: {escape(text)}</p>" for text in report.warnings]
    return "\n".join(parts)


def _shown(report: RunReport) -> list[NodeReport]:
    if len(report.nodes) <= MOST:
        return list(report.nodes)
    return sorted(report.nodes, key=lambda row: row.outcome != "failed")[:MOST]


def _row(row: NodeReport) -> str:
    why = row.error or row.message or "; ".join(map(str, row.why))
    cells = (
        row.id,
        row.outcome,
        figures.duration(row.seconds) if row.seconds else "",
        figures.time(row.saved_seconds) if row.saved_seconds else "",
        why,
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
