"""What a run came to: its report and exit status, and what the next run wants to know of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from stepcache.model import ExitCode, NodeReport, RunReport
from stepcache.state import Session


def last_run(session: Session) -> dict[str, Any]:
    """What this project recorded of its last run: under "failed" the nodes that failed and those they blocked."""
    if session.shelf.store is None:
        return {}
    data = session.shelf.store.last_run()
    return json.loads(data) if data else {}


def record(session: Session, rows: Mapping[str, NodeReport]) -> None:
    """Remember which nodes failed, for --lf."""
    store = session.shelf.store
    if store is None or session.options.plan or session.options.fail_on_miss or not session.shelf.writes:
        return
    before = set(last_run(session).get("failed", ()))
    failed = [i for i, row in rows.items() if row.outcome in ("failed", "blocked")]
    kept = [i for i in before if i not in rows] if session.options.lf else []
    if set(failed) | set(kept) != before:
        store.record_last_run(json.dumps({"failed": sorted({*failed, *kept})}).encode())


def exit_code_of(session: Session, rows: Mapping[str, NodeReport]) -> ExitCode:
    """The exit status of a run that came to its end."""
    outcomes = {row.outcome for row in rows.values()}
    if session.collection.problems or outcomes & {"failed", "blocked"}:
        return ExitCode.FAILED
    if session.engine is not None and session.engine.wrong_ends:
        return ExitCode.FAILED
    if session.options.fail_on_miss and outcomes & {"would-run", "unknown"}:
        return ExitCode.FAILED
    return ExitCode.OK


def report_of(
    session: Session, rows: Mapping[str, NodeReport], code: ExitCode, began: float, stopped: str = ""
) -> RunReport:
    """The report of a run that began at *began* and, if it ended early, was *stopped* by that."""
    engine = session.engine
    notices: list[str] = []
    for node, each in (engine.notices if engine is not None else {}).items():
        notices.extend(f"{node}: {line}" for line in each)
    problems = [*session.shelf.store.problems] if session.shelf.store is not None else []
    return RunReport(
        exit_code=code,
        seconds=time.perf_counter() - began,
        nodes=tuple(rows.values()),
        problems=tuple(session.collection.problems),
        warnings=tuple(dict.fromkeys([*session.warnings, *(f"cache: {p}" for p in problems)])),
        notices=tuple(notices),
        deselected=session.graph.deselected,
        stopped=stopped,
    )
