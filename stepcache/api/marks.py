"""Marks, and choices: `mark`, `param` and `parametrize`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar, overload

from attrs import evolve

from stepcache.api import record
from stepcache.api.defined import Defined
from stepcache.errors import UsageError
from stepcache.model import Mark, Parametrize, ParamSet
from stepcache.variantid import empty_choice, variant_ids

F = TypeVar("F", bound=Callable[..., Any])


class MarkDecorator:
    """`mark.NAME`, or `mark.NAME(…)`: a decorator that puts the mark on a step, check or pipeline."""

    def __init__(self, mark: Mark) -> None:
        self.mark = mark

    @overload  # a lone callable is decorated, as with pytest's marks
    def __call__(self, function: F, /) -> F: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, *args: object, **kwargs: object) -> MarkDecorator: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and (callable(args[0]) and not isinstance(args[0], type)):
            return _attach(args[0], marks=(self.mark,))
        return MarkDecorator(Mark(self.mark.name, args, kwargs))


class SkipDecorator(MarkDecorator):
    """`mark.skip`, or `mark.skip(reason)`."""

    @overload  # type: ignore[override]
    def __call__(self, function: F, /) -> F: ...
    @overload
    def __call__(self, reason: str = "") -> MarkDecorator: ...
    def __call__(self, reason: Any = "") -> Any:
        if callable(reason):
            return _attach(reason, marks=(self.mark,))
        return MarkDecorator(Mark("skip", (), {"reason": reason}))


class MarkGenerator:
    """`mark`: any attribute of it is a mark."""

    @property
    def skip(self) -> SkipDecorator:
        """Never run it: it, and what needs it, is skipped."""
        return SkipDecorator(Mark("skip", (), {"reason": ""}))

    def skipif(self, condition: object, *, reason: str) -> MarkDecorator:
        """Skip it where the condition is true."""
        if isinstance(condition, str):
            raise UsageError(f"mark.skipif({condition!r}): a condition is given as it is, not as text")
        return MarkDecorator(Mark("skipif", (bool(condition),), {"reason": reason}))

    def __getattr__(self, name: str) -> MarkDecorator:
        if name.startswith("_"):
            raise AttributeError(name)
        return MarkDecorator(Mark(name))


mark = MarkGenerator()


class ParameterSet(tuple[object, ...]):
    """The values of one choice, as `param` gives them."""

    id: str | None
    marks: tuple[Mark, ...]


def param(
    *values: object,
    id: str | None = None,  # noqa: A002
    marks: MarkDecorator | Collection[MarkDecorator] = (),
) -> ParameterSet:
    """One choice of a `parametrize`, with an id or marks of its own."""
    if id is not None and not isinstance(id, str):
        raise UsageError(f"param(id={id!r}): an id is text")
    made_set = ParameterSet(values)
    made_set.id = id
    one = (marks,) if isinstance(marks, MarkDecorator) else tuple(marks)
    made_set.marks = tuple(each.mark for each in one)
    return made_set


def parametrize(
    names: str | Sequence[str],
    values: Iterable[object],
    ids: Iterable[str | None] | Callable[[Any], object] | None = None,
) -> Callable[[F], F]:
    """Make a variant for each of *values*; pytest's rules for names, ids and several decorators hold."""
    if not isinstance(names, Iterable) or not isinstance(values, Iterable):
        raise UsageError(f"parametrize({names!r}, {values!r}): names and a list of choices are wanted")
    split = tuple(n.strip() for n in names.split(",") if n.strip()) if isinstance(names, str) else tuple(names)
    given = list(values)
    rows: list[tuple[object, ...]] = []
    for each in given:
        row = tuple(each) if isinstance(each, ParameterSet) else (each,) if len(split) == 1 else each
        if not isinstance(row, (tuple, list)) or len(row) != len(split):
            raise UsageError(f"parametrize({', '.join(split)!r}): each choice needs {len(split)} values, not {each!r}")
        rows.append(tuple(row))
    own = [each.id if isinstance(each, ParameterSet) else None for each in given]
    names_of = variant_ids(split, rows, own, ids)
    choices = tuple(
        ParamSet(tuple(zip(split, row, strict=True)), name, each.marks if isinstance(each, ParameterSet) else ())
        for row, name, each in zip(rows, names_of, given, strict=True)
    )
    every = choices or (empty_choice(split),)
    return lambda function: _attach(function, parametrize=(Parametrize(split, every),))


def _attach(target: Any, *, marks: tuple[Mark, ...] = (), parametrize: tuple[Parametrize, ...] = ()) -> Any:
    """*target* with marks or choices added, whether or not it is decorated yet."""
    if isinstance(target, Defined):
        d = target.definition
        changed = evolve(d, marks=d.marks + marks, parametrize=d.parametrize + parametrize)
        for at, each in enumerate(record.made):
            if each is d:
                record.made[at] = changed
        target.definition = changed
        return target
    noted = getattr(target, "_stepcache_noted", ((), ()))
    target._stepcache_noted = (noted[0] + marks, noted[1] + parametrize)
    return target
