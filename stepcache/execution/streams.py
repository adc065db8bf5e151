"""One stream of output, caught in a file or in memory."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Mapping
from contextvars import ContextVar
from typing import IO, Any, TextIO

from attrs import field

from stepcache.records import define

# More than this of one stream is cut in the middle before it is stored.
LONGEST = 1_000_000


@define(eq=False)
class Place:
    """Where a stream's output goes: a file or memory. `text` is what `sys` holds while it does."""

    file: IO[bytes] | None
    memory: _Kept | None
    text: Any
    identity: tuple[int, int] = field(init=False)
    """What tells the file from all others."""

    @identity.default
    def _identity(self) -> tuple[int, int]:
        return identity_of(os.fstat(self.file.fileno())) if self.file is not None else (0, 0)

    def write(self, data: bytes) -> None:
        """Add to it, whether it is the one that is written to now or not."""
        if self.file is not None:
            self.file.write(data)
        elif self.memory is not None:
            io.StringIO.write(self.memory, data.decode("utf-8", "surrogatepass"))

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """What tells the file of that status from all others."""
    return status.st_dev, status.st_ino


# Where what runs in this context writes to, by the stream's name; where it is not said, to where all do.
own_places: ContextVar[Mapping[str, Place] | None] = ContextVar("stepcache_places", default=None)


class Stream:
    """One caught stream, and the way back."""

    def __init__(self, name: str, mode: str) -> None:
        self.name = name
        self._number = {"stdout": 1, "stderr": 2}[name]
        self._before: IO[str] | None = getattr(sys, name)
        self._saved: int | None = None
        self._is_open = True
        self._writer: _Writer | None = None
        self._place = self.another()
        if mode == "fd":
            self._redirect()
        elif mode == "own":
            self._writer = self._made_writer()
            file = open(os.dup(self._number), "r+b", buffering=0)  # noqa: SIM115 - close() closes it
            self._place = Place(file, None, self._writer)
        self._main = self._place
        setattr(sys, name, self._place.text)

    def _redirect(self) -> None:
        if self._before is not None:
            with contextlib.suppress(OSError, ValueError):  # it may be closed, or its reader have gone
                self._before.flush()
        try:
            self._saved = os.dup(self._number)
        except OSError:  # the descriptor is closed: nothing can be written to it
            return
        self._writer = self._made_writer()
        self._place = self.another()
        self._take_descriptor()

    def _made_writer(self) -> _Writer:
        raw = _Unclosable(self._number, self)
        return _Writer(raw, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)

    def another(self) -> Place:
        """A place for the output of what runs beside others."""
        if self._writer is None:
            memory = _Kept(self)
            return Place(None, memory, memory)
        return Place(tempfile.TemporaryFile(buffering=0), None, self._writer)

    def turn_to(self, place: Place | None) -> None:
        """Have what is written from now on go there, None for where it went at first."""
        if not self._is_open:  # a debugger has the terminal
            self._place = place or self._main
            return
        self._place.text = getattr(sys, self.name, None)
        self._place = place or self._main
        self._take_descriptor()
        setattr(sys, self.name, self._place.text)

    def _take_descriptor(self) -> None:
        if self._place.file is not None:
            os.dup2(self._place.file.fileno(), self._number)

    def suspend(self) -> None:
        self._settle()
        self._is_open = False
        if self._saved is not None:
            os.dup2(self._saved, self._number)
        setattr(sys, self.name, self._before)

    def resume(self) -> None:
        self._take_descriptor()
        setattr(sys, self.name, self._place.text)
        self._is_open = True

    def _settle(self) -> None:
        """Put the stream and its descriptor back: what ran may have closed or replaced them."""
        if not self._is_open:
            # A debugger had the terminal: what was written since comes before what the report says next.
            if self._before is not None:
                with contextlib.suppress(OSError, ValueError):
                    self._before.flush()
            return
        current = getattr(sys, self.name, None)
        if current is not self._writer and type(current) is io.TextIOWrapper:
            with contextlib.suppress(OSError, ValueError):  # it is not ours: it may be closed, or its file be full
                current.flush()
        self._take_descriptor()
        if self._writer is not None:
            try:
                self._writer.flush()
            except ValueError:  # it was detached from its descriptor
                self._writer = self._made_writer()
        self._place.text = self._writer or self._place.memory
        setattr(sys, self.name, self._place.text)

    def own_place(self) -> Place | None:
        """The place of what runs in this context, if it has one.

        It is written to as it is, not by the descriptor: that may be turned away while another thread writes.
        """
        places = own_places.get()
        return places.get(self.name) if places is not None else None

    def is_quiet(self) -> bool:
        """Is nothing there to be taken, and is all in its place? It is asked twice a node, and mostly it is so."""
        place, writer = self._place, self._writer
        memory, held = place.memory, place.memory if place.memory is not None else writer
        if not self._is_open or getattr(sys, self.name, None) is not held or held is None:
            return False
        if memory is not None:
            return not memory.getvalue()
        try:
            held.flush()
            status = os.fstat(self._number)
        except (OSError, ValueError):
            return False
        return not status.st_size and identity_of(status) == place.identity

    def take(self) -> str:
        self._settle()
        file, memory = self._place.file, self._place.memory
        if memory is not None:
            text = memory.getvalue()
            if text:
                memory.seek(0)
                memory.truncate()
            return cut(text)
        assert file is not None
        size = os.fstat(file.fileno()).st_size
        if not size:
            return ""
        data = os.pread(file.fileno(), size, 0)
        os.ftruncate(file.fileno(), 0)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return cut(data.decode("utf-8", "backslashreplace"))

    def close(self) -> None:
        self.suspend()
        if self._saved is not None:
            os.close(self._saved)
        self._main.close()


