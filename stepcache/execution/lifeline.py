"""A worker process does not outlive the run that started it, however that ends and whatever the worker is doing.

Each worker holds one end of a connection on which nothing is ever sent; the run holds the other, and the system closes
it with the run. On Linux the kernel answers that itself, by killing the worker's process group: neither a thread that
waits (steps may fork, and a fork beside a thread is a trap) nor the worker's cooperation (it may hang in C) is needed.

The run keeps the worker's end open as well: what the worker has started is to end with the run even if the worker
itself has ended just before it. Of a process that ends Linux (since 4.3) lets go of the highest descriptor first: that
is to be the run's own end.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def hold(lifeline: int, parent: int) -> None:
    """Have this process, and the group that it leads, end with the process *parent*, which holds the other end."""
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
        _die_with_parent()
    else:
        import threading

        threading.Thread(target=_wait, args=(lifeline,), name="stepcache lifeline", daemon=True).start()
    if os.getppid() != parent:  # it ended before this was in place
        os.killpg(0, signal.SIGKILL)


def _die_with_parent() -> None:
    """A child that the run forked may hold the other end open: the kernel is told by another way as well."""
    import ctypes

    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _wait(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.killpg(0, signal.SIGKILL)
