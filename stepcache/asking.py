"""`run`: answered by its stamp where there is one, before anything is imported that runs anything."""

from __future__ import annotations

import marshal
import os
from copy import deepcopy

from stepcache.calling import cache_arguments, executor_arguments, named
from stepcache.results import Run
from stepcache.stamp import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Literal

    from stepcache.results import Results
    from stepcache.stamp import Asked


def run(
    *args: str | Path,
    params: Mapping[str, object] | None = None,
    values: Mapping[str, object] | None = None,
    enable_cache: bool | None = None,
    select: str | None = None,
    workers: int | Literal["auto"] | None = None,
    executor: str | None = None,
    profile: str | None = None,
    cache_dir: str | Path | None = None,
    plugins: Sequence[object] = (),
    check: bool = False,
) -> Run:
    """Do what the command does, from Python; nothing is printed.

    Args:
        args: files, directories or node ids; with none, what the command would take.
        params: settings by NAME or "STEP.NAME"; never converted.
        values: values in the place of steps'; nothing downstream of them is stored.
        enable_cache: False turns the cache off for every node, True turns it on whatever pipelines and steps say.
        select: an expression, as for `-k`.
        workers: how many nodes run at once, each in a process of its own; "auto" is one for each processor.
        executor: "inline" (this process), "process", or one that a plugin offers.
        profile: a profile of the configuration.
        cache_dir: the cache folder.
        plugins: more plugins: modules or objects with hooks.
        check: raise `StepFailed` or `CollectionFailed` where something went wrong.
    """
    arguments = [os.fspath(each) for each in args] + cache_arguments(enable_cache, cache_dir)
    arguments += executor_arguments(workers, executor)
    if select is not None:
        arguments += ["-k", select]
    if profile is not None:
        arguments += [f"--profile={profile}"]
    settings, given = named("params", params), named("values", values)
    asked = None if given or plugins else ask("run", arguments, settings)
    found = _answered(asked, settings) if asked is not None else None
    if found is not None:
        return found
    from stepcache.runs import run_asked

    return run_asked(tuple(arguments), settings, given, tuple(plugins), asked, check)


def _answered(asked: Asked, params: Mapping[str, object]) -> Run | None:
    """What a stamp says of a run: nothing was to be done. What it does not say is made when it is asked for."""
    found = asked.stamp()
    rest = found[1].rest() if found is not None else None
    if found is None or rest is None:
        return None

    settings = deepcopy(params) if params else {}  # what is in them may be changed before they are asked for

    def make() -> Results:
        from stepcache.runs import results_of

        return results_of(asked.arguments, settings, marshal.loads(rest)[0])

    return Run(found[0].exit_code, make, lambda: marshal.loads(rest))
