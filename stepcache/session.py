"""A run from beginning to end: the phases in order.

options → configuration → plugins → store (opening) → collection → graph (binding, levels) → rows → report (outcome)
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

from attrs import evolve

from stepcache.binding import asked_files, file_rules, graph_of, notebook, offered, refuse_unknown_marks, scopes_of
from stepcache.collect.collection import Collection, Collector
from stepcache.collect.discover import is_pipeline_file
from stepcache.collect.snapshot import Outdated
from stepcache.errors import UsageError
from stepcache.execution.capture import Capture, LiveLog, Mode, add_warning_filter
from stepcache.execution.debugging import Debugger
from stepcache.execution.engine import Engine
from stepcache.execution.schedule import Limits, Schedule
from stepcache.executors import open_executor, telling_logged
from stepcache.garbage import growing, grown
from stepcache.model import ExitCode, NodeReport, Output, RunReport
from stepcache.opening import open_session
from stepcache.outcome import describer, exit_code_of, record, report_of
from stepcache.saving import save, saves_of
from stepcache.snapshotting import find
from stepcache.stamping import only_registering
from stepcache.state import Call, Session

if TYPE_CHECKING:
    from stepcache.execution.saving import Saves

__all__ = ["Call", "Session", "collect", "describer", "execute", "open_session", "remake"]


# What importing brings about in modules that are not the project's.
_OF_IMPORTING = (ImportWarning, ResourceWarning)


def collect(session: Session, *, caught: bool = True) -> None:
    """Import what was asked for, and bind it. What is printed and warned meanwhile is *caught*, or goes its way."""
    warned = [*session.warnings]
    try:
        _collect_caught(session, caught=caught)
    except Outdated:
        session.collects_anew = True
        session.sight.snapshot = session.engine = None
        session.collection, session.warnings[:] = Collection(), warned
        for name in [name for name in session.project.loaded.loaded if not session.plugins.are_of(name)]:
            session.project.loaded.forget(name)
        session.sight.forget(())
        _collect_caught(session, caught=caught)


def _collect_caught(session: Session, *, caught: bool) -> None:
    with growing():
        if not caught:
            _collect(session, Output)
            return
        options = session.options
        # In memory, what a file takes hold of while it is imported (`from sys import stdout`) would be lost later.
        mode: Mode = "fd" if options.capture == "fd" else "no"
        filters = (*session.configuration.filterwarnings, *options.warnings)
        known = [each for each in filters if _is_filter(each)]
        capture = Capture(mode, None, known, ignored=_OF_IMPORTING)
        with capture.open(), Debugger(capture, session.plugins.hook.stepcache_debugger_opened).ready():
            _collect(session, partial(_printed, session, capture))
            _printed(session, capture)


def _printed(session: Session, capture: Capture) -> Output:
    """What was caught since the last time. Warnings are told with the run's."""
    output = capture.take()
    capture.resume()
    session.warnings.extend(output.warnings)
    session.told_at_import = session.told_at_import or bool(output.warnings)
    return evolve(output, warnings=())


def _collect(session: Session, printed: Callable[[], Output]) -> None:
    asked, unreadable = asked_files(session)
    rules = file_rules(session.configuration)
    snapshot = session.sight.snapshot = find(session, asked)
    if snapshot is not None:
        snapshot.caught = partial(_caught, printed)
    collector = Collector(
        session.project.loaded, lambda path: is_pipeline_file(os.path.basename(path), rules), printed, snapshot
    )
    main = notebook(session)
    if main is not None:
        session.sight.forget(["__main__"])  # any cell may have set its variables since the last run
    session.collection = collector.collect(asked, unreadable, offered(session), main)
    for module in collector.stepconfs():
        session.plugins.add_stepconf(module)
        _add_codecs(session, module)
    if snapshot is not None and not only_registering(session):
        snapshot.wake_all()  # hooks may look at whatever they like
    refuse_unknown_marks(session)
    session.scopes = scopes_of(session.collection)
    session.graph = graph_of(session)
    session.saves = saves_of(session)
    levels = session.collection.levels.values()
    session.sight.homes = {level.file: level for level in levels}
    session.sight.reader.collected(tuple(level.module for level in levels))
    session.variables = dict(os.environ)
    session.sight.note_imported()
    _foresee(session)


@contextmanager
def _caught(printed: Callable[[], Output]) -> Iterator[None]:
    """What is printed meanwhile is no node's."""
    try:
        yield
    finally:
        printed()


def _foresee(session: Session) -> None:
    """Import what may run, where files are asleep: nothing is told yet, and all can still be collected anew."""
    options = session.options
    if session.sight.sleeps and not (
        session.collection.problems or options.plan or options.fail_on_miss or options.collect_only
    ):
        session.engine = Engine(session.graph, session.policy, session.shelf, session.sight)
        session.engine.foresee()


def _add_codecs(session: Session, module: ModuleType) -> None:
    """Register the codecs of a stepconf.py."""
    for codec in getattr(module, "stepcache_codecs", tuple)():
        session.shelf.scratch.codecs.add(codec)


