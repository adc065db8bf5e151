"""SIGTERM ends the command as Ctrl-C does: what was set up is torn down, and what was run is told.

Who sends it (a shell's `timeout`, a CI server, a batch system, whoever stops a container) kills what does not end soon.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread


class Terminated(KeyboardInterrupt):
    """SIGTERM has come."""


@contextmanager
def terminable() -> Iterator[None]:
    """In the block, SIGTERM raises `Terminated`, unless somebody has said what it does; a second one ends at once.

    Processes that are forked in the block end at once, as they do without it.
    """
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    owner = os.getpid()

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != owner:
            signal.raise_signal(signal.SIGTERM)
        raise Terminated

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
