"""What a run from Python is told.

Nothing slow is imported here: a run that a stamp answers needs no more.
"""

from __future__ import annotations

import os
from _collections_abc import Mapping

from stepcache.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal


def named(what: str, given: Mapping[str, object] | None) -> dict[str, object]:
    """The settings or values that a call was given, by name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise UsageError(f"{what}= maps names to values, not {given!r}")
    return dict(given)


def cache_arguments(enable_cache: bool | None, cache_dir: str | Path | None) -> list[str]:
    """What the command would be told."""
    if not (enable_cache is None or isinstance(enable_cache, bool)):
        raise UsageError(f"enable_cache= takes True, False or None, not {enable_cache!r}")
    mode = {None: [], True: ["--cache=on"], False: ["--no-cache"]}[enable_cache]
    return [*mode, f"--cache-dir={os.fspath(cache_dir)}"] if cache_dir is not None else mode


def executor_arguments(workers: int | Literal["auto"] | None, executor: str | None) -> list[str]:
    """What the command would be told."""
    fits = workers is None or workers == "auto" or (isinstance(workers, int) and not isinstance(workers, bool))
    if not fits or (isinstance(workers, int) and workers < 1):
        raise UsageError(f'workers= takes a number from 1 on, "auto" or None, not {workers!r}')
    count = [] if workers is None else ["-n", str(workers)]
    return count if executor is None else [*count, f"--executor={executor}"]
