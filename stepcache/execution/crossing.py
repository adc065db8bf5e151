"""Works and what came of them as bytes, for an executor whose bodies run in other processes.

A definition crosses by where it stands, since the other process imports the same files, and so does a setting's value
that stands in it; a value crosses by its digest (store/parcel.py); all else is plain data and pickled.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, field

from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.execution.work import Done, Work
from stepcache.key.ingredients import resource_functions
from stepcache.model import ABSENT, Definition, Failure, Observation, Value
from stepcache.records import define, frozen
from stepcache.store import Parcel


@frozen
class Place:
    """Where a definition stands."""

    path: str
    module: str
    kind: str
    name: str
    line: int


@frozen(eq=False)
class WorkData:
    """A work as it crosses. `sources` is what the modules that its code reaches are made of (see `Sight.sources`)."""

    work: Work
    sources: Mapping[str, tuple[str, str]]
    parcels: tuple[Parcel, ...]


@frozen(eq=False)
class DoneData:
    """What came of a work, as it crosses: its value in parcels, its exceptions each pickled by itself.

    They are those of its failures, in order.
    `memos` and `reads` are what it learnt on the way: small facts for the cache, and what modules read while they were
    imported.
    """

    done: Done
    parcels: tuple[Parcel, ...] = ()
    exceptions: tuple[bytes, ...] = ()
    memos: Mapping[bytes, bytes] = field(factory=dict)
    reads: Mapping[str, tuple[Observation, ...]] = field(factory=dict)


class Failed(Exception):
    """Stands for the exception of a step that is of no use outside the process that raised it."""


class _Pickler(pickle.Pickler):
    """Names definitions, and the values in the definition of the work's own node, instead of copying them."""

    def __init__(self, file: io.BytesIO, definitions: Iterable[Definition], insides: Insides) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._insides = [(each, insides.of(each)) for each in definitions]

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is Definition:
            return _defined, (_place(obj),)
        for definition, inside in self._insides:
            if id(obj) in inside:
                return _value_in, (definition, inside[id(obj)])
        return NotImplemented


@define
class Insides:
    """The values that stand in definitions, by their ids: looked up once for each definition."""

    _known: dict[int, tuple[Definition, dict[int, tuple[Any, ...]]]] = field(factory=dict)

    def of(self, definition: Definition) -> dict[int, tuple[Any, ...]]:
        """Where they stand in it."""
        if id(definition) not in self._known:
            self._known[id(definition)] = (definition, {id(value): at for at, value in _values_in(definition)})
        return self._known[id(definition)][1]


def _place(definition: Definition) -> Place:
    source = definition.source
    return Place(source.path, definition.module, definition.kind, definition.name, source.line)


def _values_in(definition: Definition) -> Iterator[tuple[tuple[Any, ...], object]]:
    """The defaults and choices that stand in a definition, each with where it stands there."""
    for each in definition.parameters:
        if each.default is not ABSENT:
            yield (each.name,), each.default
    for number, sets in enumerate(definition.parametrize):
        for choice, values in enumerate(sets.choices):
            for name, value in values.values:
                yield (name, number, choice), value


def _value_in(definition: Definition, at: tuple[Any, ...]) -> object:
    return next(value for where, value in _values_in(definition) if where == at)


_finder: list[Callable[[Place], Definition]] = []


def _defined(place: Place) -> Definition:
    return _finder[-1](place)


def find_definitions(finder: Callable[[Place], Definition]) -> None:
    """Say how this process finds a definition by its place. *finder* raises LookupError."""
    _finder[:] = [finder]


# --- towards the other process


def pack_work(work: Work, shelf: Shelf, sight: Sight, insides: Insides) -> bytes:
    """*work* as bytes. Raises whatever pickling a setting's value raises."""
    node = work.node
    inputs = {n: v for n, v in work.inputs.items() if isinstance(v, Value)}
    bound = {each.id: each for each in resource_functions(node, work.resources)}
    chunks = [chunk for pieces in work.batch.given.values() for chunk in pieces.chunks] if work.batch else []
    values = (*inputs.values(), *chunks)
    data = WorkData(
        evolve(work, inputs=inputs, resources=bound),
        sight.sources(work.facts),
        tuple(parcel for value in values for parcel in shelf.parcels(value)),
    )
    file = io.BytesIO()
    definitions = [node.definition, *(each.definition for each in bound.values())]
    _Pickler(file, definitions, insides).dump(data)
    return file.getvalue()


def read_work(data: bytes) -> WorkData:
    """The work that *data* is. Raises whatever importing what it names raises."""
    found: WorkData = pickle.loads(data)
    return found


# --- back


def pack_done(data: DoneData) -> bytes:
    """What came of a work as bytes."""
    exceptions: list[bytes] = []

    def without(failure: Failure) -> Failure:
        exceptions.append(_pickled(failure.exception))
        return evolve(failure, exception=None)

    done = _with_failures(data.done, without)
    return pickle.dumps(evolve(data, done=done, exceptions=tuple(exceptions)), pickle.HIGHEST_PROTOCOL)


def _with_failures(done: Done, change: Callable[[Failure], Failure]) -> Done:
    """*done* with all its failures changed."""
    ended = tuple(each if each.failure is None else evolve(each, failure=change(each.failure)) for each in done.ended)
    return evolve(done, failure=done.failure and change(done.failure), ended=ended)


def _pickled(exception: BaseException | None) -> bytes:
    try:
        return pickle.dumps(exception, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - an exception's own methods may raise anything
        return b""


def read_done(data: bytes) -> DoneData:
    """What came of a work."""
    found: DoneData = pickle.loads(data)
    exceptions = iter(found.exceptions)
    return evolve(found, done=_with_failures(found.done, lambda each: _with_exception(each, next(exceptions))))


def _with_exception(failure: Failure, pickled: bytes) -> Failure:
    exception: Any = None
    if pickled:
        try:
            exception = pickle.loads(pickled)
        except Exception:  # noqa: BLE001 - many exceptions cannot be made again from their arguments
            exception = None
    if not isinstance(exception, BaseException):
        exception = Failed(failure.summary)
    return evolve(failure, exception=exception)
