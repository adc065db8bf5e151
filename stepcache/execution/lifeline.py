"""Nothing that a worker or its steps have started outlives the run, however and in whatever order they end.

A worker leads a process group. The first thing that it does is to start a guard: a forked process, before there is
anything in memory to speak of, that stays in this group and waits for the end of the run. Then it kills the group, and
itself with it. As long as it is there the group's number cannot become another's, and it needs neither the worker's
cooperation (that may hang in C, or be dead) nor a thread (steps fork, and a fork beside a thread is a trap).

The run kills the group of each worker that has ended, so that the guard never outlives its worker either.
"""

from __future__ import annotations

import os
import select
import signal
import sys

_NAME = "stepcache-guard"


def hold(lifeline: int, parent: int) -> None:
    """Have the process group that this process leads end with the process *parent*.

    *parent* holds the other end of the connection *lifeline*, on which nothing is ever sent.
    """
    run = _descriptor_of(parent)
    if os.getppid() != parent:  # it has ended already, and the descriptor may be another's
        os.killpg(0, signal.SIGKILL)
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    between = os.fork()
    if between == 0:
        # The guard is to be no child of the worker, whose steps may wait for all of theirs.
        if os.fork() == 0:
            _guard(lifeline, run)
        os._exit(0)
    os.waitpid(between, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for descriptor in (lifeline, run):
        if descriptor >= 0:
            os.close(descriptor)


def _descriptor_of(process: int) -> int:
    """What can be read once the process has ended; -1 where the system has no such thing.

    A child that the run has forked may hold the run's end of the lifeline open: this one tells the end all the same.
    """
    try:
        return os.pidfd_open(process) if sys.platform == "linux" else -1
    except OSError:  # an old kernel, or a sandbox
        return -1


def _guard(lifeline: int, run: int) -> None:
    """Wait for the end of the run, with all signals blocked and nothing open that others wait to see closed."""
    kept = sorted(each for each in (lifeline, run) if each >= 0)
    for low, high in zip([0, *(each + 1 for each in kept)], [*kept, os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(low, high)
    poll = select.poll()
    for descriptor in kept:
        poll.register(descriptor, select.POLLIN)
    _call_itself(_NAME)
    poll.poll()
    os.killpg(0, signal.SIGKILL)


def _call_itself(name: str) -> None:
    """What a list of processes shows, and so what is killed by name: not with all others that run Python."""
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(name)
    except OSError:
        pass  # there is no such file
