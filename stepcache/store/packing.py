"""The vault of a process that stores nothing itself: what is kept is packed for the process that does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stepcache.model import Value
    from stepcache.store.content import Content
    from stepcache.store.parcel import Parcel
    from stepcache.store.scratch import Scratch
    from stepcache.store.store import Store


class Packing:
    """Packs for the cache *store*, or for a scratch area if that is None. `parcels` are by their values' digests."""

    def __init__(self, store: Store | None, scratch: Scratch, parcels: dict[str, Parcel]) -> None:
        self._store = store
        self._scratch = scratch
        self._parcels = parcels

    def content(self, value: object, codec: str | None = None, tmp: Path | None = None) -> Content:
        return self._scratch.content(value, codec, tmp)

    def keep(self, content: Content) -> Value:
        parcel = self._scratch.pack(content) if self._store is None else self._store.pack(content)
        self._parcels[parcel.value.digest] = parcel
        return parcel.value

    def data(self, value: Value) -> memoryview:
        parcel = self._parcels[value.digest]
        if parcel.data is not None or parcel.path is not None:
            self._scratch.adopt(parcel)
            return self._scratch.data(value)
        assert self._store is not None
        return self._store.data(value)

    def decoded(self, codec_name: str, data: memoryview, digest: str) -> object:
        return self._scratch.decoded(codec_name, data, digest)


def relaid(value: Value, kept: Mapping[str, Value]) -> Value:
    """*value* as it lies after its contents were unpacked: *kept* has them by their digests."""
    if not value.parts:
        return evolve(kept[value.digest], count=value.count)
    parts = tuple(relaid(part, kept) for part in value.parts)
    return evolve(value, parts=parts, stored=sum(each.stored for part in parts for each in part.contents))
