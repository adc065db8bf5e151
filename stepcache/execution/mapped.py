"""A mapped node in progress: which of its elements are known, which are still to run, and the whole that they make."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from attrs import field

from stepcache.errors import ValueGone
from stepcache.execution.elements import Source
from stepcache.execution.values import Held
from stepcache.execution.work import MOST_TOGETHER, Work, runs_together
from stepcache.key.ingredients import Recipe
from stepcache.model import Elements, Failure, Node, Observation, Output, Reason, Value, joined
from stepcache.records import define, frozen
from stepcache.store.mapped import Elements as Lineup
from stepcache.store.mapped import Pack

# What a batch is to take: then its results are stored. Of those that run beside one another there are many.
_BATCH_SECONDS = 0.5
_TOGETHER_SECONDS = 2.0
_MOST_ELEMENTS = 4000
# A batch is to take so many times as long as what it takes however few its elements are.
_WORTH = 5
# A batch is at most so many times the one before.
_GROWTH = 4


@frozen(eq=False)
class Base:
    """What all elements of a mapped node have in common: their key but for what tells one element from another.

    `node` stands for them: its id names them in the cache. `key` is "" where they have none.
    """

    node: Node
    recipe: Recipe | None = None
    key: str = ""
    values: Mapping[str, Value] = field(factory=dict)
    """Of the nodes right before it."""


@define(eq=False)
class Mapped:
    """The elements of a mapped node, by name: what an element is made from. Equal elements have one name.

    `names` are those of all elements in order; `found` says in which pack, and where there, the result of one lies.
    """

    node: Node
    base: Base
    sources: Mapping[str, Source] = field(factory=dict)
    names: Sequence[bytes] = ()
    found: dict[bytes, tuple[Pack, int]] = field(factory=dict)
    reasons: tuple[Reason, ...] = ()
    trouble: Failure | None = None
    """Why it has no elements."""
    gone: ValueGone | None = None
    """What could not be had of what it goes through."""
    packs: list[tuple[str, Pack]] = field(factory=list)
    """The packs that are stored, with their digests, the oldest last."""
    fresh: int = 0
    """How many of them this run has stored."""
    under_way: dict[str, Work] = field(factory=dict)
    failures: dict[bytes, Failure] = field(factory=dict)
    skipped: dict[bytes, str] = field(factory=dict)
    held: dict[bytes, Held] = field(factory=dict)
    changed: dict[str, None] = field(factory=dict)
    """What changed while elements that read it ran: nothing that rests on it is stored."""
    notices: dict[str, None] = field(factory=dict)
    standing: dict[Observation, None] = field(factory=dict)
    """What the set-ups of its resources read."""
    unstorable: str = ""
    seconds: float = 0.0
    output: dict[bytes, Output] = field(factory=dict)
    """What failed elements wrote."""
    _first: dict[bytes, int] = field(factory=dict)
    """The elements to run, each with the number of the first that has its name."""
    _waiting: deque[bytes] = field(factory=deque)
    _ran: set[bytes] = field(factory=set)
    _size: int = 1
    _batches: int = 0

    # --- what is to run

    def want(self, first: Mapping[bytes, int]) -> None:
        """These are to run: the elements of those names, each at the number given."""
        self._first = dict(first)
        self._waiting = deque(first)

    @property
    def waits(self) -> bool:
        """Are there elements that have not been handed out?"""
        return bool(self._waiting)

    @property
    def over(self) -> bool:
        """Is there nothing more to run, or has something been lost that has to be made again first?"""
        return not self.under_way and (not self.waits or self.gone is not None)

    def next(self) -> tuple[bytes, ...]:
        """The names of the elements that are to be handed out now, unless there are too many; then the first."""
        size = self._size
        if runs_together(self.node):  # as many for each that may run
            size = max(1, min(size, len(self._waiting) // MOST_TOGETHER))
        return tuple(islice(self._waiting, size))

    def numbers(self, names: Sequence[bytes]) -> list[int]:
        """Where the elements of those names lie in the sources."""
        return [self._first[name] for name in names]

    def handed_out(self, count: int) -> int:
        """The first elements of `next` are under way; the number of their batch."""
        self._batches += 1
        for _ in range(count):
            self._waiting.popleft()
        return self._batches

    def took(self, seconds: float, fixed: float, count: int) -> None:
        """A batch of so many elements took so long, *fixed* of it for all: the next are to take a time that suits."""
        self.seconds += seconds
        each = max((seconds - fixed) / count, 1e-9)
        most = min(count * _GROWTH, _MOST_ELEMENTS)
        suits = _TOGETHER_SECONDS if runs_together(self.node) else _BATCH_SECONDS
        self._size = max(1, min(most, int(max(suits, _WORTH * fixed) / each)))

    def failed(self, name: bytes, failure: Failure, output: Output) -> None:
        """An element has failed."""
        self.failures[name], self.output[name] = failure, output

    def fell(self, names: tuple[bytes, ...], failure: Failure, output: Output, reached: int | None) -> None:
        """A batch has come to nothing: the element that it had *reached* has failed, the others run again.

        Where it had come to none, all have failed.
        """
        if reached is None:
            self.failures.update(dict.fromkeys(names, failure))
            self.output[names[0]] = output
            return
        self.failed(names[reached], failure, output)
        self._waiting.extendleft(reversed(names[:reached] + names[reached + 1 :]))

    def add(self, pack: Pack) -> None:
        """Elements have run."""
        for at, name in enumerate(pack.names):
            self.found[name] = (pack, at)
            if at not in pack.skipped:
                self._ran.add(name)

    # --- what came of it

    def label(self, name: bytes) -> str:
        """How an element is called that is to run, or has run."""
        return self.lineup.name(self._first[name])

    @property
    def lineup(self) -> Lineup:
        """The elements of the first parameter."""
        return next(iter(self.sources.values())).elements

    @property
    def counts(self) -> Elements:
        """How many elements there are of which kind; each body that ran counts once, and what is equal as cached."""
        ran, failed, skipped = len(self._ran) + len(self.held), len(self.failures), len(self.skipped)
        missing = sum(name in self.failures or name in self.skipped for name in self.names) if failed or skipped else 0
        waiting = len(self._waiting)
        cached = len(self.names) - ran - waiting - missing
        return Elements(max(cached, 0), ran + waiting, failed, skipped)

    @property
    def done(self) -> int:
        """How many elements are known: neither waiting nor under way."""
        under_way = sum(len(work.batch.names) for work in self.under_way.values() if work.batch is not None)
        return len(self.names) - len(self._waiting) - under_way

    def results(self) -> Iterator[tuple[int, bytes]]:
        """The number and the name of each element that is not skipped."""
        return zip(*self._kept(), strict=True)

    @property
    def kept_and_skipped(self) -> tuple[int, int]:
        """How many elements are not skipped, and how many are; of these, what is equal counts once."""
        return len(self._kept()[0]), len(self.skipped)

    @property
    def all_skipped(self) -> bool:
        """Are there elements, and has the body left out each of them?"""
        return bool(self.skipped) and len(self.skipped) == len(set(self.names))

    @property
    def skips_are_known(self) -> bool:
        """Will the next run know which elements are left out?"""
        return all(name in self.found for name in self.skipped)

    def _kept(self) -> tuple[Sequence[int], Sequence[bytes]]:
        if not self.skipped:
            return range(len(self.names)), self.names
        numbers = [number for number, name in enumerate(self.names) if name not in self.skipped]
        return numbers, [self.names[number] for number in numbers]

    def whole(self) -> Lineup:
        """All that was made, in order."""
        lineup, found = self.lineup, self.found
        numbers, names = self._kept()
        entries = [pack.entries[at] for pack, at in map(found.__getitem__, names)]
        if lineup.keys is not None:
            return Lineup(entries, [lineup.keys[number] for number in numbers])
        if len(numbers) == len(self.names) and lineup.places is None:
            return Lineup(entries)
        return Lineup(entries, None, [n if lineup.places is None else lineup.places[n] for n in numbers])

    def rests_on(self) -> tuple[Observation, ...]:
        """What the executions of all elements were seen to read."""
        used: dict[int, tuple[Pack, set[int]]] = {}
        for pack, at in self._places():
            used.setdefault(id(pack), (pack, set()))[1].add(pack.seen_of[at])
        return tuple(dict.fromkeys(o for pack, sets in used.values() for number in sets for o in pack.seen[number]))

    def _places(self) -> list[tuple[Pack, int]]:
        found = self.found
        return [found[name] for name in self.names if name in found]

    def took_in_all(self) -> float:
        """How long all elements took to make, in seconds."""
        every = (self.found[name] for name in dict.fromkeys(self.names) if name in self.found)
        return sum(pack.seconds[at] for pack, at in every)

    def saved(self) -> float:
        """How long those took to make that were found, in seconds."""
        known = (name for name in dict.fromkeys(self.names) if name in self.found and name not in self._ran)
        return sum(pack.seconds[at] for pack, at in map(self.found.__getitem__, known))

    def oldest(self, now: float) -> float:
        """When the first of the results was made, in seconds since the epoch."""
        return min((pack.made[at] for pack, at in self._places()), default=now)

    def wrote(self) -> Output:
        """What all elements wrote, in their order."""
        if self.failures:
            return joined([self.output[name] for name in self._failed() if name in self.output])
        if not any(pack.outputs for pack in {id(pack): pack for pack, _ in self.found.values()}.values()):
            return joined(())
        return joined(pack.outputs[at] for pack, at in self._places() if at in pack.outputs)

    def _failed(self) -> list[bytes]:
        """The elements that failed, in their order."""
        return sorted(self.failures, key=self._first.__getitem__)

    def failure(self) -> Failure:
        """The failures of elements as one, each with the element's name."""
        return failures_told([(self.label(name), self.failures[name]) for name in self._failed()])


_MOST_TOLD = 5


def failures_told(failures: Sequence[tuple[str, Failure]]) -> Failure:
    """The failures of elements as one: the first few are told in full."""
    label, first = failures[0]
    count = len(failures)
    more = f" (and {count - 1} more element{'s' if count > 2 else ''})" if count > 1 else ""
    texts = [f"element {name}:\n{each.text}" for name, each in failures[:_MOST_TOLD]]
    if count > _MOST_TOLD:
        others = [name for name, _ in failures[_MOST_TOLD:]]
        shown = ", ".join(others[:20]) + (", ..." if len(others) > 20 else "")
        texts.append(f"{len(others)} more elements failed: {shown}")
    return Failure(f"element {label}: {first.summary}{more}", "\n\n".join(texts), first.location, first.exception)
