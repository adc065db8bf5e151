"""A run from beginning to end: the only place that knows all rooms.

    options → configuration → plugins → store → collection → graph → rows → report
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from attrs import define, evolve, field, frozen

from stepcache import __version__
from stepcache.api import Defined
from stepcache.collect.collection import Collection, Collector
from stepcache.collect.discover import Asked, discover, is_pipeline_file
from stepcache.collect.discover import Rules as FileRules
from stepcache.config import (
    Configuration,
    Options,
    PluginOption,
    find_root,
    first_pass,
    judge_plugin_settings,
    parse_command,
    read_configuration,
)
from stepcache.digest import digest
from stepcache.errors import UsageError
from stepcache.expression import keyword_names, parse_keywords, parse_marks
from stepcache.graph.scope import Scope
from stepcache.graph.select import Filters, Selector
from stepcache.graph.settings import Given, Overrides, refuse_unknown, settings_of
from stepcache.graph.wire import Binder
from stepcache.key.files import FileDigests
from stepcache.key.look import Look
from stepcache.key.reach import CodeReader
from stepcache.key.rules import Rules
from stepcache.model import Definition, ExitCode, Graph, Miss, Node, NodeReport, Problem, Reason, RunReport
from stepcache.plugins import Plugins
from stepcache.project import Project, project_of
from stepcache.execution.capture import Capture, add_warning_filter
from stepcache.execution.engine import Engine, Policy
from stepcache.execution.schedule import Limits, Schedule
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.store import Codecs, Refused, Scratch, Store, StoreSettings, load_seal, open_store
from stepcache.store.seal import NoSeal



@frozen
class Call:
    """What a run is asked for, from the command line or from Python.

    `arguments` is the command line. `params`, `values` and `enable_cache` come from Python only. `target` is the
    definition whose `.run()` was called.
    """

    arguments: tuple[str, ...] = ()
    params: Mapping[str, object] = field(factory=dict)
    values: Mapping[str, object] = field(factory=dict)
    enable_cache: bool | None = None
    plugins: tuple[object, ...] = ()
    target: Defined[..., Any] | None = None


@define
class Session:
    """The parts of one run, as they come to be."""

    call: Call
    environ: Mapping[str, str]
    cwd: Path
    options: Options
    configuration: Configuration
    plugins: Plugins
    project: Project
    shelf: Shelf
    sight: Sight
    folder: Path
    collection: Collection = field(factory=Collection)
    graph: Graph = field(factory=lambda: Graph({}, {}, ()))
    policy: Policy = Policy()
    engine: Engine | None = None
    warnings: list[str] = field(factory=list)
    scopes: dict[str, Scope] = field(factory=dict)
    _kept: ExitStack = field(factory=ExitStack)

    def close(self) -> None:
        """Write what is pending and let go of the store and the scratch area."""
        self._kept.close()


# --- before anything is imported ----------------------------------------------------------------


def configure(call: Call, environ: Mapping[str, str], cwd: Path) -> tuple[Options, Configuration, Plugins]:
    """The options, the configuration and the plugins, in the passes in which each needs the others."""
    first = first_pass(call.arguments, environ)
    where = [*first.args, *([call.target.definition.source.path] if call.target else [])]
    root = find_root(where, cwd, first.rootdir, first.config_file)
    configuration = read_configuration(root, first.overrides, __version__)
    first = first_pass(call.arguments, environ, configuration.addopts)
    plugins = Plugins(each.removeprefix("no:") for each in first.plugins if each.startswith("no:"))
    from stepcache import builtin

    for name, part in builtin.parts():
        plugins.add(part, name)
    for name in first.plugins:
        if not name.startswith("no:"):
            plugins.add_by_name(name, f"-p {name}")
    plugins.add_entry_points()
    for name in configuration.plugins:
        plugins.add_by_name(name, configuration.place("plugins"))
    for number, plugin in enumerate(call.plugins):
        plugins.add(plugin, getattr(plugin, "__name__", f"plugin{number}"))
    offered = [each for own in plugins.hook.stepcache_options() for each in own]
    added = [each for each in offered if isinstance(each, PluginOption)]
    options = parse_command(call.arguments, environ, added, configuration.addopts)
    settings = [each for each in offered if not isinstance(each, PluginOption)]
    return options, judge_plugin_settings(configuration, settings), plugins


def cache_folder(options: Options, configuration: Configuration, environ: Mapping[str, str], cwd: Path) -> Path:
    """Where the cache lies: `--cache-dir`, STEPCACHE_DIR, the configuration, or the user's cache directory."""
    if options.cache_dir:
        return Path(os.path.normpath(cwd / options.cache_dir))
    if environ.get("STEPCACHE_DIR"):
        return Path(os.path.normpath(cwd / environ["STEPCACHE_DIR"]))
    if configuration.cache_dir is not None:
        return configuration.cache_dir
    from platformdirs import user_cache_path

    return user_cache_path("stepcache", appauthor=False)


