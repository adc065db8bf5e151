"""Asynchronous bodies, concurrently with one another: one event loop, a task for each.

What belongs to the process is each one's own all the same: whenever another node's body is about to go on, what it had
takes the place of the other's: standard output and error (with what its children write to them), the working directory,
`sys.path` and the environment. What is read belongs to whom it does by itself: a watch is looked up in the context.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar

from attrs import field

from stepcache.execution.call import working_directory
from stepcache.execution.capture import Capture, Sink
from stepcache.key.watch import paused
from stepcache.records import define

# How long those that are interrupted may take to end.
_END_SECONDS = 1.0

T = TypeVar("T")


@define(eq=False)
class Surroundings:
    """What one body has to itself, as it was when it was last left, and the tasks that it has started."""

    sink: Sink | None
    folder: str | None
    path: list[str]
    variables: dict[str, str]
    tasks: set[asyncio.Task[Any]] = field(factory=set)

    @classmethod
    def here(cls, sink: Sink | None = None) -> Surroundings:
        """Those that there are now."""
        return cls(sink, working_directory(), list(sys.path), dict(os.environ))

    def for_one(self, sink: Sink | None) -> Surroundings:
        """The same for a body that is about to begin."""
        return Surroundings(sink, self.folder, list(self.path), dict(self.variables))

    def leave(self) -> None:
        self.folder = working_directory()
        self.path = list(sys.path)
        self.variables = dict(os.environ)

    def enter(self, left: Surroundings) -> None:
        """Have them take the place of those that were just *left*."""
        if self.path != left.path:
            sys.path[:] = self.path
        for name in left.variables.keys() - self.variables.keys():
            del os.environ[name]
        for name, value in self.variables.items() - left.variables.items():
            os.environ[name] = value
        if self.folder is not None and self.folder != left.folder:
            with suppress(OSError):  # it was removed
                os.chdir(self.folder)

    async def end(self) -> None:
        """End the tasks that the body has left behind."""
        left = [task for task in self.tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)


# Those of the body that runs in this context; None is for what belongs to no single one.
_surroundings: ContextVar[Surroundings | None] = ContextVar("stepcache_surroundings", default=None)


@contextmanager
def outliving() -> Iterator[None]:
    """Tasks started here do not end with the body that runs: they belong to a resource."""
    token = _surroundings.set(None)
    try:
        yield
    finally:
        _surroundings.reset(token)


@define(eq=False)
class Together:
    """The event loop of this process; made when it is first needed.

    `importing` is open while it runs.
    """

    capture: Capture
    importing: Callable[[], AbstractContextManager[None]]
    _runner: asyncio.Runner | None = None
    _thread: Any = None
    """Where this thread's event loop runs already, as in a notebook, ours has a thread of its own."""
    _waiting: list[Callable[[], Awaitable[Any]]] = field(factory=list)
    _tasks: list[asyncio.Task[Any]] = field(factory=list)
    _now: Surroundings = field(factory=Surroundings.here)
    _outside: Surroundings = field(factory=Surroundings.here)
    """What there is while no body goes on."""

    @property
    def count(self) -> int:
        """How many bodies are under way, or are to begin when it is next waited for one."""
        return len(self._waiting) + len(self._tasks)

    def begin(self, body: Callable[[], Awaitable[T]]) -> None:
        """Have a body begin, beside those that are under way."""
        self._waiting.append(body)

    def some(self, seconds: float | None = None) -> list[Any]:
        """What the bodies came to that end next, waited for at most so long; others go on when it is asked again."""
        return self._run_here(self._some(seconds))

    async def _some(self, seconds: float | None) -> list[Any]:
        for body in self._waiting:
            self._tasks.append(asyncio.create_task(self._apart(body)))
        self._waiting.clear()
        await asyncio.wait(self._tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return [task.result() for task in self._ended()]

    def _ended(self) -> list[asyncio.Task[Any]]:
        ended = [task for task in self._tasks if task.done()]
        self._tasks = [task for task in self._tasks if not task.done()]
        return ended

    def interrupt(self) -> list[Any]:
        """End what is under way, as Ctrl-C does; what had come to its end before."""
        self._waiting.clear()
        return self._run_here(self._interrupted()) if self._tasks else []

    async def _interrupted(self) -> list[Any]:
        before = [task.result() for task in self._ended() if not task.cancelled() and task.exception() is None]
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_END_SECONDS)
        self._tasks.clear()
        return before

    # --- the loop

    def alone(self, work: Awaitable[T]) -> T:
        """What *work* comes to, which nothing runs beside."""
        return self._run_here(self._alone(work))

    async def _alone(self, work: Awaitable[T]) -> T:
        here = Surroundings.here()
        _surroundings.set(here)
        self._turn()
        try:
            return await work
        finally:
            await here.end()

    def _run_here(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the loop until *work* is done. Ctrl-C is not waited for: it ends this at once."""
        if self._thread is None and not _loop_runs():
            return self._run(work)
        from contextvars import copy_context

        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor

            self._thread = ThreadPoolExecutor(1)
        result: T = self._thread.submit(copy_context().run, self._run, work).result()
        return result

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()
            self._runner.get_loop().set_task_factory(self._task)
        loop = self._runner.get_loop()
        self._now = self._outside = Surroundings.here()
        task = loop.create_task(work)
        try:
            with self.importing():
                loop.run_until_complete(asyncio.wait([task]))
        except BaseException as error:
            if not task.done():  # a signal has raised it
                raise error.with_traceback(_place_where_ended(task, loop)) from None
            raise
        finally:
            self._turn_to(self._outside)
        return task.result()

    def close(self) -> None:
        """End the loop, with all that was left behind in it."""
        if self._thread is not None:
            self._thread.submit(self._close).result()
            self._thread.shutdown()
        else:
            self._close()

    def _close(self) -> None:
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    # --- whose turn it is

    def _task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        """Every task of the loop: it belongs to the body that starts it."""
        task = asyncio.Task(_Turning(work, self._turn), loop=loop, **options)
        here = _surroundings.get()
        if here is not None:
            here.tasks.add(task)
            task.add_done_callback(here.tasks.discard)
        return task

    async def _apart(self, body: Callable[[], Awaitable[T]]) -> T:
        """Run a body with surroundings of its own."""
        with self.capture.apart() as sink:
            here = self._outside.for_one(sink)
            _surroundings.set(here)
            self._turn()
            try:
                return await body()
            finally:
                await here.end()

    async def afresh(self, body: Callable[[], Awaitable[T]]) -> T:
        """Run one of several bodies that follow one another in a place beside others: as if it were the first."""
        before = _surroundings.get()
        here = self._outside.for_one(before.sink if before is not None else None)
        token = _surroundings.set(here)
        self._turn()
        try:
            return await body()
        finally:
            await here.end()
            _surroundings.reset(token)
            self._turn()

    def _turn(self) -> None:
        """What runs in this context is about to go on."""
        here = _surroundings.get()
        if here is not None and here is not self._now:
            self._turn_to(here)

    def _turn_to(self, here: Surroundings) -> None:
        if self._now is not here:
            with paused():
                self._now.leave()
                here.enter(self._now)
        self._now = here
        self.capture.turn_to(here.sink)


class _Turning(Coroutine[Any, Any, Any]):
    """A coroutine; *turn* is called whenever it is about to go on."""

    def __init__(self, inner: Any, turn: Callable[[], None]) -> None:
        self._inner = inner
        self._turn = turn

    def send(self, value: Any) -> Any:
        self._turn()
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        self._turn()
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        found: Generator[Any, Any, Any] = self._inner.__await__()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _place_where_ended(task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop) -> TracebackType | None:
    """End a task; where it was."""
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    try:
        task.result()
    except BaseException as ended:  # noqa: BLE001 - the body may raise anything
        return ended.__traceback__
    return None


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
