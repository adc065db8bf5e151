"""One worker process, seen from the run that started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from typing import IO, Any

from attrs import field

from stepcache.execution.channel import Channel
from stepcache.execution.pulse import Pulse, pulse_file
from stepcache.execution.streams import cut
from stepcache.execution.work import Work
from stepcache.model import Output
from stepcache.records import define

# Between asking a step whose time is over to end, and killing it.
GRACE_SECONDS = 2.0
# How long a worker that has nothing more to do may take to end.
_END_SECONDS = 5.0


@define(eq=False)
class Worker:
    """A process that runs works, one after the other; `queue` holds those that it has and has not answered.

    It leads a process group of its own: the terminal's Ctrl-C is passed on by the run, and what its steps have started
    ends with it.
    """

    process: subprocess.Popen[bytes]
    channel: Channel
    lifeline: socket.socket
    """Closed by the end of the run: see `lifeline.py`."""
    streams: tuple[IO[bytes], ...]
    pulse: Pulse
    death: int
    """A descriptor that can be read once the process has ended, -1 where the system has none."""
    queue: deque[Work] = field(factory=deque)
    asked: float = 0.0
    """When the body began that it was last asked to end, since its time was over (`time.monotonic`)."""
    _kill_at: float = 0.0
    spent: bool = False
    """It is not to get any more works."""

    @classmethod
    def start(cls, hello: bytes, captured: bool, environment: Mapping[str, str]) -> Worker:
        """Start a process; *captured* output goes to files, which are still there when the process is not."""
        ours, theirs = socket.socketpair()
        life, their_life = socket.socketpair()
        # Closed by close().
        streams = tuple(tempfile.TemporaryFile(buffering=0) for _ in range(2)) if captured else ()  # noqa: SIM115
        with theirs, their_life, pulse_file() as file:
            descriptors = (theirs.fileno(), their_life.fileno(), file.fileno())
            code = (
                f"import sys; sys.path[:] = {sys.path!r}; from stepcache.execution.lifeline import hold; "
                f"hold({descriptors[1]}, {os.getpid()}); "
                f"from stepcache.worker import main; main({descriptors[0]}, {descriptors[2]})"
            )
            process = subprocess.Popen(
                [sys.executable, *_interpreter_flags(), "-P", "-c", code],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=streams[0] if streams else None,
                stderr=streams[1] if streams else None,
                pass_fds=descriptors,
                process_group=0,
            )
            pulse = Pulse(file.fileno())
        ours.setblocking(False)
        channel = Channel(ours)
        channel.send("hello", hello, captured)
        death = _death_of(process.pid)
        return cls(process, channel, life, streams, pulse, death)

    def begin(self, work: Work, data: bytes) -> None:
        """Hand it a work."""
        self.queue.append(work)
        self._send("work", work.id, work.node.file, data)

    def end(self) -> None:
        """Ask it to tear down its resources and end."""
        self.spent = True
        self._send("end")

    def _send(self, *message: Any) -> None:
        try:
            self.channel.send(*message)
        except OSError:
            pass  # it is dead, which is noticed by its death

    def dead(self) -> bool:
        """Has the process ended? Its group is ended with it, before its number can be another's."""
        if self.process.returncode is None and not _has_ended(self.process.pid):
            return False
        if self.process.returncode is None:
            self.signal(signal.SIGKILL)
        self.process.wait()
        return True

    def signal(self, number: int) -> None:
        """Send a signal to the process and all that it has started."""
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def watch_time(self, now: float) -> None:
        """End what runs beyond its time: it is asked first, and killed if it does not answer."""
        left = self.time_left(now)
        if left is None or left > 0:
            return
        if self.overdue:
            self.signal(signal.SIGKILL)
        else:
            self.asked, self._kill_at = self.pulse.began, now + GRACE_SECONDS
            os.kill(self.process.pid, signal.SIGTERM)

    @property
    def overdue(self) -> bool:
        """Has it been asked to end the body that runs now?"""
        return self.asked != 0.0 and self.asked == self.pulse.began

    def time_left(self, now: float) -> float | None:
        """How many seconds there are, at least, until what runs now is to be asked to end, or killed."""
        limit = self.queue[0].node.definition.timeout if self.queue else None
        if limit is None:
            return None
        if self.overdue:
            return self._kill_at - now
        began = self.pulse.began
        return began + limit - now if began else limit

    def last_output(self) -> Output:
        """What the process has written and nobody has taken."""
        texts = [cut(_whole(stream).decode("utf-8", "backslashreplace")) for stream in self.streams]
        return Output(texts[0], texts[1]) if texts else Output()

    def wait(self, seconds: float = _END_SECONDS) -> None:
        """Wait until the process has ended; kill it if that takes longer."""
        limit = time.monotonic() + seconds
        try:
            while not self.dead():
                if time.monotonic() >= limit:
                    self.signal(signal.SIGKILL)
                    limit += _END_SECONDS
                time.sleep(0.002)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of all that belongs to it."""
        self.channel.close()
        self.lifeline.close()
        for stream in self.streams:
            stream.close()
        self.pulse.close()
        if self.death >= 0:
            os.close(self.death)
            self.death = -1


def told_end(code: int) -> str:
    """How a process ended, as a sentence's end: "was killed by SIGSEGV", "ended with exit status 3"."""
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}"


def _death_of(pid: int) -> int:
    try:
        return os.pidfd_open(pid) if sys.platform == "linux" else -1
    except OSError:  # an old kernel, or a sandbox
        return -1


def _has_ended(pid: int) -> bool:
    """Has a child ended? It stays a zombie, so that its group's number stays its own."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _whole(stream: IO[bytes]) -> bytes:
    descriptor = stream.fileno()
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _interpreter_flags() -> list[str]:
    """The options of this interpreter that change what code does."""
    flags = sys.flags
    found = [
        "-" + letter * count for letter, count in (("O", flags.optimize), ("E", flags.ignore_environment)) if count
    ]
    found += ["-s"] if flags.no_user_site else []
    found += ["-b" * flags.bytes_warning] if flags.bytes_warning else []
    for name, value in sys._xoptions.items():
        found += ["-X", name if value is True else f"{name}={value}"]
    return found
