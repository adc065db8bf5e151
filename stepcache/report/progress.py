"""What is written while nodes finish: a letter each, or under -v a line each, with the percentage at the edge."""

from __future__ import annotations

import time

from stepcache.config import Options
from stepcache.model import NodeOutcome, NodeReport
from stepcache.report.why import in_brief
from stepcache.report.writer import Writer, columns

LETTERS: dict[NodeOutcome, str] = {
    "cached": "c",
    "ran": ".",
    "failed": "F",
    "blocked": "b",
    "skipped": "s",
    "given": "g",
    "passed": ".",
    "warned": "w",
    "would-run": "r",
    "unknown": "?",
}

COLORS: dict[str, str] = {
    "cached": "cyan",
    "ran": "green",
    "failed": "red",
    "blocked": "red",
    "skipped": "yellow",
    "given": "cyan",
    "passed": "green",
    "warned": "yellow",
    "would-run": "yellow",
    "unknown": "yellow",
}

_PERCENT = len(" [100%]")


# Hits are told at the latest so many seconds after the first of them: a large project has many thousands of them.
_HELD_SECONDS = 0.25


class Progress:
    """Writes the letters or lines of one run. There are no percentages under -s, where steps write in between.

    Letters of hits that follow one another are told by files: in which order they were found says nothing, and where
    each node takes values of another file's, each would have a line of its own.
    """

    def __init__(self, writer: Writer, options: Options) -> None:
        self._writer = writer
        self._verbosity = options.verbosity
        self._why = options.why
        self._percentages = options.capture != "no"
        self._file: str | None = None
        self._done = 0
        self._total = 0
        self._outcomes: set[NodeOutcome] = set()
        self._hits: dict[str, int] = {}
        """The hits that are not told yet, by file."""
        self._held = 0.0

    def finished(self, row: NodeReport, done: int, total: int) -> None:
        """Tell of one node; *done* counts it."""
        if not self._total:
            self._begin()
        self._total = total
        if self._verbosity == 0 and row.outcome == "cached":
            self._hold(row.file)
            return
        self.tell_hits()
        if self._verbosity > 0:
            self._done = done
            self._outcomes.add(row.outcome)
            self._line(row)
        else:
            self._letter(row.file, row.outcome, done)
        if row.outcome != "cached":  # thousands of hits may come at once; `started` flushes before a node runs
            self._writer.flush()

    def _hold(self, file: str) -> None:
        now = time.monotonic()
        if not self._hits:
            self._held = now
        self._hits[file] = self._hits.get(file, 0) + 1
        if now - self._held > _HELD_SECONDS:
            self.tell_hits()
            self._writer.flush()

    def tell_hits(self) -> None:
        """Write the letters of the hits that are not told yet."""
        hits, self._hits = self._hits, {}
        for file, count in hits.items():
            for _ in range(count):
                self._letter(file, "cached", self._done + 1)

    def close(self) -> None:
        """End the last line, with how far the run came."""
        self.tell_hits()
        if self._done and self._verbosity <= 0:
            if self._writer.column:
                self._percentage_at_edge()
            self._writer.end_line()

    def _begin(self) -> None:
        """An empty line after what was collected."""
        if self._verbosity >= 0:
            self._writer.line()

    def _letter(self, file: str, outcome: NodeOutcome, done: int) -> None:
        if self._verbosity >= 0 and file != self._file:
            if self._writer.column:
                self._percentage_at_edge()
                self._writer.line()
            self._writer.write(f"{file} ")
            self._file = file
        self._done = done
        self._outcomes.add(outcome)
        self._writer.write(LETTERS[outcome], COLORS[outcome])
        if self._percentages and self._done < self._total and self._writer.column + _PERCENT + 1 >= self._writer.width:
            self._writer.line(self._percentage(), self._color())

    def _line(self, row: NodeReport) -> None:
        word = row.outcome.upper()
        self._writer.write(f"{row.id} ")
        self._writer.write(word, COLORS[row.outcome])
        told = [_elements(row), in_brief(row) if self._why or row.message else ""]
        if any(told):
            self._writer.write(self._fitted("; ".join(filter(None, told))))
        self._percentage_at_edge()
        self._writer.end_line()

    def _fitted(self, told: str) -> str:
        """What is told in parentheses, cut to what the line has room for, unless -vv asks for it whole."""
        reason = told.split("\n", 1)[0]
        room = self._writer.width - self._writer.column - _PERCENT - len(" ()") - 1
        if self._verbosity >= 2 or columns(reason) <= room:
            return f" ({reason})"
        return f" ({reason[: room - 3]}...)" if room > 3 else ""

    def _percentage_at_edge(self) -> None:
        if self._percentages:
            fill = self._writer.width - self._writer.column - 1
            self._writer.write(self._percentage().rjust(fill), self._color())

    def _percentage(self) -> str:
        return f" [{self._done * 100 // max(self._total, 1):3d}%]"

    def _color(self) -> str:
        if self._outcomes & {"failed", "blocked"}:
            return "red"
        return "yellow" if "warned" in self._outcomes else "green"


def _elements(row: NodeReport) -> str:
    """How many elements of a mapped step came to what, unless all were cached, or there is one."""
    elements = row.elements
    if elements is None or row.outcome == "cached":
        return ""
    counts = {
        "failed": elements.failed,
        "would run" if row.outcome == "would-run" else "ran": elements.ran,
        "skipped": elements.skipped,
        "cached": elements.cached,
    }
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) if sum(counts.values()) > 1 else ""
