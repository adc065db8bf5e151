"""What a node prints, logs and warns, kept apart from what the report prints."""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

from attrs import field

from stepcache.api import running_node
from stepcache.execution.streams import PassedStream, Place, Stream, cut, own_places
from stepcache.model import Output
from stepcache.records import define, frozen

if TYPE_CHECKING:
    import logging


Mode = Literal["fd", "sys", "no", "own"]

_SILENT = Output()


@frozen
class LiveLog:
    """Where log records from `level` on are told as they come: `tell` gets the id of the node that runs, and a line."""

    level: int
    tell: Callable[[str, str], object]


@define(eq=False)
class Notes:
    """What was logged and warned."""

    log: io.StringIO = field(factory=io.StringIO)
    warned: list[str] = field(factory=list)


@frozen(eq=False)
class Sink:
    """Where the output of one node goes that runs beside others."""

    places: Mapping[str, Place]
    notes: Notes


# That of what runs in this context; where it is not said, all goes to one.
_own_sink: ContextVar[Sink | None] = ContextVar("stepcache_sink", default=None)


class Capture:
    """Catches output while nodes run: at the file descriptors, at `sys.stdout` and `sys.stderr`, or not at all.

    "own" is for a process whose descriptors are files of the run's already. *ignored* are kinds of warnings that are
    left out if no filter asks for them.
    """

    def __init__(
        self,
        mode: Mode,
        log_level: int | None,
        filters: Sequence[str] = (),
        live: LiveLog | None = None,
        ignored: Sequence[type[Warning]] = (),
    ) -> None:
        self._mode = mode
        self._log_level = log_level
        self._filters = filters
        self._live = live
        self._ignored = ignored
        self._streams: list[Stream | PassedStream] = []
        self._log: _LogLines | None = None
        self._main = self._notes = Notes()
        self._sink: Sink | None = None
        self._has_let_go = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """While open, what is written is caught, and `take` gives it."""
        with ExitStack() as stack:
            stack.callback(self._streams.clear)
            for name in ("stdout", "stderr"):
                stream = PassedStream(name) if self._mode == "no" else Stream(name, self._mode)
                stack.callback(stream.close)
                self._streams.append(stream)
            stack.enter_context(self._warnings())
            stack.callback(self._stop_log)
            yield

    @contextmanager
    def _warnings(self) -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            for kind in self._ignored:
                warnings.simplefilter("ignore", kind)
            for each in self._filters:
                add_warning_filter(each)
            warnings.showwarning = self._warn
            yield

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        self._notes_here().warned.append(f"{filename}:{lineno}: {category.__name__}: {message}")

    def _notes_here(self) -> Notes:
        sink = _own_sink.get()
        return self._notes if sink is None else sink.notes

    def _start_log(self) -> None:
        """Catch log records from the moment that somebody has imported `logging`, or that they were asked for."""
        asked = self._live is not None or self._log_level is not None
        if self._log is not None or not (asked or "logging" in sys.modules):
            return
        self._log = _LogLines(self._log_level, self._live, lambda: self._notes_here().log)

    def _stop_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def let_go(self) -> None:
        """Catch no more until the next node begins: a debugger has the terminal."""
        if not self._has_let_go:
            self._has_let_go = True
            for stream in self._streams:
                stream.suspend()

    def begin(self) -> None:
        """Forget what was caught; a node is about to run."""
        self.resume()
        self._start_log()
        self.take()

    def resume(self) -> None:
        """Catch again, if a debugger had the terminal."""
        if self._has_let_go:
            self._has_let_go = False
            for stream in self._streams:
                stream.resume()

    def take(self) -> Output:
        """What was caught since the last time."""
        if not self._notes.warned and not self._notes.log.tell() and all(each.is_quiet() for each in self._streams):
            return _SILENT
        texts = {stream.name: stream.take() for stream in self._streams}
        log = self._notes.log.getvalue()
        if log:
            self._notes.log.seek(0)
            self._notes.log.truncate()
        warned = tuple(dict.fromkeys(self._notes.warned))
        self._notes.warned.clear()
        return Output(texts.get("stdout", ""), texts.get("stderr", ""), cut(log), warned)

    # --- nodes that run beside one another in this process

    @contextmanager
    def apart(self) -> Iterator[Sink]:
        """What is logged, warned and written through Python in this context has a place of its own.

        All else that is written goes there while it is turned to.
        """
        sink = Sink({stream.name: stream.another() for stream in self._streams}, Notes())
        own_places.set(sink.places)
        _own_sink.set(sink)
        try:
            yield sink
        finally:
            own_places.set(None)
            _own_sink.set(None)
            self.turn_to(None)
            for place in sink.places.values():
                place.close()

    def turn_to(self, sink: Sink | None) -> None:
        """Have what is written from now on go there, None for where it went at first; `take` takes from there."""
        if sink is self._sink:
            return
        self._sink = sink
        self._notes = sink.notes if sink is not None else self._main
        for stream in self._streams:
            stream.turn_to(sink.places[stream.name] if sink is not None else None)


