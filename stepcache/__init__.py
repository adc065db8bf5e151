"""pytest for pipelines, with a cache you can trust.

The names are imported when they are first asked for, so that `import stepcache` costs next to nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # importing typing would take as long as all else in a run with nothing to do
if TYPE_CHECKING:
    from typing import Any

    from stepcache.api import (
        All,
        Dir,
        Each,
        File,
        Retry,
        Skipped,
        StepcacheWarning,
        check,
        mark,
        param,
        parametrize,
        pipeline,
        resource,
        skip,
        step,
    )
    from stepcache.asking import run
    from stepcache.cli import main
    from stepcache.errors import CollectionFailed, NotCached, StepcacheError, StepFailed, UsageError
    from stepcache.hookspecs import hookimpl
    from stepcache.results import Run
    from stepcache.runs import load

_HOMES = {
    "stepcache.api": (
        "All", "Dir", "Each", "File", "Retry", "Skipped", "StepcacheWarning", "check", "mark", "param", "parametrize",
        "pipeline", "resource", "skip", "step",
    ),
    "stepcache.asking": ("run",),
    "stepcache.cli": ("main",),
    "stepcache.errors": ("CollectionFailed", "NotCached", "StepFailed", "StepcacheError", "UsageError"),
    "stepcache.hookspecs": ("hookimpl",),
    "stepcache.results": ("Run",),
    "stepcache.runs": ("load",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "All",
    "CollectionFailed",
    "Dir",
    "Each",
    "File",
    "NotCached",
    "Retry",
    "Run",
    "Skipped",
    "StepFailed",
    "StepcacheError",
    "StepcacheWarning",
    "UsageError",
    "__version__",
    "check",
    "hookimpl",
    "load",
    "main",
    "mark",
    "param",
    "parametrize",
    "pipeline",
    "resource",
    "run",
    "skip",
    "step",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'stepcache' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(home)
    if home == "stepcache.api":
        module.set_runner(_run_target)
    found = getattr(module, name)
    globals()[name] = found
    return found


def _run_target(target: Any, **options: Any) -> Any:
    from stepcache.runs import run_target

    return run_target(target, **options)


def __dir__() -> list[str]:
    return sorted(__all__)
