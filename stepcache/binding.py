"""From the asked files to the graph of a run: what was asked for, bound, narrowed down, with unknown names refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from stepcache.api import Resource, Step
from stepcache.collect import discover
from stepcache.collect.collection import Collection
from stepcache.collect.discover import Asked
from stepcache.collect.discover import Rules as FileRules
from stepcache.config import Configuration, Options, did_you_mean
from stepcache.config.flags import FLAGS
from stepcache.errors import UsageError
from stepcache.execution.returned import by_output
from stepcache.graph.family import Family
from stepcache.graph.keyable import unkeyable, without_codec
from stepcache.graph.scope import Scope
from stepcache.graph.select import Filters, Selector
from stepcache.graph.settings import Given, Overrides, settings_of, unknown_settings
from stepcache.graph.wire import BUILTINS, Binder
from stepcache.levels import policy_of
from stepcache.model import Definition, Graph, Node, Problem
from stepcache.outcome import last_run
from stepcache.state import Offer, Session


def asked_files(session: Session) -> tuple[list[Asked], dict[str, OSError]]:
    """The files that were asked for: by arguments, by `pipelinepaths`, or the working directory; see `discover`."""
    target = session.call.target
    if target is not None:
        return [Asked(notebook(session) or target.definition.source.path, (target.definition.name,))], {}
    configuration, options = session.configuration, session.options
    rules = file_rules(configuration, _ignored(session))
    if options.args:
        try:
            return discover.discover(options.args, str(session.cwd), rules)
        except UsageError as error:
            raise UsageError("\n".join([str(error), *_values_apart(options)])) from error
    if configuration.pipelinepaths:
        try:
            return discover.discover(configuration.pipelinepaths, str(configuration.root), rules)
        except UsageError as error:
            raise UsageError(f"{configuration.place('pipelinepaths')}: pipelinepaths: {error}") from error
    return discover.discover((".",), str(session.cwd), rules)


def _values_apart(options: Options) -> list[str]:
    """What to do if an argument was meant as the value of one of the options whose value follows a `=`."""
    bare = [f for f in FLAGS.values() if f.takes == "optional" and getattr(options, f.dest, None) is True]
    return [f"  a value of {flag.main} follows it after `=`: {flag.main}={flag.metavar}" for flag in bare]


def _ignored(session: Session) -> tuple[str, ...]:
    """What is passed over by its path: what `--ignore` names, and the cache folder."""
    return (*(os.path.normpath(session.cwd / each) for each in session.options.ignore), str(session.folder))


def searched(session: Session, places: tuple[str, ...] = ()) -> Iterator[tuple[str, bool]]:
    """The folders in which `asked_files` looks for pipeline files, or would in *places*; see `discover.searched`."""
    configuration, options = session.configuration, session.options
    rules = file_rules(configuration, _ignored(session))
    base = configuration.root if configuration.pipelinepaths and not options.args else session.cwd
    for each in places or options.args or configuration.pipelinepaths or (".",):
        folder = os.path.normpath(base / each)
        if os.path.isdir(folder):
            yield from discover.searched(folder, rules)


def collected_modules(session: Session) -> set[str]:
    """All project modules that were imported for this run, or would have been if they had not been there already."""
    levels = [level.module for level in session.collection.levels.values()]
    return session.sight.reader.closure((*levels, *session.project.loaded.loaded))


def notebook(session: Session) -> str | None:
    """The path that stands for `__main__` where the step to run is of one without a file: a notebook or a prompt."""
    target = session.call.target
    if target is None or target.definition.module != "__main__" or hasattr(sys.modules["__main__"], "__file__"):
        return None
    return os.path.join(session.cwd, "__main__")


def file_rules(configuration: Configuration, ignored: tuple[str, ...] = ()) -> FileRules:
    """Which files are pipeline files, and which are passed over."""
    return FileRules(configuration.pipeline_files, configuration.norecursedirs, ignored)


def offered(session: Session) -> list[Definition]:
    """The steps and resources that plugins offer."""
    wanted = "object made with @step or @resource"
    groups = session.plugins.offered("stepcache_steps", wanted, lambda each: isinstance(each, Step | Resource))
    return [each.definition for own in groups for each in own]


def scopes_of(collection: Collection) -> dict[str, Scope]:
    """For each collected file, what is visible in it, the nearest first."""
    found = {}
    for path, chain in collection.chains.items():
        if any(each not in collection.levels for each in chain):
            continue  # a stepconf.py that cannot be imported: what is missing for it would only be said again
        levels = [collection.levels[p] for p in (path, *chain) if p in collection.levels]
        if path in collection.levels:
            found[path] = Scope(tuple(levels), collection.levels, collection.plugins)
        for number, conf in enumerate(chain):
            if conf in collection.levels and conf not in found:
                inner = [collection.levels[p] for p in chain[number:] if p in collection.levels]
                found[conf] = Scope(tuple(inner), collection.levels, collection.plugins)
    return found


def graph_of(session: Session) -> Graph:
    """The nodes that were asked for, with all that they need; problems and warnings are added to the session."""
    collection, scopes = session.collection, session.scopes
    overrides = _overrides(session)
    binder = Binder(scopes, overrides, str(session.configuration.root))
    selector = Selector(binder, scopes)
    whole: list[tuple[Scope, bool]] = []
    unknown: list[Problem] = []
    for path, asked in collection.asked.items():
        scope = scopes.get(path)
        if scope is None:
            continue
        whole.append((scope, asked.selectors is None))
        if asked.selectors is None:
            selector.whole_file(scope)
        for selector_text in asked.selectors or ():
            unknown.extend(selector.one(scope, selector_text))
    if session.call.everything:
        session.offer = _offer(binder, selector, [scope for scope, _ in whole])
        selector.picked.problems.clear()  # each is told where its name is asked for
    if not session.options.no_checks:
        selector.checks(whole)
    collection.problems.extend(selector.picked.problems.values())
    session.warnings.extend(binder.warnings)
    if unknown and not collection.problems:
        raise UsageError("\n".join(each.message for each in unknown))
    collection.problems.extend(unknown)
    _refuse_wrong_settings(session, overrides, binder.unfit)
    graph = selector.graph(Filters() if session.call.everything else _filters(session))
    collection.problems.extend(unkeyable(graph.nodes.values(), graph.resources.values()))
    collection.problems.extend(without_codec(graph.nodes.values(), session.shelf.scratch.codecs.names))
    pipelines = {i: d for i, d in selector.picked.pipelines.items() if i in graph.nodes}
    session.policy = policy_of(session, graph, pipelines)
    _refuse_wrong_values(session.call.values, graph.nodes.values())
    return graph


def _offer(binder: Binder, selector: Selector, scopes: Iterable[Scope]) -> Offer:
    """Bind every step and resource that can be asked for in these scopes; those in order become targets."""
    found: dict[str, dict[str, Family]] = {}
    for scope in scopes:
        for name, definition in scope.names().items():
            if definition.kind != "pipeline":
                family = binder.bind(definition, scope)
                found.setdefault(name, {})[str(family.base)] = family
                selector.picked.take(family)
    return Offer(found)


def _overrides(session: Session) -> Overrides:
    configuration, options, call = session.configuration, session.options, session.call
    levels = []
    if call.params:
        levels.append(Given("params=", call.params, "python", str(session.cwd)))
    if call.supplied and call.target is not None:
        told = {f"{call.target.definition.name}.{name}": value for name, value in call.supplied.items()}
        levels.append(Given("call()", told, "python", str(session.cwd), True))
    if options.params:
        levels.append(Given("-P", dict(options.params), "text", str(session.cwd)))
    if options.profile is not None:
        if options.profile not in configuration.profiles:
            near = did_you_mean(options.profile, configuration.profiles)
            known = ", ".join(configuration.profiles) or "none"
            raise UsageError(
                f"--profile {options.profile}: there is no such profile{near or f': the configuration has {known}'}"
            )
        name = f"[tool.stepcache.profile.{options.profile}.params]"
        place = partial(configuration.place, "profile", options.profile, "params")
        values = configuration.profiles[options.profile]
        levels.append(Given(name, values, "toml", str(configuration.root), where=place))
    if configuration.params:
        place = partial(configuration.place, "params")
        name = "[tool.stepcache.params]"
        levels.append(Given(name, configuration.params, "toml", str(configuration.root), True, where=place))
    return Overrides(tuple(levels))


def _refuse_wrong_settings(session: Session, overrides: Overrides, unfit: Iterable[str]) -> None:
    """Raise `UsageError` with what was said of *unfit* values, and for settings and values that no step has; those of
    pipelines are problems of their files."""
    collection = session.collection
    levels = [*collection.levels.values(), collection.plugins]
    definitions = [d for level in levels for d in (*level.own.values(), *level.checks)]
    wrong = [*unfit]
    if collection.problems:
        if wrong:
            raise UsageError("\n".join(wrong))
        return
    known = _known_settings(definitions)
    for d in definitions:
        if d.kind == "pipeline" and d.params:
            given = Given(f"{d.source}: @pipeline(params=…) of '{d.name}'", d.params)
            told = dict.fromkeys(unknown_settings(given, known))
            collection.problems.extend(Problem(f"{d.source.file}::{d.name}", each) for each in told)
    wrong += [
        message
        for level in overrides.levels
        if not level.standing or _whole_project(session)
        for message in unknown_settings(level, known)
    ]
    steps = {n for d in definitions if d.kind == "step" for n in (d.name, *d.outputs)}
    unknown = [name for name in session.call.values if name not in steps]
    wrong += [f"values=: there is no step '{name}'{did_you_mean(name, steps)}" for name in unknown]
    if wrong:
        raise UsageError("\n".join(wrong))


def _refuse_wrong_values(values: Mapping[str, object], nodes: Iterable[Node]) -> None:
    """Raise `UsageError` for what is given in the place of several outputs and is not."""
    several = {node.name: node.outputs for node in nodes if node.name in values and node.outputs} if values else {}
    for name, outputs in several.items():
        try:
            by_output(values[name], outputs)
        except ValueError as error:
            got, wanted = error.args
            told = f"the outputs of '{name}' are {', '.join(outputs)}, and what is given is {got}: give {wanted}"
            raise UsageError(f"values=: {told}") from None


def _known_settings(definitions: Iterable[Definition]) -> dict[str, set[str]]:
    """The settings of each definition by its name, with those parameters that no step's or resource's name is."""
    kept = list(definitions)
    provided = {n for d in kept if d.kind in ("step", "resource") for n in (d.name, *d.outputs)} | set(BUILTINS)
    known: dict[str, set[str]] = {}
    for d in kept:
        required = {p.name for p in d.parameters if d.takes.get(p.name, p.name) not in provided}
        known.setdefault(d.name, set()).update(settings_of(d), required)
    return known


def _whole_project(session: Session) -> bool:
    """Is all collected that a run without arguments from the root collects, so that a name may be called unknown?"""
    if session.options.args or session.options.ignore or session.call.target is not None:
        return False
    return bool(session.configuration.pipelinepaths) or session.cwd == session.configuration.root


def refuse_unknown_marks(session: Session) -> None:
    """Add a problem for each mark that nobody registered, where that is asked for."""
    if not session.options.strict_markers:
        return
    names = {each.partition("(")[0] for each in markers(session)}
    found: dict[str, Problem] = {}
    for level in session.collection.levels.values():
        for definition in (*level.own.values(), *level.checks):
            chosen = [m for each in definition.parametrize for choice in each.choices for m in choice.marks]
            for mark in (*definition.marks, *chosen):
                if mark.name not in names:
                    message = (
                        f"{definition.source}: '{mark.name}' is no known mark{did_you_mean(mark.name, names)}\n"
                        "  add it to `markers` in the configuration, or correct the name"
                    )
                    found[message] = Problem(level.file, message)
    session.collection.problems.extend(found.values())


def markers(session: Session) -> dict[str, str]:
    """The known marks, by signature, with what each is for."""
    offered_marks = session.plugins.offered("stepcache_markers", "text", lambda each: isinstance(each, str))
    lines = [
        "skip(reason): never run it: it, and what needs it, is skipped",
        "skipif(condition, reason=...): skip it where the condition is true",
        *session.configuration.markers,
        *(line for own in offered_marks for line in own),
    ]
    split = [line.partition(":") for line in lines]
    return {name.strip(): text.strip() for name, _, text in split}


def _filters(session: Session) -> Filters:
    options = session.options
    matchers: list[tuple[Callable[[Node], bool], bool]] = []
    if options.keyword:
        from stepcache.expression import keyword_names, parse_keywords

        keywords = parse_keywords(options.keyword)
        matchers.append((lambda node: keywords.matches_names(keyword_names(node)), keywords.excludes))
    if options.markexpr:
        from stepcache.expression import parse_marks

        marks = parse_marks(options.markexpr)
        matchers.append((lambda node: marks.matches_marks(node.marks), marks.excludes))
    if options.checks_only:
        if options.no_checks:
            raise UsageError("--checks-only and --no-checks leave nothing to run: give one of them")
        matchers.append((lambda node: node.kind == "check", False))
    failed = frozenset(last_run(session).get("failed", ())) if options.lf or options.ff else frozenset()
    return Filters(
        matchers=tuple(matchers),
        deselect=options.deselect,
        last_failed=failed if options.lf else None,
        first=failed if options.ff else frozenset(),
        checks=not options.no_checks,
        given=frozenset(session.call.values),
    )
