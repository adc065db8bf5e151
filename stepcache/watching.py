"""`--watch`: run, wait for a change of what the run depended on, run again.

Each run is a process of its own, started as this one was: it sees edited sources, and whatever becomes of it, the
waiting goes on. It tells what it depended on (`watched.py`); while nobody runs, the folders of that are watched.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import field

from stepcache.errors import UsageError
from stepcache.grounds import upwards
from stepcache.records import define, frozen
from stepcache.termination import Terminated
from stepcache.watched import VARIABLE, Depends, heard

if TYPE_CHECKING:
    from watchfiles import Change

# Milliseconds: how long it must be quiet after a change (editors write a file in several steps), and how often keys
# are looked at.
_QUIET, _TICK = 30, 80
_SOURCES = (".py", ".toml")
_MENU = "a: all, f: failed, Enter: again, q: quit"


def watch(arguments: Sequence[str]) -> int:
    """Run with these arguments until somebody quits; the exit status of the last run."""
    try:
        import watchfiles  # noqa: F401
    except ImportError:
        raise UsageError("--watch needs watchfiles: pip install 'stepcache[watch]'") from None
    asked_here = [*arguments] == sys.argv[1:]
    command = sys.orig_argv if asked_here else [sys.executable, "-m", "stepcache", *arguments]
    with tempfile.TemporaryDirectory(prefix="stepcache-watch-") as folder:
        return _Loop(command, os.path.join(folder, "depends")).go()


@define
class _Loop:
    command: list[str]
    told: str
    """The file in which a run tells what it depended on."""
    depends: Depends = field(factory=Depends)
    status: int = 0
    choice: str = "--ff"
    _written: set[str] = field(factory=set)
    """What changed while the last run ran."""

    def go(self) -> int:
        try:
            why: str | None = ""
            while why is not None:
                before = _Before(time.time_ns(), _Watched(self.depends).names())
                self._run(why)
                why = self._wait(before)
        except KeyboardInterrupt:
            pass
        sys.stdout.write("\n")
        return self.status

    def _run(self, why: str) -> None:
        if sys.stdout.isatty():
            sys.stdout.write("\x1b[2J\x1b[3J\x1b[H")
        if why:
            sys.stdout.write(f"[watch] {why}\n")
        sys.stdout.flush()
        if os.path.exists(self.told):
            os.unlink(self.told)
        environ = {**os.environ, VARIABLE: f"{self.choice} {self.told}"}
        with subprocess.Popen(self.command, env=environ) as process:
            while True:
                try:
                    self.status = process.wait()
                    break
                except Terminated:
                    process.terminate()
                    self.status = process.wait()
                    raise
                except KeyboardInterrupt:
                    continue  # the run has got it too, and ends in its own way
        found = heard(self.told)
        self.depends = found if found.whole else self.depends.joined(found)

    # --- waiting

    def _wait(self, before: _Before) -> str | None:
        """Why to run again; None to quit."""
        from watchfiles import watch

        paths, first = _Watched(self.depends), True
        with _keys() as stdin:
            try:
                for changes in watch(
                    *paths.places(),
                    watch_filter=paths.concerns,
                    step=_QUIET,
                    rust_timeout=_TICK,
                    yield_on_timeout=True,
                    recursive=False,
                    ignore_permission_denied=True,
                ):
                    changed = {path for _, path in changes}
                    if first:  # from now on nothing is missed; before, there was nobody to see it
                        changed |= self._meanwhile(before, paths)
                        first = False
                        scope = "the failed, then all" if self.choice == "--lf" else "all"
                        sys.stdout.write(f"\n[watch] waiting for changes ({scope}). {_MENU}\n")
                        sys.stdout.flush()
                    key = _pressed(stdin)
                    if key == "q":
                        return None
                    if key:
                        self.choice = {"a": "--ff", "f": "--lf"}.get(key, self.choice)
                        return {"a": "all", "f": "the failed"}.get(key, "again")
                    if changed:
                        return f"changed: {_shown(changed)}"
            except OSError as error:
                raise UsageError(f"--watch cannot watch the {len(paths.places())} folders: {error}") from error
        return None

    def _meanwhile(self, before: _Before, paths: _Watched) -> set[str]:
        """What changed while the last run ran, and until somebody watched.

        What is no source and changed during the run before as well is taken to be written by the run.
        """
        changed = {path for path, there in self.depends.files.items() if _changed(path, there, before.began)}
        for folder, names in paths.names().items():
            changed |= {os.path.join(folder, name) for name in names ^ before.names.get(folder, names)}
        again = {path for path in changed & self._written if not path.endswith(_SOURCES)}
        self._written = changed
        return changed - again


@frozen
class _Before:
    """How things were when a run began: the time in nanoseconds, and the names in folders where they count."""

    began: int
    names: dict[str, frozenset[str]]


class _Watched:
    """What is watched for a run: which folders, and which events in them count."""

    def __init__(self, depends: Depends) -> None:
        from watchfiles import DefaultFilter

        self._paths = _real(depends.files)
        self._folders, self._searched = _real(depends.folders), _real(depends.searched)
        self._above = {above for path in self._paths | self._folders for above in upwards(path)}
        self._hidden = depends.hidden
        self._is_told = DefaultFilter()

    def places(self) -> list[str]:
        """The folders to watch: for each path the nearest one above it that is there."""
        starts = {*self._folders, *self._searched, *(os.path.dirname(path) for path in self._paths)}
        return sorted({next((each for each in upwards(start) if os.path.isdir(each)), os.sep) for start in starts})

    def concerns(self, change: Change, path: str) -> bool:
        if change.name == "modified":
            return path in self._paths and not os.path.isdir(path)
        return path in self._paths or path in self._above or self._is_named(change, path)

    def _is_named(self, change: Change, path: str) -> bool:
        folder = os.path.dirname(path)
        if path == self._hidden or not self._is_told(change, path):
            return False
        return folder in self._folders or (folder in self._searched and (path.endswith(".py") or os.path.isdir(path)))

    def names(self) -> dict[str, frozenset[str]]:
        """The names that count in each folder."""
        from watchfiles import Change

        found = {}
        for folder in self._folders | self._searched:
            try:
                listed = os.listdir(folder)
            except OSError:
                listed = []
            found[folder] = frozenset(n for n in listed if self._is_named(Change.added, os.path.join(folder, n)))
        return found


def _real(paths: Iterable[str]) -> set[str]:
    """*paths*, and where those lead that are links or lie behind one."""
    every = set(paths)
    return every | {os.path.realpath(path) for path in every}


def _changed(path: str, there: bool, began: int) -> bool:
    """Has it changed since then, or come or gone since it was looked at?"""
    try:
        status = os.stat(path)
    except OSError:
        return there != os.path.lexists(path)
    return not there or (not os.path.isdir(path) and max(status.st_mtime_ns, status.st_ctime_ns) > began)


def _shown(paths: Iterable[str]) -> str:
    told = sorted(os.path.relpath(path) if path.startswith(os.getcwd() + os.sep) else path for path in paths)
    return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")


# --- keys


@contextmanager
def _keys() -> Iterator[int | None]:
    """Standard input, each key of it at once where it is a terminal that is ours; None where there is none."""
    try:
        stdin = sys.stdin.fileno()
        terminal = os.isatty(stdin)
        if terminal and os.tcgetpgrp(stdin) != os.getpgrp():
            yield None  # in the background
            return
    except (AttributeError, OSError, ValueError):
        yield None
        return
    if not terminal:
        yield stdin
        return
    import termios
    import tty

    before = termios.tcgetattr(stdin)
    tty.setcbreak(stdin, termios.TCSANOW)
    try:
        yield stdin
    finally:
        termios.tcsetattr(stdin, termios.TCSANOW, before)


def _pressed(stdin: int | None) -> str:
    """The last key that means something, and that nobody has looked at; "" for none."""
    if stdin is None or not select.select([stdin], [], [], 0)[0]:
        return ""
    typed = os.read(stdin, 1024).decode(errors="replace")
    return next((key for key in reversed(typed) if key in "afq\n"), "")
