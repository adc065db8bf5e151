"""What is known of a mapped node's elements, what is to run for the others, and what came of that.

    sources → names → packs in the cache → batches → more packs → the whole

A pack is what one batch gave: many elements in one row of the cache, under the key that all elements of the node share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import evolve, field
from blake3 import blake3

from stepcache.digest import frame
from stepcache.errors import NoElements, ValueGone
from stepcache.execution.elements import Source, source_of, together
from stepcache.execution.mapped import Base, Mapped
from stepcache.execution.shelf import Shelf
from stepcache.execution.sight import Sight
from stepcache.execution.values import Held, Product
from stepcache.execution.work import Batch, Done, Ended, Work
from stepcache.key.conclude import Seen
from stepcache.key.decide import REASON_OF, explain, key_of, lapsed_of
from stepcache.model import Failure, Graph, Need, Node, Observation, Output, Reason, Trace, Value
from stepcache.records import define
from stepcache.store.chunks import Chunk
from stepcache.store.content import Content
from stepcache.store.mapped import Entry, Pack, covering, keep_pack, loaded_elements, read_pack, whole

# So many packs are read without a thought; more are put together.
_MANY_PACKS = 8
# A pack is left alone if it is so many times as large as all smaller ones together.
_GROWTH = 8
# So many elements are named by --why.
_MOST_NAMED = 10
_SILENT = Output()
# The digest of what has no value: a check that passed.
_NONE = bytes(32)


@define
class Mapper:
    """Looks after the elements of mapped nodes. `gone` are the digests of values that are lost."""

    graph: Graph
    shelf: Shelf
    sight: Sight
    gone: Mapping[str, str]

    # --- what is known

    def mapped(
        self, node: Node, products: Mapping[str, Product], values: Mapping[str, Value], *, keyed: bool, reads: bool
    ) -> Mapped:
        """A mapped node with what is known of its elements.

        They have a key where it is *keyed*; only then, and where it *reads*, is the cache looked into.
        """
        base = self._base(node, values) if keyed else Base(_of_all(node))
        try:
            sources = self._sources(node, products)
        except NoElements as error:
            return Mapped(node, base, trouble=Failure(str(error), str(error), str(node.definition.source), error))
        except ValueGone as gone:
            return Mapped(node, base, gone=gone)
        found = Mapped(node, base, sources, self._names(sources))
        first: dict[bytes, int] = {}
        for number, name in enumerate(found.names):
            first.setdefault(name, number)
        missing = _LookUp(self, found, first).missing() if keyed and reads else {}
        left = {name: number for name, number in first.items() if name not in found.found}
        found.want(left)
        found.reasons = self._reasons(found, missing) if left else ()
        return found

    def _base(self, node: Node, values: Mapping[str, Value]) -> Base:
        every = _of_all(node)
        recipe = self.sight.recipe(every, self.graph.resources, values)
        return Base(every, recipe, key_of(recipe.ingredients, recipe.code), values)

    def _sources(self, node: Node, products: Mapping[str, Product]) -> dict[str, Source]:
        sources = {}
        for need in node.needs:
            if need.each and need.node is not None:
                source = source_of(products[need.node], node, need, self.shelf.all)
                alone = node.element is not None and need.element is None
                sources[need.parameter] = _only(node, need, source) if alone else source
        return sources if node.element is not None else together(sources)

    def _names(self, sources: Mapping[str, Source]) -> list[bytes]:
        """What each element is made from, as a digest."""
        digests = self.sight.classes_digest
        columns = []
        for parameter, source in sources.items():
            start = frame("element") + frame(parameter)
            columns.append(
                [start + e.digest + (digests(e.classes) if e.classes else b"") for e in source.elements.entries]
            )
        if len(columns) == 1:
            return [blake3(each).digest() for each in columns[0]]
        return [blake3(b"".join(each)).digest() for each in zip(*columns, strict=True)]

    def _reasons(self, mapped: Mapped, missing: Mapping[bytes, Reason]) -> tuple[Reason, ...]:
        """Why elements are to run: the first few by name."""
        if not missing:
            return self._why_none(mapped)
        asked = next(need.step for need in mapped.node.needs if need.each)
        told = [
            Reason("input", f"{asked}[{mapped.label(name)}]") if reason.kind == "input" else reason
            for name, reason in missing.items()
        ]
        distinct = list(dict.fromkeys(told))
        if len(distinct) > _MOST_NAMED:
            more = Reason("input", f"{len(distinct) - _MOST_NAMED:,} more of {asked}")
            return (*distinct[:_MOST_NAMED], more)
        return tuple(distinct)

    def _why_none(self, mapped: Mapped) -> tuple[Reason, ...]:
        """Why nothing is known of any element."""
        base = mapped.base
        if base.recipe is None:
            return ()
        trouble = self.shelf.trouble(base.key)
        if trouble is not None:
            return (Reason(trouble),)  # type: ignore[arg-type]
        latest = self.shelf.latest(base.node.id)
        if latest is None:
            return (Reason("new"),)
        latest = self.sight.counted(base.node, (latest,))[0]
        holds = self.sight.holds(base.recipe)
        lapsed = lapsed_of(latest.observations, holds, self.sight.has_same_sources(latest))
        return explain(latest, base.recipe.told, lapsed)

    # --- what is to run

    def batch(self, mapped: Mapped, work: Work) -> Work:
        """The next elements that are to run, as many as suit; *work* is the node's."""
        names = mapped.next()
        numbers = mapped.numbers(names)
        given = {p: source.pieces(numbers, self.shelf.scratch) for p, source in mapped.sources.items()}
        fitting = min(len(each.places) for each in given.values())
        given = {p: evolve(each, places=each.places[:fitting]) for p, each in given.items()}
        found = evolve(work, batch=Batch(given, names[:fitting], mapped.handed_out(fitting)))
        mapped.under_way[found.id] = found
        return found

    def take(self, mapped: Mapped, done: Done) -> None:
        """Take what came of a batch: what was made is stored at once."""
        work = mapped.under_way.pop(done.work)
        assert work.batch is not None
        names = work.batch.names
        if done.gone is not None:
            mapped.gone = done.gone
            return
        if not done.ended:
            assert done.failure is not None
            mapped.fell(names, done.failure, done.output, done.reached)
            return
        mapped.took(done.seconds, done.fixed, len(names))
        mapped.standing.update(dict.fromkeys(done.standing))
        for name, ended in zip(names, done.ended, strict=True):
            _note(mapped, name, ended)
        for keeps in (True, False):
            pack = _pack(work.node, names, done, keeps)
            if not pack.names:
                continue
            mapped.add(pack)
            if keeps and work.keeps:
                self._store(mapped, pack, done.standing)
        for seen in done.sights:
            mapped.changed.update(dict.fromkeys(seen.changed))
            mapped.notices.update(dict.fromkeys(seen.notices))

    def _store(self, mapped: Mapped, pack: Pack, standing: tuple[Observation, ...]) -> None:
        """Keep a pack, under the key of the sources that ran."""
        base, store = mapped.base, self.shelf.store
        if base.recipe is None or store is None:
            return
        if self.sight.other_sources(base.recipe):
            base = mapped.base = self._base(mapped.node, base.values)
        assert base.recipe is not None
        value = keep_pack(pack, self.shelf.vault(True))
        store.put(
            Trace(
                key=base.key,
                node=base.node.id,
                ingredients=base.recipe.told,
                observations=tuple(dict.fromkeys((*standing, *self.sight.standing(base.node, base.recipe)))),
                value=value,
                seconds=sum(pack.seconds),
                made=max(pack.made),
                world=self.sight.world(),
            )
        )
        mapped.packs.insert(0, (value.digest, pack))
        mapped.fresh += 1

    def whole(self, mapped: Mapped, keep: bool) -> Value:
        """Keep the whole: that of one element is the element itself."""
        elements, vault = mapped.whole(), self.shelf.vault(keep)
        if mapped.node.element is None:
            return whole(elements, vault)
        entry = elements.entries[0]
        assert entry.chunk is not None
        piece = Chunk(entry.chunk, self.shelf.all).piece(entry.at)
        return vault.keep(Content(piece.codec, (bytes(piece.data),), piece.classes, len(piece.data)))

    def held(self, mapped: Mapped) -> Held:
        """The whole as it is, where elements of it cannot be stored."""
        lineup = mapped.lineup
        objects = {
            number: mapped.held[name].object
            if name in mapped.held
            else loaded_elements([mapped.found[name][0].entries[mapped.found[name][1]]], self.shelf.all)[0]
            for number, name in mapped.results()
        }
        if mapped.node.element is not None:
            return Held(objects[0])
        if lineup.keys is None:
            return Held(list(objects.values()))
        return Held({lineup.keys[number]: each for number, each in objects.items()})

    def tidy(self, mapped: Mapped) -> None:
        """Put many packs together into one, so that the next run has few to read."""
        if not mapped.fresh or len(mapped.packs) <= _MANY_PACKS:
            return
        by_size = sorted(mapped.packs, key=lambda each: len(each[1].names))
        together, size = by_size[:2], sum(len(pack.names) for _, pack in by_size[:2])
        for each in by_size[2:]:
            if len(each[1].names) > _GROWTH * size:
                break
            together.append(each)
            size += len(each[1].names)
        newest_first = [each for each in mapped.packs if each in together]
        self._store(mapped, covering(newest_first), tuple(mapped.standing))


