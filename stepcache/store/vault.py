"""Where encoded values are kept and had from: the cache and the scratch area alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from stepcache.model import Value
    from stepcache.store.content import Content


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
