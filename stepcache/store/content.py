"""A value as bytes, with its digest: what is stored is what is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from blake3 import blake3

from stepcache.digest import frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepcache.store.codecs import Encoded
    from stepcache.store.frame import Buffer


@frozen
class Content:
    """A value's bytes. `hash` is theirs alone; `digest` is over it and the codec's name, and names the value."""

    codec: str
    parts: Iterable[Buffer]
    classes: tuple[str, ...]
    size: int
    hash: bytes
    digest_bytes: bytes

    @property
    def digest(self) -> str:
        return self.digest_bytes.hex()


def measured(codec: str, encoded: Encoded) -> Content:
    """The content that *encoded* is."""
    hasher, size = blake3(), 0
    for part in encoded.parts:
        size += len(part)
        # By one thread: blake3's own pool of threads hangs in a forked child.
        hasher.update(part)
    inner = hasher.digest()
    digest = blake3(frame("value") + frame(codec) + inner).digest()
    return Content(codec, encoded.parts, encoded.classes, size, inner, digest)
