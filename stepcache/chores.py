"""What the command does beside running: it shows, checks and clears the cache, and lists steps, nodes and marks."""

from __future__ import annotations

import time

from attrs import astuple

from stepcache.binding import asked_files, markers
from stepcache.execution.mapper import elements_id
from stepcache.model import ExitCode, RunReport
from stepcache.report.lists import (
    EntryLine,
    cache_show_lines,
    cleared_line,
    collect_lines,
    dropped_line,
    lost_line,
    markers_lines,
    steps_lines,
    total_line,
    verified_lines,
)
from stepcache.report.terminal import Terminal
from stepcache.session import Session


def tend_cache(session: Session, terminal: Terminal) -> int:
    """`--cache-show`, `--cache-verify`, `--cache-gc`. Arguments say which project is meant."""
    options = session.options
    if options.args:
        asked_files(session)  # for what is wrong with them
    if options.cache_show is not None:
        return _show(session, terminal)
    return _verify(session, terminal) if options.cache_verify else _collect_garbage(session, terminal)


def _show(session: Session, terminal: Terminal) -> int:
    pattern = session.options.cache_show
    store, now = session.shelf.store, time.time()
    rows = (
        [r for r in store.entries() if pattern is True or _matches(r.node, str(pattern))] if store is not None else []
    )
    if store is None or not rows:
        terminal.lines(["no entries"])
        return _told_warnings(session, terminal)
    entries = [
        EntryLine(
            node=r.node,
            size=r.size,
            stored=r.stored if r.held else None,
            age=max(0.0, now - r.made),
            idle=max(0.0, now - r.used),
            seconds=r.seconds,
        )
        for r in rows
    ]
    held, own = store.totals({r.node for r in rows})
    terminal.lines(cache_show_lines(entries, session.options.cache_sort))
    terminal.lines(["", total_line(*astuple(held)), lost_line(*astuple(own))])
    return _told_warnings(session, terminal)


def _matches(node: str, pattern: str) -> bool:
    """Does the id, or what stands behind its `::`, fit? Brackets stand for themselves, as they do in ids."""
    from fnmatch import fnmatchcase

    pattern = pattern.replace("[", "[[]")
    return fnmatchcase(node, pattern) or fnmatchcase(node.rpartition("::")[2], pattern)


def _verify(session: Session, terminal: Terminal) -> int:
    store = session.shelf.store
    if store is None:
        _told_warnings(session, terminal)
        return ExitCode.FAILED
    found = store.verify()
    terminal.lines(verified_lines(found.checked, found.damaged))
    _told_warnings(session, terminal)
    # A cache that could not be read, or lost a part of its database, is not sound.
    return ExitCode.FAILED if found.damaged or store.problems else ExitCode.OK


def _collect_garbage(session: Session, terminal: Terminal) -> int:
    store = session.shelf.store
    if store is not None:
        wanted = session.options.cache_gc
        dropped = store.gc(session.configuration.cache_max_size if wanted is True else wanted)
        if dropped is not None:
            terminal.lines([dropped_line(dropped.count, dropped.stored, dropped.left)])
    return _told_warnings(session, terminal)


def _told_warnings(session: Session, terminal: Terminal) -> int:
    """Tell what went wrong, of the cache too."""
    problems = session.shelf.store.problems if session.shelf.store is not None else []
    terminal.lines(f"warning: {each}" for each in [*session.warnings, *problems])
    return ExitCode.OK


def list_marks(session: Session, terminal: Terminal) -> int:
    """`--markers`."""
    terminal.listing(markers_lines(markers(session)))
    return ExitCode.OK


def list_steps(session: Session, terminal: Terminal) -> int:
    """`--steps`."""
    definitions = {
        (d.source.path, d.source.line, d.name): d
        for level in (*session.collection.levels.values(), session.collection.plugins)
        for d in level.own.values()
    }
    ordered = sorted(definitions.values(), key=lambda d: (d.source.file, d.source.line))
    terminal.listing(steps_lines(ordered, verbosity=session.options.verbosity, width=terminal.writer.width))
    terminal.problems(session.collection.problems)
    return ExitCode.INTERRUPTED if session.collection.problems else ExitCode.OK


def clear(session: Session, terminal: Terminal) -> None:
    """Remove the entries of the selected nodes, or all of this project's where none were selected."""
    store = session.shelf.store
    options = session.options
    if store is None or (session.collection.problems and not options.continue_on_collection_errors):
        return
    selected = options.args or options.keyword or options.markexpr or options.lf or options.deselect
    chosen = set(session.graph.nodes) - session.graph.excluded
    mapped = {elements_id(session.graph.nodes[i]) for i in chosen if session.graph.nodes[i].mapped}
    ids = chosen | mapped if selected else None
    cleared = store.clear(ids)
    if cleared is not None:
        terminal.lines([cleared_line(cleared.count, cleared.size, cleared.stored, cleared.seconds)])
    elif options.collect_only:  # a run tells it at its end
        _told_warnings(session, terminal)


def list_nodes(session: Session, terminal: Terminal) -> int:
    """`--collect-only`."""
    graph, problems = session.graph, session.collection.problems
    nodes = [n for n in graph.nodes.values() if n.id not in graph.excluded]
    total = len(nodes) + graph.deselected
    terminal.collected(total, graph.deselected, problems)
    terminal.listing(collect_lines(nodes, session.options.verbosity))
    if session.options.graph is not None:
        from stepcache.report.graphfile import write_graph

        write_graph(graph, {}, session.options.graph)
    code = ExitCode.INTERRUPTED if problems else ExitCode.OK if nodes else ExitCode.NOTHING
    terminal.summary(RunReport(code, 0.0, problems=tuple(problems), deselected=graph.deselected))
    return code