def open_session(call: Call, environ: Mapping[str, str], cwd: Path) -> Session:
    """All that a run needs before it collects."""
    options, configuration, plugins = configure(call, environ, cwd)
    folder = cache_folder(options, configuration, environ, cwd)
    warnings: list[str] = []
    codecs = Codecs()
    for own in reversed(plugins.hook.stepcache_codecs()):
        for codec in own:
            codecs.add(codec)
    seal = load_seal(environ)
    store = _store(options, configuration, folder, seal, codecs, warnings)
    kept = ExitStack()
    scratch = store.scratch if store is not None else Scratch(codecs)
    kept.callback(store.close if store is not None else scratch.close)
    keyed = _unkeyed if isinstance(seal, NoSeal) else seal.keyed
    project = project_of(configuration.root, configuration.norecursedirs)
    files = FileDigests(_Memo(store) if store is not None else None, hidden=(str(folder),))
    reader = CodeReader(project.modules, _Memo(store) if store is not None else None, project.loaded.source_of)
    look = Look(str(configuration.root), str(cwd), files, environ, keyed)
    rules = Rules(str(configuration.root), environ=environ, cache=(str(folder),), ignore=configuration.observe_ignore)
    project.prepare(look, rules)
    sight = Sight(
        root=str(configuration.root),
        cwd=str(cwd),
        modules=project.modules,
        loaded=project.loaded,
        reader=reader,
        observer=project.observer,
        files=files,
        keyed=keyed,
        ignored=configuration.observe_ignore,
        caches=(str(folder),),
        import_reads=project.import_reads,
    )
    shelf = Shelf(store, scratch, writes=options.cache != "readonly")
    return Session(
        call, environ, cwd, options, configuration, plugins, project, shelf, sight, folder, warnings=warnings, kept=kept
    )


def _unkeyed(text: str) -> str:
    return digest("no sealing key", text)


def _store(
    options: Options, configuration: Configuration, folder: Path, seal: Any, codecs: Codecs, warnings: list[str]
) -> Store | None:
    """The cache; None where it is off, or cannot be used, which a warning tells."""
    if options.cache == "off" and not (options.cache_clear or options.cache_show or options.cache_gc):
        return None
    if isinstance(seal, NoSeal):
        warnings.append(f"the cache is off: {seal.reason}")
        return None
    settings = StoreSettings(
        compression_level=configuration.compression_level,
        durability=configuration.durability,
        formats=configuration.formats,
        max_size=configuration.cache_max_size,
    )
    store = open_store(
        folder,
        project=str(configuration.root),
        seal=seal,
        codecs=codecs,
        settings=settings,
        mode="readonly" if options.cache == "readonly" else "on",
    )
    if isinstance(store, Refused):
        warnings.append(f"the cache is off: {store.reason}")
        return None
    return store


@frozen
class _Memo:
    """The store as a memory for small derived facts."""

    store: Store

    def get(self, kind: str, name: bytes) -> bytes | None:
        return self.store.memo(kind, name)

    def put(self, kind: str, name: bytes, data: bytes) -> None:
        self.store.remember(kind, name, data)


# --- collection and graph -----------------------------------------------------------------------


