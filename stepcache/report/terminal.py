"""The report on the terminal: header, progress, summary. It looks as pytest's does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from stepcache.config import Options
from stepcache.model import NodeReport, Problem, RunReport
from stepcache.records import frozen
from stepcache.report import closing, figures, summary
from stepcache.report.progress import Progress
from stepcache.report.statusline import StatusLine
from stepcache.report.writer import Writer, is_terminal, terminal_width, wants_color


@frozen
class HeaderFacts:
    """What the header tells. `plugins` are as "arrow-0.1.0", `executable` is shown under -v, `more` are lines that
    plugins add."""

    version: str
    python: str
    pluggy: str
    root: str
    config_file: str | None = None
    pipelinepaths: tuple[str, ...] = ()
    cache: str = ""
    plugins: tuple[str, ...] = ()
    executable: str = ""
    more: tuple[str, ...] = ()


class Terminal:
    """Writes a run to *stream* as it happens.

    The calls come in this order: `header`, `collecting`, `collected`, then `started` and `finished` for each node,
    and `summary`. Lists (--plan, --collect-only, --cache-show) go through `listing` instead of the nodes' calls.
    """

    def __init__(
        self,
        options: Options,
        stream: TextIO,
        *,
        environ: Mapping[str, str] | None = None,
        width: int | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        self.options = options
        self.on_terminal = is_terminal(stream)
        self.writer = Writer(
            stream,
            width=width if width is not None else terminal_width(environ),
            color=wants_color(options.color, stream, environ),
        )
        # Steps that write to the terminal themselves would be mixed up with a line that moves.
        self.status = StatusLine(self.writer, on_terminal=self.on_terminal and options.capture != "no")
        self._progress = Progress(self.writer, options)
        self._whole = options.verbosity >= 2 or bool(environ.get("CI") or environ.get("BUILD_NUMBER"))
        self._collected = 0
        self._problems_told = False
        self._logging: str | None = None

    def header(self, facts: HeaderFacts) -> None:
        """The title, and what the run is made in."""
        if self.options.verbosity < 0:
            return
        self.writer.separator("=", "stepcache run starts", "bold")
        if self.options.no_header:
            return
        behind = f" -- {facts.executable}" if self.options.verbosity > 0 and facts.executable else ""
        self.lines(
            [
                f"platform {sys.platform} -- Python {facts.python}, stepcache-{facts.version}, "
                f"pluggy-{facts.pluggy}{behind}",
                f"rootdir: {facts.root}",
                *([f"configfile: {facts.config_file}"] if facts.config_file else []),
                *([f"pipelinepaths: {', '.join(facts.pipelinepaths)}"] if facts.pipelinepaths else []),
                *([f"cache: {facts.cache}"] if facts.cache else []),
                *([f"plugins: {', '.join(facts.plugins)}"] if facts.plugins else []),
                *facts.more,
            ]
        )

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Say that files are being collected, where someone sees it. What goes wrong is told on a line of its own."""
        if self.on_terminal and self.options.verbosity >= 0:
            self.writer.write("collecting ... ", "bold")
            self.writer.flush()
        try:
            yield
        except BaseException:
            if self.writer.column:
                self.writer.line("")
                self.writer.flush()
            raise

    def collected(self, nodes: int, deselected: int = 0, problems: Sequence[Problem] = ()) -> None:
        """How many nodes there are, counting the deselected."""
        self._collected = nodes
        if self.options.verbosity < 0:
            return
        line = f"collected {figures.counted(nodes, 'node')}"
        if problems:
            line += f" / {figures.counted(len(problems), 'error')}"
        if deselected:
            line += f" / {deselected} deselected / {nodes - deselected} selected"
        if self.writer.column:
            self.writer.write("\r")
            self.writer.column = 0
            line = line.ljust(len("collecting ... "))
        self.writer.line(line, *(("bold",) if self.on_terminal else ()))
        self.writer.flush()

    def started(self, node: str, expected: float | None = None, *, elsewhere: bool = False) -> None:
        """A node is about to run, or another run that computes it is waited for; it took *expected* seconds last time.

        No hit is told here.
        """
        self._progress.tell_hits()
        self.writer.flush()
        self.status.started(node, expected, elsewhere=elsewhere)

    def progressed(self, node: str, done: int, total: int) -> None:
        """So many of a node's elements are done, of *total*."""
        self.status.progressed(node, done, total)

    def logged(self, node: str, line: str) -> None:
        """A node that runs has logged *line*."""
        with self.writer.lock:
            self.writer.end_line()
            if self._logging != node:
                self._logging = node
                self.writer.separator("-", f"live log: {node}" if node else "live log")
            self.writer.line(line)
            self.writer.flush()

    def printed(self, text: str) -> None:
        """A hook has printed *text*."""
        with self.writer.lock:
            self._progress.tell_hits()
            self.writer.end_line()
            self.writer.line(text.removesuffix("\n"))
            self.writer.flush()

    def hush(self) -> None:
        """Leave the terminal to somebody else until the next node begins."""
        self.status.hush()
        self._progress.tell_hits()
        self.writer.end_line()
        self.writer.flush()

    def finished(self, row: NodeReport, done: int, total: int) -> None:
        """A node is done with, as the *done*-th of *total*."""
        self.status.finished(row.id)
        self._progress.finished(row, done, total)

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines as they are."""
        for line in lines:
            self.writer.line(line)

    def listing(self, lines: Iterable[str]) -> None:
        """Write what is shown instead of running, after an empty line unless under -q."""
        if self.options.verbosity >= 0:
            self.writer.line()
        self.lines(lines)

    def problems(self, problems: Sequence[Problem]) -> None:
        """All collection errors, each whole; `summary` does not repeat them."""
        self._problems_told = True
        summary.write_problems(self.writer, problems)

    def summary(self, report: RunReport) -> None:
        """Everything that follows the last node."""
        self.status.close()
        self._progress.close()
        if self.options.verbosity >= 0:
            self.writer.line()
        if not self._problems_told:
            summary.write_problems(self.writer, report.problems)
        if not self.options.no_summary:
            summary.write_failures(self.writer, self.options, report.nodes)
            summary.write_determinism(self.writer, report.nodes)
            summary.write_warnings(self.writer, report)
            if "P" in self.options.reportchars:
                summary.write_stored_output(self.writer, report.nodes)
            summary.write_notices(self.writer, report.notices)
        if self.options.why:
            summary.write_why(self.writer, report.nodes, whole=self.options.verbosity > 0)
        summary.write_durations(self.writer, self.options, report.nodes)
        if not self.options.no_summary:
            summary.write_short_summary(self.writer, self.options, report, whole=self._whole)
        self._stopped(report)
        self._closing(report)
        self.writer.flush()

    def _stopped(self, report: RunReport) -> None:
        stopped = report.stopped
        if not stopped and report.problems and not self.options.continue_on_collection_errors:
            stopped = f"Interrupted: {figures.counted(len(report.problems), 'error')} during collection"
        if stopped:
            self.writer.separator("!", stopped, "red")

    def _closing(self, report: RunReport) -> None:
        """The last line; none under -qq, nor under --collect-only -q, whose lines are to be arguments."""
        if self.options.verbosity < -1 or (self.options.collect_only and self.options.verbosity < 0):
            return
        if self.options.collect_only:
            parts = closing.collected_counts(self._collected, report)
        else:
            parts = closing.counts(report)
        closing.write_closing(self.writer, report, parts, ruled=self.options.verbosity >= 0)
