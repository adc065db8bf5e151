"""What the decorators give back: callable objects that carry their definition."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar

from stepcache.api.record import running_node
from stepcache.api.skipping import StepcacheWarning
from stepcache.model import Definition
from stepcache.results import Run

P = ParamSpec("P")
R = TypeVar("R")


class Runner(Protocol):
    """What runs a definition from Python: the session room sets it."""

    def __call__(self, target: Defined[..., Any], **options: Any) -> Any: ...


_runner: list[Runner] = []


def set_runner(runner: Runner) -> None:
    """Say what `NAME.run()` calls."""
    _runner[:] = [runner]


class Defined(Generic[P, R]):
    """A decorated function. Calling it runs its body."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        function = definition.function
        self.__doc__ = function.__doc__
        self.__name__: str = getattr(function, "__name__", definition.name)
        self.__qualname__: str = getattr(function, "__qualname__", definition.name)
        self.__module__ = definition.module
        self.__wrapped__: Callable[P, R] = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        node = running_node.get()
        if node is not None:
            name = self.definition.name
            warnings.warn(
                f"{self.definition.kind} '{name}' was called inside {node}: its body ran uncached; "
                f"take a parameter named '{name}' instead",
                StepcacheWarning,
                stacklevel=2,
            )
        result: R = self.definition.function(*args, **kwargs)
        return result

    def __repr__(self) -> str:
        return f"<{self.definition.kind} {self.definition.name} of {self.definition.source}>"

    def __reduce__(self) -> str:
        return self.__qualname__


class Runnable(Defined[P, R]):
    """A step or pipeline: it can be run."""

    def run(
        self,
        enable_cache: bool | None = None,
        params: Mapping[str, object] | None = None,
        values: Mapping[str, object] | None = None,
        check: bool = True,
        workers: int | Literal["auto"] | None = None,
        cache_dir: str | Path | None = None,
    ) -> Run:
        """Run it and what it needs; `enable_cache` False or True turns the cache off or on for every node.

        Raises `StepFailed` from the original exception, unless *check* is false.
        """
        result: Run = _runner[0](
            self,
            enable_cache=enable_cache,
            params=params,
            values=values,
            check=check,
            workers=workers,
            cache_dir=cache_dir,
        )
        return result


class Step(Runnable[P, R]):
    """A function whose return value is worth keeping."""


class Pipeline(Runnable[P, R]):
    """A function that names the steps to build."""


class Resource(Defined[P, R]):
    """A function that gives a live object."""


class Check(Defined[P, R]):
    """A function that asserts on step values."""
