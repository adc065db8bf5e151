"""What a run came to: its report and exit status, and what the next run wants to know of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import asdict

from stepcache.model import ExitCode, Failure, Miss, NodeReport, RunReport, Value
from stepcache.state import Session


def describer(session: Session) -> Callable[[BaseException], Failure]:
    """What tells how an exception is shown in this run."""
    options, start = session.options, str(session.configuration.root)

    def describe(error: BaseException) -> Failure:
        from stepcache.report.traceback import failure_text

        return failure_text(error, options.tb, showlocals=options.showlocals, start=start)

    return describe


def last_run(session: Session) -> dict[str, Any]:
    """What this project recorded of its last run: under "failed" the nodes that failed and those they blocked."""
    if session.shelf.store is None:
        return {}
    data = session.shelf.store.last_run()
    return json.loads(data) if data else {}


def record(session: Session, rows: Mapping[str, NodeReport]) -> None:
    """Remember which nodes failed, for --lf, and what they were given, for --replay."""
    store, options = session.shelf.store, session.options
    if store is None or options.plan or options.fail_on_miss or options.replay or not session.shelf.writes:
        return
    before = last_run(session)
    failed = {i: None for i, row in rows.items() if row.outcome in ("failed", "blocked")}
    kept = [i for i in before.get("failed", ()) if i not in rows] if options.lf else []
    given = {i: each for i, each in before.get("given", {}).items() if i in kept}
    now = {"failed": sorted({*failed, *kept}), "given": {**given, **_given(session, rows)}} if failed or kept else {}
    if now != before:
        store.record_last_run(json.dumps(now).encode())


def _given(session: Session, rows: Mapping[str, NodeReport]) -> dict[str, Any]:
    """By node that failed: its inputs, None where not all are in the cache, and the settings that it was asked for."""
    assert session.engine is not None
    found = {}
    for node in (session.graph.nodes[row.id] for row in rows.values() if row.outcome == "failed"):
        inputs = session.engine.work(node, Miss("", ())).inputs
        kept = {n: asdict(p) for n, p in inputs.items() if isinstance(p, Value) and _is_stored(session, p)}
        found[node.id] = {
            "inputs": kept if len(kept) == len(inputs) else None,
            "mapped": node.mapped,
            "params": [list(each) for each in session.options.params],
            "profile": session.options.profile,
        }
    return found


def _is_stored(session: Session, value: Value) -> bool:
    return session.shelf.store is not None and session.shelf.store.holds(value)


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
        nodes=tuple(rows[node] for node in session.graph.nodes if node in rows),
        problems=tuple(session.collection.problems),
        warnings=tuple(dict.fromkeys([*session.warnings, *(f"cache: {p}" for p in problems)])),
        notices=tuple(notices),
        deselected=session.graph.deselected,
        stopped=stopped,
    )
