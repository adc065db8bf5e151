"""What the next run will tell, if nothing changes until then: what has run in this one is a hit in that one."""

from __future__ import annotations

import os
from itertools import chain

from attrs import evolve

from stepcache.model import ExitCode, NodeReport, Observation, RunReport, skipping
from stepcache.state import Session


def next_report(session: Session, report: RunReport) -> RunReport | None:
    """The report of a next run in which there is nothing to do; None where there may be something.

    What the bodies of this one have changed is looked at as the next run would: each thing that was seen to be read has
    to be as it was then.
    """
    store, engine, saves = session.shelf.store, session.engine, session.saves
    if report.exit_code != ExitCode.OK or report.stopped or not report.nodes or engine is None:
        return None
    if store is None or store.problems or (saves is not None and (saves.warnings or saves.failures)):
        return None  # which are told of in every run
    rows = _rows(session, report)
    if rows is None:
        return None
    if all(row.outcome in ("cached", "skipped") for row in report.nodes):
        return report
    if report.warnings or not _is_undisturbed(session, rows):
        return None
    return evolve(report, nodes=tuple(rows), notices=())


def _rows(session: Session, report: RunReport) -> list[NodeReport] | None:
    """The rows of the next run: each a hit, or skipped as it is marked to be."""
    assert session.engine is not None
    rows: list[NodeReport] = []
    skipped: set[str] = set()
    for row in report.nodes:
        node = session.graph.nodes[row.id]
        if row.outcome == "skipped" and (skipping(node) is not None or skipped.intersection(node.upstream)):
            skipped.add(row.id)
            rows.append(row)
            continue
        hit = session.engine.next_row(row)
        if hit is None:
            return None
        rows.append(hit)
    return None if skipped & session.graph.excluded else rows


def _is_undisturbed(session: Session, rows: list[NodeReport]) -> bool:
    """Does all that was read say what it said, as far as a next run may read it?

    A module's variables follow from its source, and from what its import read.
    """
    seen = chain(session.sight.reads_of_imports(), *(row.observations for row in rows))
    read = dict.fromkeys(each for each in seen if each.kind != "variable")
    before = session.variables
    changed = {name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)}
    return not any(_may_tell_of(each, changed) for each in read) and all(map(session.sight.is_as_it_was, read))


def _may_tell_of(observation: Observation, changed: set[str]) -> bool:
    """Do these variables of the environment, which a body has changed, tell in an observation?"""
    kind = observation.seen_as
    if kind in ("env", "given"):
        return observation.name in changed
    return bool(changed) and (kind in ("env beginning", "environment") or (kind == "program" and "PATH" in changed))
