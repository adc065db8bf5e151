"""What a worker lets the run know without being asked: which body it runs, and since when.

It lies in memory that both map, so it is there as well when the worker hangs or is dead, and costs no message a body.
"""

from __future__ import annotations

import mmap
import struct
import tempfile
import time
from io import FileIO

_FORMAT = struct.Struct("@dq")


class Pulse:
    """One worker's. *descriptor* is that of the file, which the worker inherits."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _FORMAT.size)

    def begin(self, number: int) -> None:
        """A body begins: that of the element of a batch with that number there, of others 0."""
        _FORMAT.pack_into(self._memory, 0, time.monotonic(), number)

    def rest(self) -> None:
        """No body runs."""
        _FORMAT.pack_into(self._memory, 0, 0.0, 0)

    @property
    def began(self) -> float:
        """When the body began that runs now (`time.monotonic`, which is the same in all processes); 0.0 for none."""
        return float(_FORMAT.unpack_from(self._memory)[0])

    @property
    def number(self) -> int | None:
        """Which body runs now, if one does."""
        began, number = _FORMAT.unpack_from(self._memory)
        return int(number) if began else None

    def close(self) -> None:
        self._memory.close()


def pulse_file() -> FileIO:
    """A file for a pulse."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - whoever asks closes it
    file.truncate(_FORMAT.size)
    return file
