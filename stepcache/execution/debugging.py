"""Debuggers in bodies: `breakpoint()`, and `--pdb` where one fails. The terminal is theirs while they are open."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stepcache.execution.capture import Capture
from stepcache.model import Failure, Output
from stepcache.records import define

if TYPE_CHECKING:
    import pdb


@define(eq=False)
class Debugger:
    """Opens pdb on the terminal: what bodies write is not caught any more from then on, until the next one begins.

    *opened* is called first. `left` is true once the user has quit: then nothing more is to be run.
    """

    capture: Capture
    opened: Callable[[], None]
    left: bool = False

    @contextmanager
    def ready(self) -> Iterator[None]:
        """While open, `breakpoint()` opens it; another's hook, such as an editor's, stays as it is."""
        if sys.breakpointhook is not sys.__breakpointhook__:
            yield
            return
        sys.breakpointhook = self._breakpoint
        try:
            yield
        finally:
            sys.breakpointhook = sys.__breakpointhook__

    def _breakpoint(self, *args: Any, **kwargs: Any) -> Any:
        if os.environ.get("PYTHONBREAKPOINT") == "0":
            return None
        self._open()
        if os.environ.get("PYTHONBREAKPOINT"):
            return sys.__breakpointhook__(*args, **kwargs)
        _pdb().set_trace(sys._getframe(1))
        return None

    def after(self, failure: Failure, output: Output) -> None:
        """Show what was raised and what had been caught, and look at where it was raised."""
        exception = failure.exception
        if self.left or exception is None:
            return
        self._open()
        for name, text in (("stdout", output.stdout), ("stderr", output.stderr), ("log", output.log)):
            if text:
                sys.stdout.write(f"\n----- captured {name} -----\n{text}")
        sys.stdout.write(f"\n{failure.text}\n\n")
        debugger = _pdb()
        debugger.reset()
        debugger.interaction(None, exception.__traceback__)
        self.left = bool(debugger.quitting)

    def _open(self) -> None:
        self.opened()
        self.capture.let_go()


class NoTerminal(BaseException):
    """`breakpoint()` in a process that has no terminal. No Exception, so that a body's own handlers let it pass."""


@contextmanager
def without_terminal() -> Iterator[None]:
    """While open, `breakpoint()` raises `NoTerminal`; another's hook, such as an editor's, stays as it is."""
    if sys.breakpointhook is not sys.__breakpointhook__:
        yield
        return
    sys.breakpointhook = _no_terminal
    try:
        yield
    finally:
        sys.breakpointhook = sys.__breakpointhook__


def _no_terminal(*_: Any, **__: Any) -> None:
    if os.environ.get("PYTHONBREAKPOINT") != "0":
        raise NoTerminal("breakpoint() has no terminal there")


def is_quit(error: BaseException) -> bool:
    """Has the user quit the debugger that `breakpoint()` had opened?"""
    module = sys.modules.get("bdb")
    return module is not None and isinstance(error, module.BdbQuit)


def _pdb() -> pdb.Pdb:
    import pdb

    return pdb.Pdb(nosigint=True)