@define
class _LookUp:
    """Looks for the results of elements in the packs that are stored."""

    mapper: Mapper
    mapped: Mapped
    first: Mapping[bytes, int]
    _holds: Callable[[Observation], bool] = field(init=False)

    def __attrs_post_init__(self) -> None:
        assert self.mapped.base.recipe is not None
        self._holds = _remembered(self.mapper.sight.holds(self.mapped.base.recipe))

    def missing(self) -> dict[bytes, Reason]:
        """Why results that are not found are not; nothing at all where no element of that key was ever stored."""
        lapses: dict[bytes, Reason] = {}
        for pack in self._packs():
            self._look_into(pack, lapses)
        if not self.mapped.packs:
            return {}
        found = self.mapped.found
        return {name: lapses.get(name, Reason("input")) for name in self.first if name not in found}

    def _packs(self) -> Iterator[Pack]:
        """The packs that may be used, the newest first; those whose elements all lie in another one are left out."""
        sight, shelf, base, holds = self.mapper.sight, self.mapper.shelf, self.mapped.base, self._holds
        covered: set[str] = set()
        for trace in sight.counted(base.node, sight.unshaken(base.node, shelf.traces(base.key, ()), holds)):
            if trace.value is None or trace.value.digest in covered:
                continue
            still = all(holds(each) for each in trace.observations if each.counts)
            if not still or sight.lacks(base.node, trace) is not None:
                continue
            try:
                pack = read_pack(trace.value, shelf.all)
            except ValueGone:
                continue  # what it held is made anew
            if trace.node != base.node.id and self._is_foreign(pack):
                continue
            covered.update(pack.covers)
            self.mapped.packs.append((trace.value.digest, pack))
            yield pack

    def _is_foreign(self, pack: Pack) -> bool:
        """Do elements of another step hold what this one could not have made?"""
        classes = dict.fromkeys(each for entry in pack.entries for each in entry.classes)
        return self.mapper.sight.foreign(self.mapped.node, classes, self.mapped.base.values) is not None

    def _look_into(self, pack: Pack, lapses: dict[bytes, Reason]) -> None:
        found = self.mapped.found
        lapsed = [next((o for o in self._counted(each) if not self._holds(o)), None) for each in pack.seen]
        expires, now = self.mapped.base.node.definition.expires, time.time()
        lost: dict[str, str | None] = {}
        for at, name in enumerate(pack.names):
            if name not in self.first or name in found:
                continue
            observation, chunk = lapsed[pack.seen_of[at]], pack.entries[at].chunk
            if observation is not None:
                lapses.setdefault(name, Reason(REASON_OF.get(observation.kind, "file"), observation.label))
                continue
            if expires is not None and not 0 <= now - pack.made[at] <= expires:
                lapses.setdefault(name, Reason("expired"))
                continue
            if chunk is not None and chunk.digest not in lost:
                lost[chunk.digest] = self._lost(chunk)
            reason = lost[chunk.digest] if chunk is not None else None
            if reason is not None:
                lapses.setdefault(name, Reason(reason))  # type: ignore[arg-type]
            else:
                found[name] = (pack, at)
                if at in pack.skipped:
                    self.mapped.skipped[name] = pack.skipped[at]

    def _counted(self, observations: tuple[Observation, ...]) -> tuple[Observation, ...]:
        blank = Trace("", "", (), observations, None, 0.0, 0.0)
        return self.mapper.sight.counted(self.mapped.base.node, (blank,))[0].observations

    def _lost(self, chunk: Value) -> str | None:
        """What is wrong with a chunk."""
        if chunk.digest in self.mapper.gone:
            return self.mapper.gone[chunk.digest]
        return None if self.mapper.shelf.held(chunk) else "evicted"


