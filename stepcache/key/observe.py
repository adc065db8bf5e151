"""The observer: opens and ends watches, and has the hook and the wrappers in place while there are any.

In reading order: events.py (what is noted), watch.py (noting it), callers.py (who asked), listen.py (whose it is),
hook.py, wrappers.py and native.py (hearing of it), conclude.py (what counts of it), rules.py (the table).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from typing import Any

from stepcache.key import listen, native
from stepcache.key.callers import Callers
from stepcache.key.conclude import Seen
from stepcache.key.files import FileDigests
from stepcache.key.hook import HANDLERS, handlers, install_once
from stepcache.key.look import Look, declared, now
from stepcache.key.rules import Rules
from stepcache.key.watch import Watch, current_watch, paused
from stepcache.key.wrappers import unwrap, wrap

__all__ = ["Look", "Observer", "Rules", "Seen", "Watch", "declared", "now"]

_lock = threading.RLock()


class Observer:
    """Watches what project code reads. *is_project* tells project code from installed code by its file.

    *files* digests what is about to be changed by the step that read it.
    """

    def __init__(self, is_project: Callable[[str], bool], files: FileDigests | None = None) -> None:
        self._callers = Callers(is_project)
        self._files = files or FileDigests()

    def watch(self) -> AbstractContextManager[Watch]:
        """Watches what runs in this block, in the threads that it starts and the children that it forks."""
        return _Listening(Watch(self._callers, self._files))

    @contextmanager
    def watch_import(self, module: str = "") -> Iterator[Watch]:
        """The same, for the import of the project module of that name; what nested imports read is the innermost's.

        If it is not an import statement that imports it, the step that is running is told: none of its code may name
        the module.
        """
        watch = Watch(self._callers, self._files)
        watch.of_import = True
        watch.around = listen.listening()
        stated, by_library = self._callers.importer(sys._getframe())
        for_whom = [importer for each in watch.around for importer in each.imported_for]
        if not stated:
            for_whom += [each for each in watch.around if each not in for_whom]
        watch.imported_for = tuple(for_whom)
        for importer in watch.imported_for:
            if by_library:
                importer.found(module)
            else:
                importer.imported(module)
        with _Listening(watch):
            yield watch

    paused = staticmethod(paused)


class _Listening:
    """Has a watch hear of what happens in this block."""

    __slots__ = ("_token", "_watch")
    _token: Token[Any]

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __enter__(self) -> Watch:
        _open(self._watch)
        self._token = current_watch.set(self._watch)
        return self._watch

    def __exit__(self, *raised: object) -> None:
        current_watch.reset(self._token)
        _close(self._watch)


def _open(watch: Watch) -> None:
    with _lock:
        install_once()
        if listen.add(watch) == 1:
            handlers.update(HANDLERS)
            wrap()
            native.wrap()


def _close(watch: Watch) -> None:
    with _lock:
        watch.end()
        if not listen.drop(watch):
            handlers.clear()
            unwrap()
            native.unwrap()