def asked_files(session: Session) -> list[Asked]:
    """The files that were asked for: by arguments, by `pipelinepaths`, or the working directory."""
    target = session.call.target
    if target is not None:
        return [Asked(target.definition.source.path, (target.definition.name,))]
    configuration, options = session.configuration, session.options
    ignored = tuple(os.path.normpath(session.cwd / each) for each in options.ignore)
    rules = _file_rules(configuration, ignored)
    if options.args:
        return discover(options.args, str(session.cwd), rules)
    if configuration.pipelinepaths:
        return discover(configuration.pipelinepaths, str(configuration.root), rules)
    return discover((".",), str(session.cwd), rules)


def _file_rules(configuration: Configuration, ignored: tuple[str, ...] = ()) -> FileRules:
    return FileRules(configuration.pipeline_files, configuration.norecursedirs, ignored)


def collect(session: Session) -> None:
    """Import what was asked for, and bind it."""
    asked = asked_files(session)
    for each in session.configuration.pythonpath:
        folder = os.path.normpath(session.configuration.root / each)
        if folder not in sys.path:
            sys.path.append(folder)
    rules = _file_rules(session.configuration)
    collector = Collector(session.project.loaded, lambda path: is_pipeline_file(os.path.basename(path), rules))
    offered = [each.definition for own in session.plugins.hook.stepcache_steps() for each in own]
    session.collection = collector.collect(asked, offered)
    for module in collector.stepconfs():
        session.plugins.add(module, str(module.__file__))
    _refuse_unknown_marks(session)
    session.scopes = _scopes(session.collection)
    session.graph = _graph(session)


def _scopes(collection: Collection) -> dict[str, Scope]:
    found = {}
    for path, chain in collection.chains.items():
        levels = [collection.levels[p] for p in (path, *chain) if p in collection.levels]
        if path in collection.levels:
            found[path] = Scope(tuple(levels), collection.levels, collection.plugins)
        for number, conf in enumerate(chain):
            if conf in collection.levels and conf not in found:
                inner = [collection.levels[p] for p in chain[number:] if p in collection.levels]
                found[conf] = Scope(tuple(inner), collection.levels, collection.plugins)
    return found


def _graph(session: Session) -> Graph:
    collection, scopes = session.collection, session.scopes
    overrides = _overrides(session)
    binder = Binder(scopes, overrides, str(session.configuration.root))
    selector = Selector(binder, scopes)
    whole: list[tuple[Scope, bool]] = []
    for path, asked in collection.asked.items():
        scope = scopes.get(path)
        if scope is None:
            continue
        whole.append((scope, asked.selectors is None))
        if asked.selectors is None:
            selector.whole_file(scope)
        for selector_text in asked.selectors or ():
            problem = selector.one(scope, selector_text)
            if problem is not None:
                collection.problems.append(problem)
    if not session.options.no_checks:
        selector.checks(whole)
    collection.problems.extend(selector.picked.problems.values())
    session.warnings.extend(binder.warnings)
    _refuse_unknown_settings(session, overrides)
    graph = selector.graph(_filters(session))
    pipelines = {i: d for i, d in selector.picked.pipelines.items() if i in graph.nodes}
    session.policy = _policy(session, graph, pipelines)
    return graph


def _overrides(session: Session) -> Overrides:
    configuration, options = session.configuration, session.options
    levels = []
    if session.call.params:
        levels.append(Given("params=", session.call.params, "python", str(session.cwd)))
    if options.params:
        levels.append(Given("-P", dict(options.params), "text", str(session.cwd)))
    if options.profile is not None:
        if options.profile not in configuration.profiles:
            known = ", ".join(configuration.profiles) or "none"
            raise UsageError(f"--profile {options.profile}: there is no such profile: the configuration has {known}")
        name = f"[tool.stepcache.profile.{options.profile}.params]"
        levels.append(
            Given(f"--profile {options.profile}", configuration.profiles[options.profile], "toml", str(configuration.root))
        )
        levels[-1] = evolve(levels[-1], name=name.replace("[tool.", "[profile of tool."))
    if configuration.params:
        levels.append(Given("[tool.stepcache.params]", configuration.params, "toml", str(configuration.root)))
    return Overrides(tuple(levels))