def elements_id(node: Node) -> str:
    """Under which id the cache has the elements of a mapped node."""
    mapped = node.id if node.element is None else node.id.removesuffix(f"[{node.element}]")
    return f"{mapped}[*]"


def _of_all(node: Node) -> Node:
    """What stands for all elements of a mapped node in the cache."""
    needs = tuple(evolve(need, node=None) if need.each else need for need in node.needs)
    return evolve(node, id=elements_id(node), needs=needs, element=None)


def _only(node: Node, need: Need, source: Source) -> Source:
    """The one element that the node is for. Raises `NoElements`."""
    elements, wanted = source.elements, node.element or ""
    number = elements.find(wanted)
    if number is not None:
        return source.only([number])
    from difflib import get_close_matches

    count = len(elements.entries)
    near = get_close_matches(wanted, [elements.name(each) for each in range(count)], 1) if elements.keys else ()
    hint = f": did you mean {node.name}[{near[0]}]?" if near else f", which has {count:,}"
    raise NoElements(f"{node.definition.source}: {node.id}: there is no element '{wanted}' in '{need.step}'{hint}")


def _note(mapped: Mapped, name: bytes, ended: Ended) -> None:
    """What came of an element that gave no value to be stored."""
    if ended.outcome == "failed" and ended.failure is not None:
        mapped.failed(name, ended.failure, ended.output)
    elif ended.outcome == "skipped":
        mapped.skipped[name] = ended.message
    elif ended.held is not None:
        mapped.held[name] = ended.held
        mapped.unstorable = ended.unstorable


