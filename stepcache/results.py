"""What a run from Python gives back.

Nothing slow is imported here: a run that a stamp answers needs no more.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

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
        return f"<Run: {counts(row['outcome'] for row in self.nodes)}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: its nodes as a table."""
        return self._results._repr_html_()


def counts(outcomes: Iterable[str]) -> str:
    """`2 ran, 1 passed`."""
    found: dict[str, int] = {}
    for word in outcomes:
        found[word] = found.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in found.items()) or "nothing ran"
