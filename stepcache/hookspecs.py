"""Every hook of stepcache, in one file.

There are four shapes and no others: *register* (asked once, at the start), *ask* (the first answer counts),
*gather* (all answers, added up by the caller), *tell* (broadcast). Data goes in and data comes out; nothing is
changed in place. A plugin takes only the arguments that it names.

A plugin whose hooks only register costs nothing in a run with nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

from stepcache.model import Graph, Node, NodeReport, Problem, RunReport

if TYPE_CHECKING:
    from stepcache.config import Configuration, Options, PluginOption, PluginSetting

hookspec = pluggy.HookspecMarker("stepcache")
hookimpl = pluggy.HookimplMarker("stepcache")


@hookspec
def stepcache_options() -> Iterable[PluginOption | PluginSetting]:  # type: ignore[empty-body]
    """Register: options of the command (`PluginOption`) and keys of the configuration (`PluginSetting`).

    Their values stand in `Options.plugin_options` and `Configuration.plugin_options`. Not to be had in a
    stepconf.py, which is found after the command line has been read.
    """


@hookspec
def stepcache_codecs() -> Iterable[Any]:  # type: ignore[empty-body]
    """Register: codecs, which turn values of some types into bytes and back.

    Returns objects with the attributes of `stepcache.store.codecs.Codec`. A later plugin's codec comes before an
    earlier one's, and before the built-in ones, for the types that it names.
    """


@hookspec
def stepcache_executors() -> Iterable[Any]:  # type: ignore[empty-body]
    """Register: executors, which run the bodies of nodes; `--executor=NAME` asks for one.

    Returns objects with the attributes of `stepcache.execution.site.ExecutorKind`: a `name`, and `open(site)`, which
    gives an object with the methods of `stepcache.execution.work.Executor`. Of two with one name the later plugin's
    counts.
    """


@hookspec
def stepcache_steps() -> Iterable[Any]:  # type: ignore[empty-body]
    """Register: steps and resources that every pipeline may ask for by name.

    Returns objects made with `@step` or `@resource`. A definition in a pipeline file or stepconf.py hides them. Not to
    be had in a stepconf.py, where steps stand as they are.
    """


@hookspec
def stepcache_markers() -> Iterable[str]:  # type: ignore[empty-body]
    """Register: marks, each as "name: what it is for", shown by `--markers` and known under `--strict-markers`."""


@hookspec
def stepcache_report_header(options: Options, configuration: Configuration) -> str | list[str]:  # type: ignore[empty-body]
    """Gather: lines for the report's header. Not to be had in a stepconf.py, which is found after it is written."""


@hookspec
def stepcache_collected(graph: Graph, problems: tuple[Problem, ...], options: Options) -> None:
    """Tell: collection is done; these nodes are in the run, and these errors were found."""


@hookspec
def stepcache_node_waits(node: Node) -> None:
    """Tell: another run computes a node, and is waited for; the node is a hit then, or started."""


@hookspec
def stepcache_node_started(node: Node, expected: float | None) -> None:
    """Tell: the body of a node is about to run, and took *expected* seconds last time; not called for hits."""


@hookspec
def stepcache_node_progressed(node: Node, done: int, total: int) -> None:
    """Tell: of the *total* elements of a mapped node that runs, so many are *done*; called once for each batch."""


@hookspec
def stepcache_node_logged(node: str, line: str) -> None:
    """Tell: the body of the node of that id has logged *line*; called under `--log-cli-level` only."""


@hookspec
def stepcache_hook_printed(text: str) -> None:
    """Tell: while nodes run, a plugin's hook has printed *text*, or logged it; the terminal shows it as it comes."""


@hookspec
def stepcache_debugger_opened() -> None:
    """Tell: a debugger is about to be opened in the node that runs; the terminal is to be left alone."""


@hookspec
def stepcache_node_finished(report: NodeReport) -> None:
    """Tell: what happened to a node; called once for each node of the run, hits included."""


@hookspec
def stepcache_run_finished(report: RunReport, options: Options) -> None:
    """Tell: the run is over, and what came of it."""