def _refuse_unknown_settings(session: Session, overrides: Overrides) -> None:
    known: dict[str, set[str]] = {}
    levels = [*session.collection.levels.values(), session.collection.plugins]
    definitions = [d for level in levels for d in (*level.own.values(), *level.checks)]
    for definition in definitions:
        known.setdefault(definition.name, set()).update(settings_of(definition))
        known[definition.name].update(p.name for p in definition.parameters)
    if session.collection.problems:
        return
    everything = not session.options.args and session.call.target is None
    told = [each for each in overrides.levels if everything or each.form != "toml"]
    pipelines = [
        Given(f"{d.source}: @pipeline(params=…) of '{d.name}'", d.params)
        for d in definitions
        if d.kind == "pipeline" and d.params
    ]
    refuse_unknown([*told, *pipelines], known)
    names = {d.name for d in definitions if d.kind == "step"}
    for name in session.call.values:
        if name not in names:
            raise UsageError(f"values=: there is no step '{name}'")


def _refuse_unknown_marks(session: Session) -> None:
    if not session.options.strict_markers:
        return
    known = markers(session)
    names = {each.partition("(")[0] for each in known}
    for level in session.collection.levels.values():
        for definition in (*level.own.values(), *level.checks):
            for mark in definition.marks:
                if mark.name not in names:
                    session.collection.problems.append(
                        Problem(
                            level.file,
                            f"{definition.source}: '{mark.name}' is no known mark\n"
                            "  add it to `markers` in the configuration, or correct the name",
                        )
                    )


def markers(session: Session) -> dict[str, str]:
    """The known marks, by signature, with what each is for."""
    lines = [
        "skip(reason): never run it: it, and what needs it, is skipped",
        "skipif(condition, reason=...): skip it where the condition is true",
        *session.configuration.markers,
        *(line for own in session.plugins.hook.stepcache_markers() for line in own),
    ]
    split = [line.partition(":") for line in lines]
    return {name.strip(): text.strip() for name, _, text in split}


def _filters(session: Session) -> Filters:
    options = session.options
    matchers: list[tuple[Callable[[Node], bool], bool]] = []
    if options.keyword:
        keywords = parse_keywords(options.keyword)
        matchers.append((lambda node: keywords.matches_names(keyword_names(node)), keywords.excludes))
    if options.markexpr:
        marks = parse_marks(options.markexpr)
        matchers.append((lambda node: marks.matches_marks(node.marks), marks.excludes))
    failed = frozenset(_last_run(session).get("failed", ())) if options.lf or options.ff else frozenset()
    return Filters(
        matchers=tuple(matchers),
        deselect=options.deselect,
        last_failed=failed if options.lf else None,
        first=failed if options.ff else frozenset(),
        checks=not options.no_checks,
    )


def _policy(session: Session, graph: Graph, pipelines: Mapping[str, Definition]) -> Policy:
    """For which nodes the cache is off: by the run, else by the pipeline, else by the step."""
    nodes = graph.nodes
    options, enable = session.options, session.call.enable_cache
    off: set[str] = set()
    if enable is False or (enable is None and options.cache == "off"):
        off = set(nodes)
    elif enable is None and options.cache != "on":
        off = {i for i, n in nodes.items() if not n.definition.enable_cache and n.kind == "step"}
        before = {i: n.upstream for i, n in nodes.items()}
        from stepcache.graph.order import closure

        for node_id, definition in pipelines.items():
            if not definition.enable_cache:
                own = closure([node_id], before)
                off.update(own)
                off.update(i for i, n in nodes.items() if n.kind == "check" and any(u in own for u in n.upstream))
    refresh: set[str] = set()
    if options.cache_refresh is True:
        refresh = set(nodes)
    elif options.cache_refresh:
        expression = parse_keywords(options.cache_refresh, "--cache-refresh")
        refresh = {i for i, n in nodes.items() if expression.matches_names(keyword_names(n))}
    return Policy(frozenset(off), frozenset(refresh), session.call.values)


