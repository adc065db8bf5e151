"""The executor that runs bodies in worker processes.

Own, and small: a step that dies must fail alone, one that hangs must be killed alone, and none may outlive the run;
values travel through the store, so nothing large passes through a pipe. No process is started before a body must run.
"""

from __future__ import annotations

import select
import signal
import time
from collections.abc import Callable, Mapping

from attrs import field

from stepcache.errors import WorkerDied
from stepcache.execution.channel import Message
from stepcache.execution.work import Done, Work
from stepcache.execution.workers import Worker, told_end
from stepcache.model import Failure, Node
from stepcache.records import define

# Works that take less are handed out two at a time, so that a worker need not wait for its next.
_SHORT_SECONDS = 0.005
# Where the system does not tell of a process' end.
_LOOK_SECONDS = 0.1
_INTERRUPT_SECONDS = 1.0


@define(eq=False)
class Pool:
    """Runs up to *size* works at once.

    *hello*, *pack* and *unpack* are the site's. *captured* is false where steps write to the terminal.
    """

    size: int
    hello: Callable[[], bytes]
    pack: Callable[[Work], bytes | str]
    unpack: Callable[[Work, bytes], Done]
    captured: bool = True
    logged: Callable[[str, str], object] = lambda node, line: None
    """Told of what bodies log as they do, under `--log-cli-level`: the node's id, and a line."""
    environment: Mapping[str, str] = field(factory=dict)
    """Variables that the workers have beside those of this process."""
    _workers: list[Worker] = field(factory=list)
    _waiting: list[Work] = field(factory=list)
    """Works whose worker died before it came to them."""
    _finished: list[Done] = field(factory=list)
    _seconds: float = 1.0
    """How long works take, of late."""
    _wrong_ends: list[str] = field(factory=list)
    _interrupted: bool = False
    """What runs has been asked to end."""
    _end_seconds: float = 30.0
    """How long the workers may take to tear down their resources."""

    def takes(self, node: Node) -> bool:
        """Is a worker idle, or may one be started?"""
        if self._waiting:
            return False
        return len(self._live()) < self.size or self._least(node) is not None

    def _live(self) -> list[Worker]:
        return [each for each in self._workers if not each.spent]

    def _least(self, node: Node) -> Worker | None:
        """The worker that has least to do, if it can take one more."""
        depth = 2 if self._seconds < _SHORT_SECONDS and node.definition.timeout is None else 1
        free = [
            each
            for each in self._live()
            if len(each.queue) < depth and not any(w.node.definition.timeout is not None for w in each.queue)
        ]
        return min(free, key=lambda each: len(each.queue), default=None)

    def submit(self, work: Work) -> None:
        """Hand the work to a worker."""
        data = self.pack(work)
        if isinstance(data, str):
            self._finished.append(Done(work.id, "refused", message=data))
            return
        worker = self._least(work.node)
        if (worker is None or worker.queue) and len(self._live()) < self.size:
            worker = Worker.start(self.hello(), self.captured, self.environment)
            self._workers.append(worker)
        assert worker is not None
        worker.begin(work, data)

    def finished(self, wait: bool) -> list[Done]:
        """What has come to its end since the last time."""
        self._look(0.0)
        while wait and not self._finished and (self._waiting or any(each.queue for each in self._workers)):
            self._look(None)
        done, self._finished = self._finished, []
        return done

    # --- what the workers say

    def _look(self, seconds: float | None) -> None:
        """Take what has come from the workers, waited for so long; None is until something comes."""
        workers = {each.channel.fileno(): each for each in self._workers}
        if not workers:
            return
        poll = select.poll()
        for descriptor, worker in workers.items():
            poll.register(descriptor, select.POLLIN | (select.POLLOUT if worker.channel.unsent else 0))
            if worker.death >= 0:
                poll.register(worker.death, select.POLLIN)
        poll.poll(self._patience(seconds))
        for worker in workers.values():
            self._hear(worker)
        for worker in self._workers:
            worker.watch_time(time.monotonic())
        while self._waiting and self.takes(self._waiting[-1].node):
            self.submit(self._waiting.pop())

    def _patience(self, seconds: float | None) -> float | None:
        """How long to wait, in milliseconds, until something has to be done."""
        if seconds == 0:
            return 0
        now = time.monotonic()
        limits = [left for left in (each.time_left(now) for each in self._workers) if left is not None]
        limits += [seconds] if seconds is not None else []
        limits += [_LOOK_SECONDS] if any(each.death < 0 for each in self._workers) else []
        return max(0.0, min(limits) * 1000 + 1) if limits else None

    def _hear(self, worker: Worker) -> None:
        dead = worker.dead()
        try:
            worker.channel.flush()
        except OSError:
            pass  # it is dead
        messages, more = worker.channel.received()
        for message in messages:
            self._take(worker, message)
        if worker.channel.garbled:
            worker.signal(signal.SIGKILL)
        if dead or not more:
            self._bury(worker)

    def _take(self, worker: Worker, message: Message) -> None:
        kind, *rest = message
        if kind == "done":
            work = worker.queue.popleft()
            done = self.unpack(work, rest[0])
            self._seconds += (done.seconds - self._seconds) / 8
            if done.outcome == "interrupted" and not self._interrupted:
                raise KeyboardInterrupt  # which the body has raised
            if done.outcome != "interrupted":
                self._finished.append(done)
            if worker.asked:  # what the step had started may still run
                worker.end()
        elif kind == "logged":
            self.logged(*rest)
        elif kind == "ended":
            self._wrong_ends.extend(rest[0])

    def _bury(self, worker: Worker) -> None:
        """A process has ended: what it ran has failed, what it had not come to yet goes to another."""
        self._workers.remove(worker)
        if not worker.queue:
            worker.wait()
            return
        output, reached, overdue = worker.last_output(), worker.pulse.number, worker.overdue
        worker.wait()
        died, *rest = worker.queue
        self._waiting.extend(reversed(rest))
        failure = _death(died, worker, overdue)
        self._finished.append(Done(died.id, "failed", output=output, failure=failure, reached=reached))

    # --- the end

    def interrupt(self) -> list[Done]:
        """End what runs now, as Ctrl-C does; what had come to its end before."""
        self._interrupted = True
        self._waiting.clear()
        self._end_seconds = _INTERRUPT_SECONDS / 2
        limit = time.monotonic() + _INTERRUPT_SECONDS
        try:
            for worker in self._workers:
                if worker.queue:
                    worker.signal(signal.SIGINT)
                else:
                    worker.end()
            while any(each.queue for each in self._workers) and time.monotonic() < limit:
                self._look(limit - time.monotonic())
        finally:
            for worker in [each for each in self._workers if each.queue]:
                worker.signal(signal.SIGKILL)
                worker.queue.clear()
        done, self._finished = self._finished, []
        return [each for each in done if each.failure is None]

    def close(self) -> list[str]:
        """Have the workers tear down their resources, and end them; what went wrong with it, a line each."""
        limit = time.monotonic() + self._end_seconds
        try:
            for worker in self._live():
                worker.end()
            while self._workers and time.monotonic() < limit:
                self._look(limit - time.monotonic())
        finally:
            for worker in self._workers:
                worker.signal(signal.SIGKILL)
                worker.wait()
            self._workers.clear()
        return self._wrong_ends


def _death(work: Work, worker: Worker, overdue: bool) -> Failure:
    """The failure of a node whose process ended under it."""
    source = work.node.definition.source
    if overdue:
        limit = work.node.definition.timeout
        said = f"it took longer than its timeout of {limit:g} seconds, did not stop when asked to, and was killed"
        error: Exception = TimeoutError(said)
    elif worker.channel.garbled:
        said = "what came from the process that ran it is no message: it may have written to descriptors of others"
        error = WorkerDied(said)
    else:
        code = worker.process.returncode
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        said = f"the process that ran it {told_end(code)}{hint}"
        error = WorkerDied(said)
    summary = f"{type(error).__name__}: {said}"
    return Failure(summary, f"{source}: {summary}", str(source), error)
