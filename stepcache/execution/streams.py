"""One stream of output, caught in a file or in memory."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from typing import IO, Any

# More than this of one stream is cut in the middle before it is stored.
LONGEST = 1_000_000


class Stream:
    """One caught stream, and the way back."""

    def __init__(self, name: str, mode: str) -> None:
        self.name = name
        self._number = {"stdout": 1, "stderr": 2}[name]
        self._before: IO[str] | None = getattr(sys, name)
        self._saved: int | None = None
        self._file: IO[bytes] | None = None
        self._is_open = True
        self._text: Any = _Kept()
        if mode == "fd":
            self._redirect()
        elif mode == "own":
            self._file = open(os.dup(self._number), "r+b", buffering=0)  # noqa: SIM115 - close() closes it
            self._text = self._writer()
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
            # A debugger had the terminal: what was written since comes before what the report says next.
            if self._before is not None:
                with contextlib.suppress(OSError, ValueError):
                    self._before.flush()
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
            return cut(text)
        size = os.fstat(self._file.fileno()).st_size
        if not size:
            return ""
        data = os.pread(self._file.fileno(), size, 0)
        os.ftruncate(self._file.fileno(), 0)
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        return cut(data.decode("utf-8", "backslashreplace"))

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


def cut(text: str) -> str:
    """*text*, with its middle left out if it is longer than is kept."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"
