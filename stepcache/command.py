"""The command: a run with its report, or one of its chores."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from stepcache import __version__, snapshotting, stamping
from stepcache.builtin import BUILT_IN, terminal_report
from stepcache.config import Options
from stepcache.errors import CollectionFailed, StepcacheError, UsageError
from stepcache.model import ExitCode, RunReport
from stepcache.opening import configure, offered_options, working_directory
from stepcache.plugins import hook_that_raised, installed_version
from stepcache.report.outlet import Outlet, complain
from stepcache.report.terminal import HeaderFacts
from stepcache.session import Call, Session, collect, execute, open_session
from stepcache.stamp import Asked
from stepcache.termination import terminable
from stepcache.watched import VARIABLE, tell
from stepcache.wholefile import check_place


def command(arguments: tuple[str, ...], plugins: tuple[object, ...], asked: Asked | None) -> int:
    """Do what *arguments* say; the exit status. Raises `KeyboardInterrupt`."""
    choice, _, told = os.environ.pop(VARIABLE, "").partition(" ")
    call = Call((choice, *arguments) if told else arguments, plugins=plugins, asked=asked)
    try:
        with terminable():
            return int(_command(call, told))
    except CollectionFailed as error:
        complain(f"ERROR: {error}\n")
        return ExitCode.INTERRUPTED
    except StepcacheError as error:
        complain(f"ERROR: {error}\n")
        return ExitCode.USAGE
    except BrokenPipeError:  # cut short: what was not told may have failed
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 - nothing of ours may end in Python's own traceback without being named
        told = traceback.format_exc().rstrip("\n").replace("\n", "\nINTERNALERROR> ")
        hook = hook_that_raised(error)
        whose = (
            f"a hook of a plugin or stepconf.py: {hook}"
            if hook
            else "stepcache, not of your pipeline: please report it"
        )
        complain(f"INTERNALERROR> {told}\nThis is a fault of {whose}.\n")
        return ExitCode.INTERNAL


def _command(call: Call, told: str) -> int:
    """Do it. Under --watch, *told* is the file in which a run tells what it depended on."""
    if any(each in ("-h", "--help") for each in call.arguments) or any(
        each in ("-V", "--version") for each in call.arguments
    ):
        return _help(call)
    session = open_session(call, os.environ, working_directory())
    try:
        _check_reports(session.options)
        if not (session.options.watch and not told):
            return _once(session, told)
    finally:
        session.close()
    from stepcache.watching import watch

    return watch(call.arguments)


def _check_reports(options: Options) -> None:
    """Raise `UsageError` before anything runs where a report could not be written when all has run."""
    for flag, path in (("--json", options.json), ("--junitxml", options.junitxml), ("--graph", options.graph)):
        if path is not None and (flag, path) != ("--json", "-"):
            try:
                check_place(path)
            except OSError as error:
                raise UsageError(f"{flag}={path}: cannot be written: {error.strerror}") from None


def _once(session: Session, told: str) -> int:
    try:
        if session.options.replay is not None:
            from stepcache.replaying import begin

            begin(session)
        return _with_session(session)
    finally:
        if told:
            tell(session, told)


def _help(call: Call) -> int:
    options, _, plugins = configure(call, os.environ, working_directory())
    if options.version:
        _say(f"stepcache {__version__}")
        return ExitCode.OK
    from stepcache.config import PluginOption, PluginSetting
    from stepcache.config.help_text import help_text
    from stepcache.report.writer import terminal_width

    offered = offered_options(plugins)
    added = [each for each in offered if isinstance(each, PluginOption)]
    keys = [each for each in offered if isinstance(each, PluginSetting)]
    _say(help_text(added, keys, terminal_width(os.environ)).rstrip("\n"))
    return ExitCode.OK


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # who has read enough has gone
        sys.stdout.write(text + "\n")


def _with_session(session: Session) -> int:
    options = session.options
    with _report_stream(session) as stream:
        report = terminal_report(options, stream)
        terminal = report.terminal
        if options.cache_show is not None or options.cache_verify or options.cache_gc is not None:
            from stepcache.chores import tend_cache

            return tend_cache(session, terminal)
        facts = _facts(session)
        terminal.header(facts)
        if options.markers:
            from stepcache.chores import list_marks

            return list_marks(session, terminal)
        with terminal.collecting():
            _collect(session)
        if options.steps or options.cache_clear or options.collect_only:
            from stepcache import chores

            if options.steps:
                return chores.list_steps(session, terminal)
            if options.cache_clear:
                chores.clear(session, terminal)
            if options.collect_only:
                return chores.list_nodes(session, terminal)
        session.plugins.add(report, "terminal")
        result = _looked_at_again(session, execute(session))
        if (options.plan or options.fail_on_miss) and not result.problems:
            from stepcache.report.lists import plan_lines

            rows = result.nodes if options.plan else [r for r in result.nodes if r.outcome in ("would-run", "unknown")]
            terminal.listing(plan_lines(rows))
        prepared = stamping.prepare(session, result)
        session.plugins.hook.stepcache_run_finished(report=result, options=options)
        if prepared is not None:
            stamping.keep(session, prepared, _told(session, prepared.report, facts, stream))
        snapshotting.keep(session)
        return result.exit_code


def _told(session: Session, report: RunReport, facts: HeaderFacts, stream: TextIO) -> bytes:
    """What a run that has nothing to do, and whose report is this one, tells on *stream*."""
    page = stamping.Page(stream)
    telling = terminal_report(session.options, page)
    telling.terminal.header(facts)
    with telling.terminal.collecting():
        telling.stepcache_collected(session.graph, report.problems)
    for row in report.nodes:
        telling.stepcache_node_finished(row)
    telling.stepcache_run_finished(report)
    return stamping.told(session, report, page.getvalue(), telling.terminal.writer)


def _collect(session: Session) -> None:
    collect(session)
    if session.options.replay is not None:
        from stepcache.replaying import narrow

        narrow(session)


def _looked_at_again(session: Session, report: RunReport) -> RunReport:
    """*report* with what other processes have to say of the run, if they are asked."""
    report = _told_by_pytest(session, report)
    if not session.options.check_determinism:
        return report
    from stepcache.determinism import checked

    return checked(session, report)


def _told_by_pytest(session: Session, report: RunReport) -> RunReport:
    """*report* with the failures of checks as pytest tells them, if there are any."""
    if all(row.kind != "check" or row.failure is None for row in report.nodes):
        return report
    from stepcache.introspect import introspected

    return introspected(session, report)


@contextmanager
def _report_stream(session: Session) -> Iterator[TextIO]:
    """Where the report goes: standard output as it is now, whatever is captured later."""
    base = sys.stderr if session.options.json == "-" else sys.stdout
    if session.options.capture == "no":  # what the steps print goes there too, in the order in which it comes
        yield base
        return
    try:
        stream = Outlet(base)
    except (OSError, ValueError):  # standard output is no file: someone else captures it
        yield base
        return
    with contextlib.suppress(OSError):  # what stands in it stays there: the command's last flush tells of it
        base.flush()
    with stream:
        yield stream
    if stream.lost is not None and not isinstance(stream.lost, BrokenPipeError):
        raise UsageError(f"the report cannot be written: {stream.lost.strerror}")


def _facts(session: Session) -> HeaderFacts:
    configuration = session.configuration
    file = configuration.file
    more = [f"    {name}: {place}" for name, place in session.plugins.places()]
    added = session.plugins.hook.stepcache_report_header(options=session.options, configuration=configuration)
    return HeaderFacts(
        version=__version__,
        python=".".join(map(str, sys.version_info[:3])),
        pluggy=installed_version("pluggy"),
        root=str(configuration.root),
        config_file=os.path.relpath(file, configuration.root) if file is not None else None,
        pipelinepaths=configuration.pipelinepaths if not session.options.args else (),
        cache=_cache_told(session),
        plugins=tuple(n for n in session.plugins.told if n not in BUILT_IN),
        executable=sys.executable,
        more=(
            *(line for own in reversed(added) for line in _lines_of(own)),
            *(("active plugins:", *more) if session.options.trace_config else ()),
        ),
    )


def _lines_of(header: object) -> list[str]:
    """What a plugin adds to the header."""
    lines = [header] if isinstance(header, str) else header
    if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
        raise UsageError(f"stepcache_report_header: a plugin gives {header!r}, which is no text and no list of texts")
    return list(lines)


def _cache_told(session: Session) -> str:
    if session.shelf.store is None:
        return "off"
    told = str(session.folder)
    return f"{told} (read only)" if session.options.cache == "readonly" else told
