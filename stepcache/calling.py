"""What a run from Python is told, and what it gives back.

Nothing slow is imported here: a run that a stamp answers needs no more.
"""

from __future__ import annotations

import os
from _collections_abc import Mapping

from stepcache.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, Literal, Protocol

    class Results(Protocol):
        """What is behind a run: its session, its report, and the values of its nodes."""

        @property
        def nodes(self) -> list[dict[str, Any]]: ...
        @property
        def errors(self) -> list[dict[str, Any]]: ...
        @property
        def warnings(self) -> tuple[str, ...]: ...
        def value(self, name: str) -> Any: ...
        def why(self, name: str) -> list[str]: ...
        def table(self, name: str) -> list[dict[str, Any]]: ...
        def _repr_html_(self) -> str: ...


class Run:
    """What a run from Python gives back.

    `run["features"]` is a step's value, loaded when it is asked for; of a parametrised step, a mapping from variant
    id to value. Names and node ids serve alike.

    *make* gives the results. Where a stamp has answered they are made when more is asked for than it says: *told*
    gives the rows of the report and the warnings.
    """

    def __init__(
        self,
        exit_code: int,
        make: Callable[[], Results],
        told: Callable[[], tuple[list[dict[str, Any]], tuple[str, ...]]] | None = None,
    ) -> None:
        self.exit_code = exit_code
        self._make = make
        self._made: Results | None = None
        self._told = told

    @property
    def _results(self) -> Results:
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, name: str) -> Any:
        return self._results.value(name)

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The rows of the JSON report."""
        return self._results.nodes if self._told is None else self._told()[0]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The collection errors, as in the JSON report."""
        return self._results.errors if self._told is None else []

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the run warned of."""
        return self._results.warnings if self._told is None else self._told()[1]

    def why(self, name: str) -> list[str]:
        """Why the node ran, each reason a line; nothing for a hit."""
        return self._results.why(name)

    def table(self, name: str) -> list[dict[str, Any]]:
        """A dict for each variant: its settings, and its value under "value"."""
        return self._results.table(name)

    def __repr__(self) -> str:
        from stepcache.report.htmltable import counts

        return f"<Run: {counts(row['outcome'] for row in self.nodes)}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: its nodes as a table."""
        return self._results._repr_html_()


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
