"""`--check-determinism`: each selected step twice more, in fresh processes, and whether it gives the same both times.

The run has been as always, and nothing of this is stored: each execution is given what the run knows of its inputs.
The two processes hash strings differently, so that what hangs on the order of a set shows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from attrs import evolve

from stepcache.difference import first_difference, first_differing_byte
from stepcache.errors import ValueGone
from stepcache.execution.placing import obstacle
from stepcache.execution.pool import Pool
from stepcache.execution.work import Done, Work
from stepcache.executors import fresh_process
from stepcache.model import Determinism, ExitCode, Miss, Node, RunReport, Value
from stepcache.records import frozen
from stepcache.state import Session

_SEEDS = ("1", "2")


@frozen
class _Without:
    """An execution that gave no value, and why; one that could be had has *failed*."""

    why: str
    failed: bool = False


def checked(session: Session, report: RunReport) -> RunReport:
    """*report* with what came of each step that was run twice; it has failed if one did not give the same."""
    rows, began = {row.id: row for row in report.nodes}, time.perf_counter()
    if report.stopped or session.engine is None:
        return report
    for node in _selected(session):
        row = rows.get(node.id)
        if row is not None and row.outcome in ("ran", "cached"):
            rows[node.id] = evolve(row, determinism=_determinism(session, node))
    found = [row.determinism for row in rows.values() if row.determinism is not None]
    code = report.exit_code
    if code == ExitCode.OK and any(each.same is False for each in found):
        code = ExitCode.FAILED
    seconds = report.seconds + time.perf_counter() - began
    return evolve(report, exit_code=code, nodes=tuple(rows.values()), seconds=seconds)


def _selected(session: Session) -> Iterator[Node]:
    """The steps and pipelines that were chosen by name or expression; else all."""
    options, graph = session.options, session.graph
    chosen = options.keyword or options.markexpr or options.lf or any("::" in each for each in options.args)
    for node in graph.nodes.values():
        if node.kind != "check" and node.id not in graph.excluded and (not chosen or node.id in graph.targets):
            yield node


def _determinism(session: Session, node: Node) -> Determinism:
    one, other = (_executed(session, node, seed) for seed in _SEEDS)
    for each in (one, other):
        if isinstance(each, _Without):
            return Determinism(False if each.failed else None, each.why)
    assert isinstance(one, Value)
    assert isinstance(other, Value)
    if one.digest == other.digest:
        return Determinism(True)
    return Determinism(False, _difference(session, one, other))


def _difference(session: Session, one: Value, other: Value) -> str:
    if one.names:
        for name in one.names:
            a, b = one.output(name), other.output(name)
            if a.digest != b.digest:
                return f"output '{name}': {_difference(session, a, b)}"
    load, data = session.shelf.load, session.shelf.all.data
    found = first_difference(load(one), load(other))
    if found:
        return found
    pairs = zip(one.contents, other.contents, strict=False)
    return next((first_differing_byte(data(a), data(b)) for a, b in pairs if a.digest != b.digest), "its length")


def _executed(session: Session, node: Node, seed: str) -> Value | _Without:
    """What the node gives in a process of its own, in which strings are hashed from *seed*."""
    pool = fresh_process(session, {"PYTHONHASHSEED": seed})
    try:
        return _mapped(session, node, pool) if node.mapped else _once(session, node, pool)
    except ValueGone:
        return _Without("a value that it takes is not to be had any more")
    finally:
        pool.close()


def _once(session: Session, node: Node, pool: Pool) -> Value | _Without:
    assert session.engine is not None
    done = _run(pool, evolve(session.engine.work(node, Miss("", ())), keeps=False))
    if isinstance(done.product, Value):
        return done.product
    return _without(done)


def _mapped(session: Session, node: Node, pool: Pool) -> Value | _Without:
    """All elements of a mapped node, in one process."""
    engine = session.engine
    assert engine is not None
    values = {n: p for n, p in engine.products.items() if isinstance(p, Value)}
    mapped = engine.mapper.mapped(node, engine.products, values, keyed=False, reads=False)
    engine.mapped[node.id] = mapped
    while mapped.waits:
        done = _run(pool, evolve(engine.batch(node, Miss("", ())), keeps=False))
        if done.outcome != "ran":
            return _without(done)
        engine.mapper.take(mapped, done)
    if mapped.trouble is not None or mapped.failures:
        return _Without(f"it failed: {(mapped.trouble or mapped.failure()).summary}", failed=True)
    return engine.mapper.whole(mapped, keep=False)


def _run(pool: Pool, work: Work) -> Done:
    reason = obstacle(work)
    if reason is not None:
        return Done(work.id, "refused", message=reason)
    pool.submit(work)
    return pool.finished(wait=True)[0]


def _without(done: Done) -> _Without:
    if done.failure is not None:
        return _Without(f"it failed: {done.failure.summary}", failed=True)
    return _Without(f"it cannot be run in a process of its own: {done.message or done.outcome}")
