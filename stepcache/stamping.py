"""Leaving a stamp at the end of a run after which there is nothing to do."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from attrs import fields

from stepcache import __version__
from stepcache.binding import collected_modules
from stepcache.builtin import BUILT_IN
from stepcache.config import Options
from stepcache.foretelling import next_report
from stepcache.grounds import Grounds, Unsure
from stepcache.model import Node, NodeReport, RunReport
from stepcache.records import frozen
from stepcache.report import closing
from stepcache.report.jsonreport import json_text
from stepcache.report.writer import Writer
from stepcache.stamp import Asked, Head, Told
from stepcache.state import Session

# The options with which a run with nothing to do tells what it tells and does nothing else.
PLAIN = frozenset(
    {
        "args", "keyword", "markexpr", "deselect", "ignore", "no_checks", "continue_on_collection_errors", "params",
        "profile", "maxfail", "capture", "warnings", "log_level", "why", "cache_dir", "verbosity", "showlocals",
        "reportchars", "tb", "durations", "color", "no_header", "no_summary", "json", "config_file", "overrides",
        "rootdir", "plugins", "strict_markers", "strict_config", "trace_config", "plugin_options", "workers",
        "slots",
    }
)  # fmt: skip
# Hooks that only register: a plugin with any other is loaded and called in every run.
_REGISTERING = {
    "stepcache_options",
    "stepcache_codecs",
    "stepcache_executors",
    "stepcache_steps",
    "stepcache_markers",
}


@frozen
class Prepared:
    """What a stamp will tell, and of what its answer rests on."""

    report: RunReport
    asked: Asked
    grounds: Grounds
    files: list[tuple[str, Any, bytes]]
    folders: list[tuple[str, Any, bytes]]
    links: list[tuple[str, Any]]
    modules: tuple[str, ...]
    since: float
    until: float


def _may_stamp(session: Session) -> bool:
    """Can this run leave a stamp, if the next one has nothing to do?"""
    options, call, store = session.options, session.call, session.shelf.store
    return (
        call.asked is not None
        and not (call.values or call.plugins or call.target)
        and store is not None
        and not store.readonly
        and options.cache in (None, "on")
        and not any(each.startswith("@") for each in (*call.arguments, *session.configuration.addopts))
        and "@" not in session.environ.get("STEPCACHE_ADDOPTS", "")
        and _is_plain(options)
    )


def _is_plain(options: Options) -> bool:
    initial = Options()
    return all(
        each.name in PLAIN or each.name == "cache" or getattr(options, each.name) == getattr(initial, each.name)
        for each in fields(Options)
    )


def prepare(session: Session, report: RunReport) -> Prepared | None:
    """What a stamp is to tell after this run, and rest on; None where it is to leave none."""
    if not _may_stamp(session) or not only_registering(session):
        return None
    assert session.call.asked is not None
    coming = next_report(session, report)
    if coming is None:
        return None
    try:
        return _prepared(session, session.call.asked, coming)
    except (Unsure, OSError):
        return None


def only_registering(session: Session) -> bool:
    """Has every plugin, and every stepconf.py, only hooks that register something?"""
    return all(name in BUILT_IN or hooks <= _REGISTERING for name, hooks in session.plugins.hooks())


def _prepared(session: Session, asked: Asked, report: RunReport) -> Prepared:
    collected = collected_modules(session)
    if asked.loaded.intersection(collected) or "__main__" in collected:
        raise Unsure("modules of the project were imported before: they may have been changed since")
    notices = [name for name in collected if session.project.import_notices.get(name)]
    restless = session.sight.reader.restless(collected) or "".join(notices)
    if restless:
        raise Unsure(f"importing is restless: {restless}")
    grounds = Grounds(session, session.began)
    grounds.program()
    grounds.configuration()
    grounds.discovery()
    grounds.modules()
    for observation in session.sight.reads_of_imports():
        grounds.observed(observation)
    grounds.rows(report.nodes)
    for node in session.graph.nodes.values():
        grounds.settings(setting.value for setting in node.settings)
    for resource in session.graph.resources.values():
        grounds.settings(setting.value for setting in resource.settings)
    if any(row.uncertain for row in report.nodes):
        grounds.everything()
    since, until = _span(session.graph.nodes, report.nodes)
    found = (grounds.files(), grounds.folders(), grounds.links())
    return Prepared(report, asked, grounds, *found, tuple(sorted(collected)), since, until)


def _span(nodes: Mapping[str, Node], rows: Iterable[NodeReport]) -> tuple[float, float]:
    """Between what times no result has expired."""
    since, until = 0.0, sys.float_info.max
    for row in rows:
        expires = nodes[row.id].definition.expires
        if expires is not None and row.made is not None:
            since, until = max(since, row.made), min(until, row.made + expires)
    return since, until


def keep(session: Session, prepared: Prepared, rest: bytes) -> None:
    """Leave the stamp."""
    store, made = session.shelf.store, time.time()
    assert store is not None

    def head(project: bytes, removals: int, changes: int) -> bytes:
        return Head(
            changes, int(prepared.report.exit_code), prepared.files, prepared.folders, prepared.grounds.hidden,
            prepared.links, made, prepared.modules, project, removals, prepared.since, prepared.until,
        ).dump()  # fmt: skip

    store.stamps.keep(store.stamps.name(prepared.asked.text), head, rest, session.removals)


# --- what is told -------------------------------------------------------------------------------


class Page(io.StringIO):
    """Holds what a stream would be written."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()


def told(session: Session, report: RunReport, text: str, writer: Writer) -> bytes:
    """What a stamp tells: *text*, the report as *writer* has written it, and the JSON report if it was asked for."""
    options = session.options
    before, after = _around_seconds(text, report, writer, ruled=options.verbosity >= 0)
    channel = "stderr" if options.json == "-" else "stdout"
    json_before, json_after = b"", b""
    if options.json is not None:
        whole = json_text(report, __version__)
        start = whole.index('"seconds": ') + len('"seconds": ')
        json_before, json_after = whole[:start].encode(), whole[whole.index(",", start) :].encode()
    return Told(channel, _bytes(before), _bytes(after), options.json or "", json_before, json_after).dump()


def _around_seconds(text: str, report: RunReport, writer: Writer, *, ruled: bool) -> tuple[str, str]:
    """*text* before and after the seconds in its last line, drawn for as many digits as a short time has."""
    last = _last_line(report, report.seconds, writer, ruled=ruled)
    if not text.endswith(last):
        return text, ""  # there is none, under -qq
    short = _last_line(report, 0.0, writer, ruled=ruled)
    start, _, end = short.rpartition(" in 0.00s")
    return text[: -len(last)] + start + " in ", end


def _last_line(report: RunReport, seconds: float, writer: Writer, *, ruled: bool) -> str:
    drawn = Writer(io.StringIO(), width=writer.width, color=writer.color)
    timed = RunReport(report.exit_code, seconds, report.nodes, report.problems, report.warnings, report.notices,
                      report.deselected, report.stopped)  # fmt: skip
    closing.write_closing(drawn, timed, closing.counts(timed), ruled=ruled)
    return drawn.stream.getvalue()  # type: ignore[attr-defined,no-any-return]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