def _pack(node: Node, names: Sequence[bytes], done: Done, keeps: bool) -> Pack:
    """Those elements of a batch of which something is to be stored, or those whose result must not be."""
    chunks = done.product.parts if isinstance(done.product, Value) else ()
    places = ((chunk, at) for chunk in chunks for at in range(chunk.count or 0))
    now = time.time()
    rows: list[tuple[bytes, Entry, Ended]] = []
    for name, ended in zip(names, done.ended, strict=True):
        chunk, at = next(places) if ended.digest else (None, -1)
        seen = done.sights[ended.seen]
        told = ended.outcome == "ran" or (ended.outcome == "skipped" and _skips_for_good(node, seen))
        if told and ended.held is None and keeps == (not seen.changed):
            rows.append((name, Entry(ended.digest or _NONE, ended.classes, chunk, at), ended))
    return Pack(
        names=[name for name, _, _ in rows],
        entries=[entry for _, entry, _ in rows],
        seconds=[ended.seconds for _, _, ended in rows],
        made=[now] * len(rows),
        seen_of=[ended.seen for _, _, ended in rows],
        seen=[seen.observations for seen in done.sights],
        outputs={at: ended.output for at, (_, _, ended) in enumerate(rows) if ended.output != _SILENT},
        skipped={at: ended.message for at, (_, _, ended) in enumerate(rows) if ended.outcome == "skipped"},
    )


def _skips_for_good(node: Node, seen: Seen) -> bool:
    """Is an element to be left out as long as nothing changes? Not where what could not be seen may be why."""
    return node.kind != "check" and (node.definition.vouched_for or not seen.notices)


def _remembered(holds: Callable[[Observation], bool]) -> Callable[[Observation], bool]:
    answers: dict[Observation, bool] = {}

    def answer(observation: Observation) -> bool:
        if observation not in answers:
            answers[observation] = holds(observation)
        return answers[observation]

    return answer
