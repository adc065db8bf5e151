"""Standard output, for a report that goes on when nobody reads it any more."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


class Outlet(io.TextIOWrapper):
    """A copy of *stream*'s descriptor, which nothing that runs can close.

    Where it cannot be written to, what is written from then on is dropped, and `lost` says why: the run that is
    reported comes to its end. Raises `OSError` or `ValueError` where *stream* is no file.
    """

    def __init__(self, stream: TextIO) -> None:
        descriptor = os.dup(stream.fileno())
        super().__init__(os.fdopen(descriptor, "wb"), encoding=stream.encoding or "utf-8", errors="backslashreplace")
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        self.lost = error
        drop(self.fileno())


def complain(text: str) -> None:
    """Write to standard error, as long as somebody reads it."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        drop(sys.stderr.fileno())


def drop(descriptor: int) -> None:
    """Have what is written to the descriptor, and what waits in a buffer for it, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
