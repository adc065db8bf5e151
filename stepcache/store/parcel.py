"""Values on their way between the processes of one run: small ones as bytes, large ones by the file that holds them."""

from __future__ import annotations

from stepcache.model import Value
from stepcache.records import frozen


@frozen
class Parcel:
    """One value. `data` are its encoded bytes, `path` is a file of them; with neither it lies in the cache.

    `hash` is that of the bytes alone, where who gets the parcel is to store it.
    """

    value: Value
    hash: bytes = b""
    data: bytes | None = None
    path: str | None = None

    @property
    def in_cache(self) -> bool:
        """Have its bytes been written to the cache?"""
        return self.data is None and self.path is None