class _LogLines:
    """The records that reach the root logger, as text."""

    def __init__(self, level: int | None, live: LiveLog | None, lines: Callable[[], io.StringIO]) -> None:
        import logging

        self._handlers: list[logging.Handler] = [_kept_handler(lines)]
        root = logging.getLogger()
        self._before = root.level
        if level is not None:
            self._handlers[0].setLevel(level)
            root.setLevel(min(root.level, level))
        if live is not None:
            self._handlers.append(_live_handler(live))
            root.setLevel(min(root.level, live.level))
        for handler in self._handlers:
            handler.setFormatter(logging.Formatter("%(levelname)-8s %(name)s:%(filename)s:%(lineno)d %(message)s"))
            root.addHandler(handler)

    def close(self) -> None:
        import logging

        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
        root.setLevel(self._before)


def _kept_handler(lines: Callable[[], io.StringIO]) -> logging.Handler:
    import logging

    class Handler(logging.StreamHandler[io.StringIO]):
        def emit(self, record: logging.LogRecord) -> None:
            self.stream = lines()
            super().emit(record)

    return Handler(lines())


def _live_handler(live: LiveLog) -> logging.Handler:
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                line = self.format(record)
            except Exception:  # noqa: BLE001 - a wrong logging call of the user's fails nothing, as everywhere
                self.handleError(record)
                return
            live.tell(running_node.get() or "", line)

    return Handler(live.level)


def add_warning_filter(spec: str) -> None:
    """Add a filter: action:message:category:module:line, with patterns for message and module. Raises `ValueError`."""
    parts = [part.strip() for part in spec.split(":")]
    action, message, category, module, line = (*parts, "", "", "", "")[:5]
    actions = ("default", "always", "ignore", "module", "once", "error")
    matching = [each for each in actions if action and each.startswith(action)]
    if len(parts) > 5 or len(matching) != 1:
        raise ValueError(f"{spec!r} is no warning filter: action:message:category:module:line, action one of {actions}")
    if line and not (line.isascii() and line.isdigit()):
        raise ValueError(f"{spec!r}: the line of a warning is a number, not {line!r}")
    try:
        warnings.filterwarnings(
            matching[0],  # type: ignore[arg-type]
            message=message,
            category=_category(category, spec),
            module=module,
            lineno=int(line) if line else 0,
        )
    except re.error as error:
        raise ValueError(f"{spec!r}: message and module are regular expressions: {error}") from error


def _category(name: str, spec: str) -> type[Warning]:
    if not name:
        return Warning
    import builtins
    import importlib

    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else builtins, attribute)
    except (ImportError, AttributeError):
        raise ValueError(f"{spec!r}: there is no warning category {name}") from None
    if not (isinstance(found, type) and issubclass(found, Warning)):
        raise ValueError(f"{spec!r}: {name} is no warning category")
    return found
