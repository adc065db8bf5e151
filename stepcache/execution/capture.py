"""What a node prints, logs and warns, kept apart from what the report prints."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal

from attrs import frozen

from stepcache.api import running_node
from stepcache.model import Output

if TYPE_CHECKING:
    import logging

# More than this of one stream is cut in the middle before it is stored.
LONGEST = 1_000_000


@frozen
class LiveLog:
    """Where log records from `level` on are told as they come: `tell` gets the id of the node that runs, and a line."""

    level: int
    tell: Callable[[str, str], object]


class Capture:
    """Catches output while nodes run: at the file descriptors, at `sys.stdout` and `sys.stderr`, or not at all.

    `terminal` is where the report goes: the standard output as it was before.
    """

    def __init__(
        self,
        mode: Literal["fd", "sys", "no"],
        log_level: int | None,
        filters: Sequence[str] = (),
        live: LiveLog | None = None,
    ) -> None:
        self._mode = mode
        self._log_level = log_level
        self._filters = filters
        self._live = live
        self._streams: list[_Stream] = []
        self._log: _LogLines | None = None
        self._warned: list[str] = []
        self._has_let_go = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """While open, what is written is caught, and `take` gives it."""
        with ExitStack() as stack:
            stack.callback(self._streams.clear)
            if self._mode != "no":
                for name in ("stdout", "stderr"):
                    stream = _Stream(name, self._mode == "fd")
                    stack.callback(stream.close)
                    self._streams.append(stream)
            stack.enter_context(self._warnings())
            stack.callback(self._stop_log)
            yield

    @contextmanager
    def _warnings(self) -> Iterator[None]:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
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
        self._warned.append(f"{filename}:{lineno}: {category.__name__}: {message}")

    def _start_log(self) -> None:
        """Catch log records from the moment that somebody has imported `logging`, or that they were asked for."""
        asked = self._live is not None or self._log_level is not None
        if self._log is not None or not (asked or "logging" in sys.modules):
            return
        self._log = _LogLines(self._log_level, self._live)

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
        if self._has_let_go:
            self._has_let_go = False
            for stream in self._streams:
                stream.resume()
        self._start_log()
        self.take()

    def take(self) -> Output:
        """What was caught since the last time."""
        texts = {stream.name: stream.take() for stream in self._streams}
        log = self._log.take() if self._log is not None else ""
        warned, self._warned = tuple(dict.fromkeys(self._warned)), []
        return Output(texts.get("stdout", ""), texts.get("stderr", ""), log, warned)


class _Stream:
    """One caught stream, and the way back."""

    def __init__(self, name: str, by_descriptor: bool) -> None:
        self.name = name
        self._number = {"stdout": 1, "stderr": 2}[name]
        self._before: IO[str] | None = getattr(sys, name)
        self._saved: int | None = None
        self._file: IO[bytes] | None = None
        self._is_open = True
        self._text: Any = _Kept()
        if by_descriptor:
            self._redirect()
        setattr(sys, name, self._text)

    def _redirect(self) -> None:
        if self._before is not None:
            with contextlib.suppress(OSError, ValueError):  # it may be closed, or its reader have gone
                self._before.flush()
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - close() closes it
        try:
            self._saved = os.dup(self._number)
        except OSError:  # the descriptor is closed: nothing can be written to it
            self._file.close()
            self._file = None
            return
        os.dup2(self._file.fileno(), self._number)
        self._text = self._writer()

    def _writer(self) -> io.TextIOWrapper:
        raw = _Unclosable(self._number)
        return _Writer(raw, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)

    def suspend(self) -> None:
        self._settle()
        self._is_open = False
        if self._saved is not None:
            os.dup2(self._saved, self._number)
        setattr(sys, self.name, self._before)

    def resume(self) -> None:
        if self._file is not None:
            os.dup2(self._file.fileno(), self._number)
        setattr(sys, self.name, self._text)
        self._is_open = True

    def _settle(self) -> None:
        """Put the stream and its descriptor back: what ran may have closed or replaced them."""
        if not self._is_open:
            return
        current = getattr(sys, self.name, None)
        if current is not self._text and type(current) is io.TextIOWrapper:
            with contextlib.suppress(OSError, ValueError):  # it is not ours: it may be closed, or its file be full
                current.flush()
        if self._file is not None:
            os.dup2(self._file.fileno(), self._number)
        try:
            self._text.flush()
        except ValueError:  # it was detached from its descriptor
            self._text = self._writer()
        setattr(sys, self.name, self._text)

    def take(self) -> str:
        self._settle()
        if self._file is None:
            text = self._text.getvalue()
            if text:
                self._text.seek(0)
                self._text.truncate()
            return _cut(text)
        size = os.fstat(self._file.fileno()).st_size
        if not size:
            return ""
        data = os.pread(self._file.fileno(), size, 0)
        os.ftruncate(self._file.fileno(), 0)
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        return _cut(data.decode("utf-8", "backslashreplace"))

    def close(self) -> None:
        self.suspend()
        if self._saved is not None:
            os.close(self._saved)
        if self._file is not None:
            self._file.close()


class _Unclosable(io.FileIO):
    """A descriptor that streams may close without its being closed."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)

    def close(self) -> None:
        pass


class _Writer(io.TextIOWrapper):
    """Text for a descriptor; what runs may close it, and others go on writing."""

    def close(self) -> None:
        self.flush()


class _Kept(io.StringIO):
    """Text in memory, which is there after what runs has closed it."""

    def close(self) -> None:
        pass


class _LogLines:
    """The records that reach the root logger, as text."""

    def __init__(self, level: int | None, live: LiveLog | None) -> None:
        import logging

        self._lines = io.StringIO()
        self._handlers: list[logging.Handler] = [logging.StreamHandler(self._lines)]
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

    def take(self) -> str:
        text = self._lines.getvalue()
        if text:
            self._lines.seek(0)
            self._lines.truncate()
        return _cut(text)

    def close(self) -> None:
        import logging

        root = logging.getLogger()
        for handler in self._handlers:
            root.removeHandler(handler)
        root.setLevel(self._before)


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


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


def add_warning_filter(spec: str) -> None:
    """Add a filter as `python -W` has it: action:message:category:module:line. Raises `ValueError`."""
    parts = [part.strip() for part in spec.split(":")]
    action, message, category, module, line = (*parts, "", "", "", "")[:5]
    actions = ("default", "always", "ignore", "module", "once", "error")
    matching = [each for each in actions if action and each.startswith(action)]
    if len(parts) > 5 or len(matching) != 1:
        raise ValueError(f"{spec!r} is no warning filter: action:message:category:module:line, action one of {actions}")
    warnings.filterwarnings(
        matching[0],  # type: ignore[arg-type]
        message=message,
        category=_category(category, spec),
        module=module,
        lineno=int(line) if line else 0,
    )


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