def execute(session: Session) -> RunReport:
    """Run the graph; the report of what happened."""
    began = time.perf_counter()
    collection, options = session.collection, session.options
    hook = session.plugins.hook
    hook.stepcache_collected(graph=session.graph, problems=tuple(collection.problems), options=options)
    if collection.problems and not options.continue_on_collection_errors:
        return report_of(session, {}, ExitCode.INTERRUPTED, began)
    if not session.graph.nodes:
        code = ExitCode.INTERRUPTED if collection.problems else ExitCode.NOTHING
        return report_of(session, {}, code, began)
    filters = (*session.configuration.filterwarnings, *options.warnings)
    _refuse_wrong_filters(filters)
    capture = Capture(options.capture, options.log_level, filters, _live_log(session))
    if session.engine is None:
        session.engine = Engine(session.graph, session.policy, session.shelf, session.sight)
    engine = session.engine
    engine.products.update(session.replayed or {})
    debugger = Debugger(capture, hook.stepcache_debugger_opened)
    here = options.pdb or options.replay is not None  # where there is somebody who looks into it
    executor = open_executor(session, capture, debugger if options.pdb else None, here=here)

    passed_on = partial(_pass_on, session, capture)
    telling = partial(session.plugins.telling, root=str(session.configuration.root), after=passed_on)
    tell_started, tell_finished = telling("stepcache_node_started"), telling("stepcache_node_finished")
    tell_progressed, tell_waits = telling("stepcache_node_progressed"), telling("stepcache_node_waits")
    if session.sight.snapshot is not None:
        session.sight.snapshot.caught = partial(_caught, partial(_printed, session, capture))

    def finished(row: NodeReport) -> None:
        save(session, row)
        tell_finished(row.file)(report=row)
        if debugger.left:
            schedule.stopped = "quit in the debugger"

    schedule = session.schedule = Schedule(
        engine,
        executor,
        Limits(options.maxfail, options.plan, options.fail_on_miss, dict(options.slots)),
        describer(session),
        started=lambda node: tell_started(node.file)(node=node, expected=engine.expected.get(node.id)),
        waits=lambda node: tell_waits(node.file)(node=node),
        finished=finished,
        progressed=lambda node, done, total: tell_progressed(node.file)(node=node, done=done, total=total),
    )
    interrupted = False
    try:
        with grown(), capture.open(), debugger.ready():
            try:
                schedule.go()
            finally:
                engine.wrong_ends.extend(executor.close())
                record(session, schedule.rows)
    except KeyboardInterrupt:
        interrupted = True
        if not schedule.stopped.startswith("KeyboardInterrupt"):  # it came when all rows were there
            schedule.stopped = "KeyboardInterrupt"
    if session.saves is not None and not interrupted:
        _save_lost(session, session.saves)
    session.warnings.extend([*engine.warnings, *executor.warnings, *engine.wrong_ends])
    code = ExitCode.INTERRUPTED if interrupted or debugger.left else exit_code_of(session, schedule.rows)
    return report_of(session, schedule.rows, code, began, schedule.stopped)


def _pass_on(session: Session, capture: Capture) -> None:
    """Tell what a hook has printed and warned: it is no node's."""
    output = capture.take()
    session.warnings.extend(output.warnings)
    if text := output.stdout + output.stderr + output.log:
        session.plugins.hook.stepcache_hook_printed(text=text)


def _save_lost(session: Session, saves: Saves) -> None:
    """Make again and save the values that were to be saved and turned out to be damaged or gone."""
    assert session.engine is not None
    assert session.schedule is not None
    for node_id in [*saves.gone]:
        row = remake(session, node_id)
        session.schedule.rows[node_id] = row
        saves.after(row)
    session.engine.warnings.extend(saves.warnings)
    session.engine.wrong_ends.extend(saves.failures)


def _live_log(session: Session) -> LiveLog | None:
    level = session.options.log_cli_level
    if level is None:
        return None
    return LiveLog(level, telling_logged(session))


def _refuse_wrong_filters(filters: Sequence[str]) -> None:
    with warnings.catch_warnings():
        for each in filters:
            try:
                add_warning_filter(each)
            except ValueError as error:
                raise UsageError(str(error)) from error


def _is_filter(text: str) -> bool:
    """Is it one already? The category may be one that the project defines."""
    with warnings.catch_warnings():
        try:
            add_warning_filter(text)
        except ValueError:
            return False
    return True


def remake(session: Session, node_id: str) -> NodeReport:
    """Run a node again whose value is gone, outside the run."""
    assert session.engine is not None
    assert session.schedule is not None
    engine = session.engine
    engine.products.pop(node_id, None)
    capture = Capture(session.options.capture, session.options.log_level)
    executor = open_executor(session, capture, here=True)
    schedule = Schedule(engine, executor, Limits(), describer(session), rows=dict(session.schedule.rows))
    with capture.open():
        try:
            return schedule.again(engine.graph.nodes[node_id])
        finally:
            executor.close()
