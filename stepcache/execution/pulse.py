"""What a worker lets the run know without being asked: which body it runs, and since when.

It lies in memory that both map, so it is there as well when the worker hangs or is dead, and costs no message a body.
"""

from __future__ import annotations

import mmap
import struct
import tempfile
import time
from io import FileIO

# When the body began (`time.monotonic`, which is the same in all processes), 0.0 while none runs; which it is, from 1.
_FORMAT = struct.Struct("@dq")
_BEGAN = struct.Struct("@d")


class Pulse:
    """One worker's. *descriptor* is that of the file, which the worker inherits; without it nobody else knows."""

    def __init__(self, descriptor: int | None = None) -> None:
        size = _FORMAT.size
        self._memory = bytearray(size) if descriptor is None else mmap.mmap(descriptor, size)

    def begin(self, number: int = 0) -> None:
        """A body begins, or what it is given is made ready; of the element of a batch, with its *number* there."""
        _FORMAT.pack_into(self._memory, 0, time.monotonic(), number + 1)

    def pause(self) -> None:
        """The body has ended, and another of its batch may come."""
        _BEGAN.pack_into(self._memory, 0, 0.0)

    def rest(self) -> None:
        """There are no more to come."""
        _FORMAT.pack_into(self._memory, 0, 0.0, 0)

    @property
    def began(self) -> float:
        """When the body began that runs now; 0.0 for none."""
        return float(_BEGAN.unpack_from(self._memory)[0])

    @property
    def number(self) -> int | None:
        """The number of the last that began, until there are no more to come."""
        number = int(_FORMAT.unpack_from(self._memory)[1])
        return number - 1 if number else None

    def close(self) -> None:
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()


def pulse_file() -> FileIO:
    """A file for a pulse."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - whoever asks closes it
    file.truncate(_FORMAT.size)
    return file
