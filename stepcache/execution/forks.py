"""Ctrl-C while a step forks: Python swallows what is raised in the hooks around a fork, its own among them.

SIGINT, and SIGTERM, which the command takes for the same, wait until the last of them is through. What they then raise
would still be raised in a hook, so SIGINT is sent again from a thread, when that hook has been left.
"""

from __future__ import annotations

import _thread
import functools
import os
import signal
import sys
import time

_SOON = 0.01
_SIGNALS = frozenset((signal.SIGINT, signal.SIGTERM))
_masks: dict[int, set[int | signal.Signals]] = {}
"""The signals that were blocked before, by the thread that forks."""


@functools.cache
def keep_interrupts() -> None:
    """Have no interrupt lost from now on. Who comes last has its hooks around all others'."""
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)


def _hold() -> None:
    forking = _thread.get_ident()
    try:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    except KeyboardInterrupt:  # it came before it was blocked, which it is now
        before = signal.pthread_sigmask(signal.SIG_BLOCK, []) - _SIGNALS
        _thread.start_new_thread(_send_again, (forking,))
    _masks[forking] = before


def _let_go() -> None:
    forking = _thread.get_ident()
    try:
        before = _masks.pop(forking, None)
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except KeyboardInterrupt:
        _thread.start_new_thread(_send_again, (forking,))


def _send_again(forking: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # they are for the main thread, which may fork again
    time.sleep(_SOON)
    # However long the system gives the thread that forks no time.
    while (frame := sys._current_frames().get(forking)) is not None and frame.f_code is _let_go.__code__:
        time.sleep(_SOON)
    os.kill(os.getpid(), signal.SIGINT)
