"""The report for programs: --json=PATH, schema 1. Fields are only ever added."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from stepcache.errors import UsageError
from stepcache.model import Elements, NodeReport, Reason, RunReport, Value
from stepcache.wholefile import write_whole


def json_report(report: RunReport, version: str) -> dict[str, Any]:
    """*report* as JSON values, the nodes in the order of the run."""
    return {
        "schema": 1,
        "stepcache": version,
        "exit_code": int(report.exit_code),
        "seconds": _seconds(report.seconds),
        "saved_seconds": _seconds(report.saved_seconds),
        "nodes": [node_row(row) for row in report.nodes],
        "errors": [{"id": problem.id, "message": problem.message} for problem in report.problems],
    }


def node_row(row: NodeReport) -> dict[str, Any]:
    """A node's row."""
    told = {
        "id": row.id,
        "kind": row.kind,
        "outcome": row.outcome,
        "seconds": _seconds(row.seconds),
        "why": [_reason(reason) for reason in row.why],
        "key": row.key,
        "digest": row.value.digest if row.value is not None else None,
        "outputs": _outputs(row.value),
        "bytes": row.value.size if row.value is not None else None,
        "stored_bytes": row.value.stored if row.value is not None else None,
        "elements": _elements(row.elements),
        "needs": list(row.needs),
        "error": row.error,
    }
    if row.determinism is not None:
        told["determinism"] = {"same": row.determinism.same, "told": row.determinism.told or None}
    return told


def _elements(elements: Elements | None) -> dict[str, int] | None:
    if elements is None:
        return None
    found = {"cached": elements.cached, "ran": elements.ran, "failed": elements.failed}
    return {**found, "skipped": elements.skipped} if elements.skipped else found


def _outputs(value: Value | None) -> dict[str, str] | None:
    """The digest of each output, by its name."""
    if value is None or not value.names:
        return None
    return {name: part.digest for name, part in zip(value.names, value.parts, strict=True)}


def json_text(report: RunReport, version: str) -> str:
    """*report* as the text of a file."""
    return json.dumps(json_report(report, version), indent=1, allow_nan=False) + "\n"


def write_json(report: RunReport, version: str, path: str) -> None:
    """Write the report to *path*, whole or not at all, or to standard output for `-`."""
    text = json_text(report, version)
    if path == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise UsageError(f"--json={path}: cannot be written: {error.strerror}") from None


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "kind": reason.kind,
        "what": reason.what or None,
        "was": _value(reason.was) if reason.shown else None,
        "now": _value(reason.now) if reason.shown else None,
    }


def _value(value: object) -> Any:
    """A value that may be told, as JSON; what JSON has no number for is told as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if isinstance(value, str | int | float | None) else repr(value)


def _seconds(seconds: float) -> float:
    return round(seconds, 6) if math.isfinite(seconds) else 0.0