# --- running ------------------------------------------------------------------------------------


def _last_run(session: Session) -> dict[str, Any]:
    if session.shelf.store is None:
        return {}
    data = session.shelf.store.last_run()
    return json.loads(data) if data else {}


def execute(session: Session) -> RunReport:
    """Run the graph; the report of what happened."""
    began = time.perf_counter()
    collection, options = session.collection, session.options
    hook = session.plugins.hook
    hook.stepcache_collected(graph=session.graph, problems=tuple(collection.problems), options=options)
    if collection.problems and not options.continue_on_collection_errors:
        return _report(session, {}, ExitCode.INTERRUPTED, began)
    if not session.graph.nodes:
        code = ExitCode.INTERRUPTED if collection.problems else ExitCode.NOTHING
        return _report(session, {}, code, began)
    filters = (*session.configuration.filterwarnings, *options.warnings)
    _refuse_wrong_filters(filters)
    capture = Capture(options.capture, options.log_level, filters)
    session.engine = Engine(session.graph, session.policy, session.shelf, session.sight, capture, _describer(session))
    schedule = Schedule(
        session.engine,
        Limits(options.maxfail, options.plan, options.fail_on_miss),
        started=lambda node: hook.stepcache_node_started(node=node, expected=_expected(session, node)),
        finished=lambda row: hook.stepcache_node_finished(report=row),
    )
    interrupted = False
    try:
        with capture.open():
            try:
                schedule.go()
            finally:
                session.warnings.extend(session.engine.close())
                _record(session, schedule.rows)
    except KeyboardInterrupt:
        interrupted = True
    session.warnings.extend(session.engine.warnings)
    code = ExitCode.INTERRUPTED if interrupted else _exit_code(session, schedule.rows)
    return _report(session, schedule.rows, code, began, schedule.stopped)


def _expected(session: Session, node: Node) -> float | None:
    latest = session.shelf.latest(node.id)
    return latest.seconds if latest is not None else None


def _refuse_wrong_filters(filters: Sequence[str]) -> None:
    import warnings

    with warnings.catch_warnings():
        for each in filters:
            try:
                add_warning_filter(each)
            except ValueError as error:
                raise UsageError(str(error)) from error


def _describer(session: Session) -> Callable[[BaseException], Any]:
    def describe(error: BaseException) -> Any:
        from stepcache.report.traceback import failure_text

        return failure_text(
            error, session.options.tb, showlocals=session.options.showlocals, start=str(session.configuration.root)
        )

    return describe


def _exit_code(session: Session, rows: Mapping[str, NodeReport]) -> ExitCode:
    outcomes = {row.outcome for row in rows.values()}
    if session.collection.problems or outcomes & {"failed", "blocked"}:
        return ExitCode.FAILED
    if session.engine is not None and any("tear-down" in each for each in session.warnings):
        return ExitCode.FAILED
    if session.options.fail_on_miss and outcomes & {"would-run", "unknown"}:
        return ExitCode.FAILED
    return ExitCode.OK


def _record(session: Session, rows: Mapping[str, NodeReport]) -> None:
    """Remember which nodes failed, for --lf."""
    store = session.shelf.store
    if store is None or session.options.plan or session.options.fail_on_miss or not session.shelf.writes:
        return
    before = set(_last_run(session).get("failed", ()))
    failed = [i for i, row in rows.items() if row.outcome in ("failed", "blocked")]
    kept = [i for i in before if i not in rows] if session.options.lf else []
    if set(failed) | set(kept) != before:
        store.record_last_run(json.dumps({"failed": sorted({*failed, *kept})}).encode())


def _report(
    session: Session, rows: Mapping[str, NodeReport], code: ExitCode, began: float, stopped: str = ""
) -> RunReport:
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


def remake(session: Session, node_id: str) -> None:
    """Run a node again whose value is gone."""
    assert session.engine is not None
    engine = session.engine
    node = engine.graph.nodes[node_id]
    engine.products.pop(node_id, None)
    engine.decide(node)
    with engine.capture.open():
        engine.run(node, Miss(engine.decided[node_id][1], (Reason("evicted"),)))


