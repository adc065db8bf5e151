"""What is running now: a line on a terminal, redrawn ten times a second; elsewhere a line a minute for long nodes."""

from __future__ import annotations

import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterable

from attrs import evolve

from stepcache.records import frozen
from stepcache.report import figures
from stepcache.report.writer import Writer

# What is quicker is not worth a line that comes and goes.
PATIENCE = 0.5
PERIOD = 0.1
ELSEWHERE_PERIOD = 60.0

_lines: weakref.WeakSet[StatusLine] = weakref.WeakSet()


@frozen
class Running:
    """A node that runs: since when, how long it took last time, and how many of how many elements are done.

    `elsewhere` is whether it is another run that computes it, which is waited for.
    """

    node: str
    since: float
    expected: float | None = None
    elements: tuple[int, int] | None = None
    elsewhere: bool = False


class StatusLine:
    """Shows what runs, from a thread that begins with the first node that runs and ends with `close`.

    The thread is stopped around a fork and started again after it: a step that forks is not to be warned of, or
    harmed by, a thread that is not its own.
    """

    def __init__(self, writer: Writer, *, on_terminal: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._on_terminal = on_terminal
        self._clock = clock
        self._running: dict[str, Running] = {}
        self._told: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        _stop_around_forks()
        _lines.add(self)

    def started(self, node: str, expected: float | None = None, *, elsewhere: bool = False) -> None:
        """*node* runs from now on, or is waited for while it runs elsewhere; it took *expected* s last time."""
        with self._writer.lock:
            self._running[node] = Running(node, self._clock(), expected, elsewhere=elsewhere)
        self.start_thread()

    def progressed(self, node: str, done: int, total: int) -> None:
        """So many elements of *node* are done, of *total*."""
        with self._writer.lock:
            if node in self._running:
                self._running[node] = evolve(self._running[node], elements=(done, total))

    def finished(self, node: str) -> None:
        """*node* runs no more, if it did; most nodes are hits and never ran."""
        if not self._running:
            return
        with self._writer.lock:
            self._running.pop(node, None)
            self._told.pop(node, None)
            self._writer.remove_overlay()

    def hush(self) -> None:
        """Take the line away until another node begins."""
        self.stop_thread()
        with self._writer.lock:
            self._running.clear()
            self._writer.remove_overlay()
            self._writer.flush()

    def close(self) -> None:
        """Take the line away, for good."""
        _lines.discard(self)
        self.hush()

    def draw(self) -> None:
        """Show the state of this moment."""
        with self._writer.lock:
            now = self._clock()
            if self._on_terminal:
                if text := status_text(self._running.values(), now):
                    self._writer.overlay(text)
                return
            for running in self._running.values():
                if now - self._told.get(running.node, running.since) >= ELSEWHERE_PERIOD:
                    self._told[running.node] = now
                    self._writer.end_line()
                    self._writer.line(long_text(running, now))
                    self._writer.flush()

    def start_thread(self) -> None:
        """Draw from a thread, from now on."""
        if self._thread is None and self._running:
            self._stop.clear()
            self._thread = threading.Thread(target=self._draw_often, name="stepcache status line", daemon=True)
            # A signal that the system gives to this thread does not wake a step that waits in the main one.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                self._thread.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def stop_thread(self) -> None:
        """End the thread; returns when it is gone."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join()

    def _draw_often(self) -> None:
        period = PERIOD if self._on_terminal else 1.0
        while not self._stop.wait(period):
            try:
                self.draw()
            except (OSError, ValueError):
                return  # the terminal is gone; the main thread will notice when it writes


def status_text(running: Iterable[Running], now: float) -> str:
    """`running: pipeline_x.py::train 12.0s (5m 10s last time), ...`, the longest first; nothing if all are new."""
    shown = sorted((one for one in running if now - one.since >= PATIENCE), key=lambda one: one.since)
    if not shown:
        return ""
    return "running: " + ", ".join(_running(one, now) for one in shown)


def long_text(running: Running, now: float) -> str:
    """The line that tells, where no one watches a terminal, that a node still runs."""
    if running.elsewhere:
        return f"{running.node} has waited {_passed(running, now)} for another run that computes it"
    last = f"; it took {figures.time(running.expected)} last time" if running.expected is not None else ""
    return f"{running.node} has been running for {_passed(running, now)}{_elements(running)}{last}"


def _running(running: Running, now: float) -> str:
    if running.elsewhere:
        return f"{running.node} {_passed(running, now)} (another run computes it)"
    last = f" ({figures.time(running.expected)} last time)" if running.expected is not None else ""
    return f"{running.node} {_passed(running, now)}{_elements(running)}{last}"


def _passed(running: Running, now: float) -> str:
    return figures.time(now - running.since)


def _elements(running: Running) -> str:
    return "" if running.elements is None else ", {:,} of {:,} elements done".format(*running.elements)


_registered = False


def _stop_around_forks() -> None:
    global _registered
    if _registered or not hasattr(os, "register_at_fork"):
        return
    _registered = True
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_lines.clear)


def _before_fork() -> None:
    for line in list(_lines):
        line.stop_thread()


def _after_fork() -> None:
    for line in list(_lines):
        line.start_thread()
