"""Where the values of a run lie: in the cache, or in a scratch area that lives as long as the run's results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attrs import define, field

from stepcache.model import Trace, Value
from stepcache.store import Scratch, Store


@define
class Shelf:
    """The cache, if there is one, and the scratch area.

    `reads` and `writes` say whether the cache may be read and written at all in this run.
    """

    store: Store | None
    scratch: Scratch
    reads: bool = True
    writes: bool = True
    _scratched: set[str] = field(factory=set)

    def save(self, value: object, *, keep: bool, codec: str | None, tmp: Path | None) -> Value:
        """Store a value: in the cache if it is to be kept there. Raises `Unstorable`."""
        if keep and self.writes and self.store is not None:
            return self.store.save(value, codec, tmp=tmp)
        saved = self.scratch.save(value, codec, tmp=tmp)
        self._scratched.add(saved.digest)
        return saved

    def load(self, value: Value) -> Any:
        """A fresh copy of a value. Raises `ValueGone`."""
        if value.digest in self._scratched or self.store is None:
            return self.scratch.load(value)
        return self.store.load(value)

    def loose(self, value: Value) -> bytes | None:
        """The bytes of a value that lies in the scratch area, for another process."""
        return self.scratch.data(value.digest) if value.digest in self._scratched else None

    def lay(self, digest: str, data: bytes) -> None:
        """Put the bytes of another process's value into the scratch area."""
        self.scratch.lay(digest, data)
        self._scratched.add(digest)

    def held(self, value: Value) -> bool:
        """Is the value still there, as far as can be told cheaply?"""
        return value.digest in self._scratched or (self.store is not None and self.store.holds(value))

    def traces(self, key: str) -> tuple[Trace, ...]:
        """What is stored under a key."""
        return self.store.traces(key) if self.store is not None and self.reads else ()

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
