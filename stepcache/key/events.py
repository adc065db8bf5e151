"""What a watch notes: events in the order in which they happened, in this process and in its forked children."""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any, NamedTuple


class Event(NamedTuple):
    """One thing that happened for the first time.

    `path` is absolute and normalised, `asked` the relative path it was asked for by, if it was. `who` is the weight of
    who asked (see callers.py). `what` depends on `kind`:

    read       the file's (mode, stamp) when it was opened, or None if there was nothing
    native     the same, of a file that a reader was given which opens files without Python
    list       the folder's (mode, stamp, the pattern of a glob or None) when it was listed, or None
    before     the digest of the file's content just before the step changed it
    names      the names in the folder just before the step changed it, or None
    made       whether something was there before the step wrote, created or removed it
    grown      the size of the file before the step first added to its end
    folder     None: the step made this folder, or removed it with all below it
    alias      the path that the step made this one a link to
    test       (the kind of observation, its digest)
    sqlite     the database's digest before it was opened, or None if there was nothing
    env        the variable's value, or None; `path` is its name, `asked` the code that looked it up
    set        what the variable `path` was before it was set or removed, or None
    environ    None: the whole environment was read; `path` says by whose code
    child      (executable, words, the variables it was given or None, the directory it starts in)
    before-child  the file that a child's command names: its digest before the child was started
    named-by-child  the same, of what a script that the child runs names and may write
    import     None: the project module `path` was imported by other means than an import statement
    network    None; `path` says where to
    """

    at: int
    kind: str
    path: str
    asked: str = ""
    who: int = 0
    what: Any = None


class Sink:
    """Where forked children write what they see: an open file without a name, inherited, only ever added to."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("stepcache")
        else:
            import tempfile

            file, path = tempfile.mkstemp()
            os.unlink(path)
            self._descriptor = file
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, fcntl.fcntl(self._descriptor, fcntl.F_GETFL) | os.O_APPEND)
        self._identity = _identity(self._descriptor)

    def write(self, event: Event) -> None:
        """Adds *event*, unless the child has closed the file: its number may then be another file's."""
        if _identity(self._descriptor) == self._identity:
            os.write(self._descriptor, json.dumps(event).encode("ascii") + b"\n")

    def read(self) -> list[Event]:
        """All that was written so far; a last line that is not whole belongs to a child that was killed."""
        size = os.fstat(self._descriptor).st_size
        lines = os.pread(self._descriptor, size, 0).split(b"\n")[:-1]
        return [Event(*json.loads(line)) for line in lines]

    def close(self) -> None:
        if _identity(self._descriptor) == self._identity:
            os.close(self._descriptor)


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino
