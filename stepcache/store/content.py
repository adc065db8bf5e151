"""A value as bytes, with its digest: what is stored is what is named."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import TYPE_CHECKING

from blake3 import blake3

from stepcache.digest import frame
from stepcache.model import Value
from stepcache.records import define

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepcache.store.codecs import Encoded
    from stepcache.store.frame import Buffer

# Values up to this size go with the entry that names them: half of what a row of their own would cost.
_SMALL = 512

_prefixes: dict[str, bytes] = {}


@define(eq=False)
class Content:
    """A value's bytes. `hash` is theirs alone; `digest` is over it and the codec's name, and names the value.

    The bytes are hashed when that is first asked for, or while they are written, whichever comes first: a large
    value is gone through once.
    """

    codec: str
    parts: Iterable[Buffer]
    classes: tuple[str, ...]
    size: int
    hashed: bytes | None = None
    _digest: bytes | None = None

    @property
    def hash(self) -> bytes:
        if self.hashed is None:
            hasher = blake3()
            for part in self.parts:
                # By one thread: blake3's own pool of threads hangs in a forked child.
                hasher.update(part)
            self.hashed = hasher.digest()
        return self.hashed

    @property
    def digest_bytes(self) -> bytes:
        if self._digest is None:
            self._digest = value_digest(self.codec, self.hash)
        return self._digest

    @property
    def digest(self) -> str:
        return self.digest_bytes.hex()


def value_digest(codec: str, hashed: bytes) -> bytes:
    """The digest of the value that bytes of that BLAKE3 hash are, by the codec of that name."""
    prefix = _prefixes.get(codec)
    if prefix is None:
        prefix = _prefixes[codec] = frame("value") + frame(codec)
    return blake3(prefix + hashed).digest()


def measured(codec: str, encoded: Encoded) -> Content:
    """The content that *encoded* is."""
    size = encoded.size
    if size is None:
        size = sum(map(len, encoded.parts))
    return Content(codec, encoded.parts, encoded.classes, size)


def inlined(content: Content) -> Value | None:
    """The value that a small content is; None for a larger one, which is to be kept somewhere."""
    size = content.size
    if size > _SMALL:
        return None
    data = b"".join(content.parts)
    content.parts = (data,)
    text = b2a_base64(data, newline=False).decode()
    return Value(content.digest, content.codec, size, size, content.classes, inline=text)


def inline_size(text: str) -> int:
    """How many bytes an inlined value has."""
    return len(text) // 4 * 3 - text.count("=", -2)


def inline_data(text: str) -> memoryview:
    """The bytes of an inlined value, the caller's own."""
    return memoryview(bytearray(a2b_base64(text)))
