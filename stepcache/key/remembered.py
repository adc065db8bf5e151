"""What functions of the project remember by `functools.cache` and `lru_cache` is forgotten before the next step.

A step that is given what an earlier one of its process has read does not read it itself: nothing would be seen of it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Iterator
from types import FunctionType, ModuleType
from typing import Any

from stepcache.key.introspect import is_a
from stepcache.key.watch import Watch

_Cached: Any = functools._lru_cache_wrapper


class Remembered:
    """The caches that project modules hold, each module looked at once."""

    def __init__(self) -> None:
        self._caches: dict[str, tuple[ModuleType, tuple[Any, ...]]] = {}
        self._stained = False
        self._imported = -1

    def note(self, watch: Watch) -> None:
        """*watch* has ended: what it saw being read, a cache may hold."""
        self._stained = self._stained or not watch.quiet

    def forget(self, modules: Collection[str]) -> None:
        """Empty the caches in *modules*, if they might hold what steps, or imports, have read."""
        if not (self._stained or len(modules) != self._imported):
            return
        self._stained, self._imported = False, len(modules)
        for name in (*modules, "__main__"):
            module = sys.modules.get(name)
            if isinstance(module, ModuleType):
                known = self._caches.get(name)
                if known is None or known[0] is not module:
                    known = self._caches[name] = (module, tuple(_caches_in(module)))
                for cache in known[1]:
                    cache.cache_clear()


def _caches_in(module: ModuleType) -> Iterator[Any]:
    """The caches in a module's variables and in its classes, out of their wrappings."""
    for value in list(vars(module).values()):
        yield from _unwrapped(value)
        if is_a(value, type) and vars(value).get("__module__") == module.__name__:
            for inner in list(vars(value).values()):
                yield from _unwrapped(inner)


def _unwrapped(value: Any) -> Iterator[Any]:
    seen: list[object] = []
    while not any(value is each for each in seen):
        seen.append(value)
        if type(value) is _Cached:
            yield value
            return
        if is_a(value, (staticmethod, classmethod)):
            value = value.__func__
        elif is_a(value, FunctionType):
            value = value.__dict__.get("__wrapped__", value)
