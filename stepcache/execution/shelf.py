"""Where the values of a run lie: in the cache, or in a scratch area that lives as long as the run's results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stepcache.model import Ingredient, Trace, Value
from stepcache.records import define
from stepcache.store import Parcel, Scratch, Store
from stepcache.store.objects import saved
from stepcache.store.packing import relaid
from stepcache.store.vault import Vault


@define
class Shelf:
    """The cache, if there is one, and the scratch area.

    `reads` and `writes` say whether the cache may be read and written at all in this run.
    """

    store: Store | None
    scratch: Scratch
    reads: bool = True
    writes: bool = True

    def vault(self, keep: bool) -> Vault:
        """Where a value goes: into the cache if it is to be kept there."""
        return self.store if keep and self.writes and self.store is not None else self.scratch

    def save(self, value: object, *, keep: bool, codec: str | None, tmp: Path | None) -> Value:
        """Store a value: in the cache if it is to be kept there. Raises `Unstorable`."""
        return saved(value, codec, tmp, self.vault(keep))

    def load(self, value: Value) -> Any:
        """A fresh copy of a value. Raises `ValueGone`."""
        return self.all.load(value)

    @property
    def all(self) -> Store | Scratch:
        """What holds the values of the cache, and those that are not kept."""
        return self.scratch if self.store is None else self.store

    def checkpoint(self, key: str, element: bytes = b"") -> Path | None:
        """The folder of `checkpoint_path` for a key, of one element if given; None where none can be kept."""
        if self.store is None or not self.writes or not key:
            return None
        return self.store.checkpoints.folder(key, element)

    def loose(self, value: Value) -> bytes | None:
        """The bytes of a value that lies in the scratch area, for another process."""
        return self.scratch.kept(value.digest)

    def lay(self, digest: str, data: bytes) -> None:
        """Put the bytes of another process's value into the scratch area."""
        self.scratch.lay(digest, data)

    def parcels(self, value: Value) -> Iterator[Parcel]:
        """What another process of the run does not find of a value in the cache."""
        for each in value.contents:
            parcel = self.all.parcel(each)
            if parcel is not None:
                yield parcel

    def unpack(self, value: Value, parcels: Iterable[Parcel], *, keep: bool) -> Value:
        """Take a value that another process of the run packed."""
        kept = {parcel.value.digest: self._unpacked(parcel, keep) for parcel in parcels}
        return relaid(value, kept)

    def _unpacked(self, parcel: Parcel, keep: bool) -> Value:
        if self.store is not None and (keep or parcel.in_cache):
            return self.store.unpack(parcel)
        self.scratch.adopt(parcel)
        return parcel.value

    def held(self, value: Value) -> bool:
        """Is the value still there, as far as can be told cheaply?"""
        if self.store is not None and self.store.holds(value):
            return True
        return all(each.inline is not None or self.scratch.holds(each.digest) for each in value.contents)

    def traces(self, key: str, ingredients: tuple[Ingredient, ...]) -> tuple[Trace, ...]:
        """What is stored under a key, which is made from *ingredients*: those that were stored are not read."""
        return self.store.traces(key, ingredients) if self.store is not None and self.reads else ()

    def latest(self, node: str) -> Trace | None:
        """What the node was last made or found from."""
        return self.store.latest(node) if self.store is not None else None

    def trouble(self, key: str) -> str | None:
        """Why there was nothing, although something had been there."""
        return self.store.trouble(key) if self.store is not None and self.reads else None

    def used(self, nodes: Iterable[tuple[str, Trace]]) -> None:
        """Note that this project uses these traces for these nodes."""
        if self.store is not None and self.writes:
            for node, trace in nodes:
                self.store.used(node, trace)
