"""Values that are put together from others: the outputs of a step, and streams.

Such a value has no bytes of its own. Its digest is made from those of its parts, so that it is the same wherever they
lie; the entry that names it names them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve

from stepcache.digest import digest_all
from stepcache.model import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from stepcache.store.content import Content

OUTPUTS = "outputs"
STREAM = "stream"


class Vault(Protocol):
    """Where encoded values are kept: the cache, or a scratch area."""

    def content(self, value: object, codec: str | None = None, tmp: Path | None = None) -> Content:
        """*value* as bytes. Raises Unstorable."""
        ...

    def keep(self, content: Content) -> Value:
        """Keep what is encoded."""
        ...

    def data(self, value: Value) -> memoryview:
        """The bytes that were kept. Raises ValueGone."""
        ...

    def decoded(self, codec_name: str, data: memoryview, digest: str) -> object:
        """The object that *data* is. Raises ValueGone."""
        ...


def saved(value: object, codec: str | None, tmp: Path | None, vault: Vault) -> Value:
    """Keep any value in *vault*. Raises Unstorable."""
    from stepcache.store.streams import Stream, stream_of

    if isinstance(value, Stream):
        return stream_of(value, codec, tmp, vault)
    return vault.keep(vault.content(value, codec, tmp))


def loaded(value: Value, vault: Vault) -> Any:
    """A fresh object; a stream is read as it is gone through. Raises ValueGone."""
    if not value.parts:
        return vault.decoded(value.codec, vault.data(value), value.digest)
    if value.codec == OUTPUTS:
        return {name: loaded(part, vault) for name, part in zip(value.names, value.parts, strict=True)}
    from stepcache.store.streams import Stream

    return Stream(value, vault)


def outputs(parts: Mapping[str, Value]) -> Value:
    """The value that a step's outputs are together: a dict of them."""
    told = [text for name, part in parts.items() for text in (name, part.digest)]
    return evolve(composed(OUTPUTS, tuple(parts.values()), told), names=tuple(parts))


def composed(codec: str, parts: tuple[Value, ...], told: Iterable[str], count: int | None = None) -> Value:
    """The value that *parts* are, as *codec* puts them together; *told* is what its digest is made of."""
    contents = [each for part in parts for each in part.contents]
    return Value(
        digest=digest_all(f"composed {codec}", told),
        codec=codec,
        size=sum(each.size for each in contents),
        stored=sum(each.stored for each in contents),
        classes=tuple(dict.fromkeys(each for part in parts for each in part.classes)),
        parts=parts,
        count=count,
    )
