"""Objects to stored values and back, whether a value has bytes of its own or is put together from others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stepcache.errors import Unstorable
from stepcache.store.codecs import type_name
from stepcache.store.composed import MAPPED, OUTPUTS
from stepcache.store.streams import Stream, stream_of

if TYPE_CHECKING:
    from pathlib import Path

    from stepcache.model import Value
    from stepcache.store.vault import Vault


def saved(value: object, codec: str | None, tmp: Path | None, vault: Vault) -> Value:
    """Keep any value in *vault*. Raises Unstorable."""
    try:
        if isinstance(value, Stream):
            return stream_of(value, codec, tmp, vault)
        return vault.keep(vault.content(value, codec, tmp))
    except MemoryError as error:
        raise Unstorable(type_name(type(value)), "", "there is not enough memory to store it") from error


def loaded(value: Value, vault: Vault) -> Any:
    """A fresh object; a stream is read as it is gone through. Raises ValueGone."""
    if not value.parts:
        return vault.decoded(value.codec, vault.data(value), value.digest)
    if value.codec == OUTPUTS:
        return {name: loaded(part, vault) for name, part in zip(value.names, value.parts, strict=True)}
    if value.codec == MAPPED:
        from stepcache.store.mapped import loaded_whole

        return loaded_whole(value, vault)
    return Stream(value, vault)