class PassedStream:
    """A stream that is not caught. What runs may close or replace it all the same, and the next has it as it was."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._number = {"stdout": 1, "stderr": 2}[name]
        self._before: TextIO | None = getattr(sys, name)
        self._saved: int | None = None
        if self._before is not None:
            with contextlib.suppress(OSError, ValueError):  # it is closed, or no file
                self._before.flush()
                if self._before.fileno() == self._number:
                    self._saved = os.dup(self._number)
        self._is_open = True
        self._text = self._made()
        self._place = self._main = self.another()
        setattr(sys, name, self._text)

    def _made(self) -> Any:
        """What `sys` holds: as it was before, but that closing it closes nothing."""
        before = self._before
        if before is None:
            return None
        if self._saved is None:
            return _Lent(before)
        raw = _Unclosable(self._number)
        return _Writer(raw, encoding=before.encoding, errors=before.errors, line_buffering=True)

    def another(self) -> Place:
        """A place for the output of what runs beside others: there is one for all."""
        return Place(None, None, self._text)

    def turn_to(self, place: Place | None) -> None:
        """What `sys` holds is each one's own."""
        if self._is_open:
            self._place.text = getattr(sys, self.name, None)
        self._place = place or self._main
        if self._is_open:
            setattr(sys, self.name, self._place.text)

    def is_quiet(self) -> bool:
        """What is not caught has to be handed on each time."""
        return False

    def take(self) -> str:
        """Nothing was caught; the stream and its descriptor are put back."""
        if not self._is_open:
            return ""
        with contextlib.suppress(OSError, ValueError):  # what ran may have closed it, and nobody need read it
            if self._text is not None:
                self._text.flush()
        if self._saved is not None:
            os.dup2(self._saved, self._number)
        if _is_detached(self._text):
            self._text = self._made()
        self._place.text = self._text
        setattr(sys, self.name, self._text)
        return ""

    def suspend(self) -> None:
        self.take()
        self._is_open = False
        setattr(sys, self.name, self._before)

    def resume(self) -> None:
        self._is_open = True
        setattr(sys, self.name, self._text)

    def close(self) -> None:
        self.suspend()
        if self._saved is not None:
            os.close(self._saved)


def _is_detached(text: Any) -> bool:
    try:
        return text is not None and text.closed
    except ValueError:
        return True


class _Unclosable(io.FileIO):
    """A descriptor that streams may close without its being closed; *stream* says if another is meant."""

    def __init__(self, number: int, stream: Stream | None = None) -> None:
        super().__init__(number, "wb", closefd=False)
        self._stream = stream

    def write(self, data: Any) -> int:
        place = self._stream.own_place() if self._stream is not None else None
        if place is None:
            return super().write(data)
        place.write(bytes(data))
        return len(data)

    def close(self) -> None:
        pass


class _Lent:
    """Somebody else's stream, which what runs may close without its being closed."""

    def __init__(self, owner: TextIO) -> None:
        self._owner = owner

    def close(self) -> None:
        self._owner.flush()

    def detach(self) -> None:
        raise io.UnsupportedOperation("detach")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._owner, name)


class _Writer(io.TextIOWrapper):
    """Text for a descriptor; what runs may close it, and others go on writing."""

    def close(self) -> None:
        self.flush()


class _Kept(io.StringIO):
    """Text in memory, which is there after what runs has closed it."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        place = self._stream.own_place()
        if place is None:
            return super().write(text)
        place.write(text.encode("utf-8", "surrogatepass"))
        return len(text)

    def close(self) -> None:
        pass


def cut(text: str) -> str:
    """*text*, with its middle left out if it is longer than is kept."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"
