"""stepcache's own parts that come in through its hooks, as plugins of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from stepcache import __version__
from stepcache.config import Options
from stepcache.execution.site import ExecutorKind, InlineKind, ProcessKind
from stepcache.hookspecs import hookimpl
from stepcache.model import Graph, Node, NodeReport, Problem, RunReport
from stepcache.report.terminal import Terminal
from stepcache.store import Codec, builtin_codecs

BUILT_IN = ("codecs", "executors", "json", "junitxml", "graph", "terminal")
"""The names under which the parts below are registered."""
ESSENTIAL = ("codecs", "executors")
"""Those that no run can do without."""


class OwnCodecs:
    """The built-in codecs."""

    @hookimpl
    def stepcache_codecs(self) -> Iterable[Codec]:
        return builtin_codecs()


class OwnExecutors:
    """The built-in executors."""

    @hookimpl
    def stepcache_executors(self) -> Iterable[ExecutorKind]:
        return InlineKind(), ProcessKind()


class JsonReport:
    """`--json=PATH`."""

    @hookimpl
    def stepcache_run_finished(self, report: RunReport, options: Options) -> None:
        if options.json is not None:
            from stepcache.report.jsonreport import write_json

            write_json(report, __version__, options.json)


class JunitXml:
    """`--junitxml=PATH`."""

    @hookimpl
    def stepcache_run_finished(self, report: RunReport, options: Options) -> None:
        if options.junitxml is not None:
            from stepcache.report.junitxml import write_junitxml

            write_junitxml(report, options.junitxml)


class GraphFile:
    """`--graph=PATH`."""

    def __init__(self) -> None:
        self._graph = Graph({}, {}, ())

    @hookimpl
    def stepcache_collected(self, graph: Graph) -> None:
        self._graph = graph

    @hookimpl
    def stepcache_run_finished(self, report: RunReport, options: Options) -> None:
        if options.graph is not None:
            from stepcache.report.graphfile import write_graph

            write_graph(self._graph, {row.id: row.outcome for row in report.nodes}, options.graph)


class TerminalReport:
    """What the command prints while it runs."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self._done = 0
        self._total = 0

    @hookimpl
    def stepcache_collected(self, graph: Graph, problems: tuple[Problem, ...]) -> None:
        self._total = len(graph.nodes)
        self.terminal.collected(self._total + graph.deselected - len(graph.excluded), graph.deselected, problems)

    @hookimpl
    def stepcache_node_waits(self, node: Node) -> None:
        self.terminal.started(node.id, elsewhere=True)

    @hookimpl
    def stepcache_node_started(self, node: Node, expected: float | None) -> None:
        self.terminal.started(node.id, expected)

    @hookimpl
    def stepcache_node_progressed(self, node: Node, done: int, total: int) -> None:
        self.terminal.progressed(node.id, done, total)

    @hookimpl
    def stepcache_node_logged(self, node: str, line: str) -> None:
        self.terminal.logged(node, line)

    @hookimpl
    def stepcache_hook_printed(self, text: str) -> None:
        self.terminal.printed(text)

    @hookimpl
    def stepcache_debugger_opened(self) -> None:
        self.terminal.hush()

    @hookimpl
    def stepcache_node_finished(self, report: NodeReport) -> None:
        self._done += 1
        options = self.terminal.options
        if not (options.plan or options.fail_on_miss):
            self.terminal.finished(report, self._done, self._total)

    @hookimpl
    def stepcache_run_finished(self, report: RunReport) -> None:
        self.terminal.summary(report)


def parts() -> Iterator[tuple[str, object]]:
    """The built-in plugins of every run, by name; `-p no:NAME` leaves out one that is not essential."""
    yield "codecs", OwnCodecs()
    yield "executors", OwnExecutors()
    yield "json", JsonReport()
    yield "junitxml", JunitXml()
    yield "graph", GraphFile()


def terminal_report(options: Options, stream: TextIO) -> TerminalReport:
    """The report for a terminal or a file."""
    return TerminalReport(Terminal(options, stream))
