"""Bytes on disk: values and traces, sealed, found by key, and never trusted before they are checked.

In reading order: `schema` (the tables, and the number of the format), `frame` (the bytes around all that is stored),
`seal` (the key), `compression`; `codecs` with `standard`, `plain`, `arrays`, `pickles`, `registry` and `paths` (values
as bytes), `content`; `vault`, `composed`, `chunks`, `streams` and `objects` (values put together from others);
`folder` (the cache folder, made or refused), `blobs` (large values), `rows`, `batch`, `connection`, `salvage` and
`database` (all else), `ledger` (what the parts share); `values`, `ahead` with `traces`, `memos`, `inventory`, `gc`,
`claims` (one concern each), `scratch` (values that are not kept), `parcel` (values between processes), `settings`, and
`store`, which puts them together.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing is not imported for it: the sealing key is read before all else
if TYPE_CHECKING:
    from stepcache.store.codecs import Codec, Declined, Encoded
    from stepcache.store.compression import Packer
    from stepcache.store.folder import Refused
    from stepcache.store.gc import Dropped
    from stepcache.store.inventory import EntryRow, Totals, VerifyReport
    from stepcache.store.parcel import Parcel
    from stepcache.store.registry import Codecs, builtin_codecs
    from stepcache.store.scratch import Scratch
    from stepcache.store.seal import NoSeal, Seal, load_seal
    from stepcache.store.settings import StoreSettings
    from stepcache.store.store import Store, open_store
    from stepcache.store.streams import Stream

_HOMES = {
    "Codec": "codecs",
    "Codecs": "registry",
    "Declined": "codecs",
    "Dropped": "gc",
    "Encoded": "codecs",
    "EntryRow": "inventory",
    "NoSeal": "seal",
    "Packer": "compression",
    "Parcel": "parcel",
    "Refused": "folder",
    "Scratch": "scratch",
    "Seal": "seal",
    "Store": "store",
    "StoreSettings": "settings",
    "Stream": "streams",
    "Totals": "inventory",
    "VerifyReport": "inventory",
    "builtin_codecs": "registry",
    "load_seal": "seal",
    "open_store": "store",
}

__all__ = [
    "Codec",
    "Codecs",
    "Declined",
    "Dropped",
    "Encoded",
    "EntryRow",
    "NoSeal",
    "Packer",
    "Parcel",
    "Refused",
    "Scratch",
    "Seal",
    "Store",
    "StoreSettings",
    "Stream",
    "Totals",
    "VerifyReport",
    "builtin_codecs",
    "load_seal",
    "open_store",
]


def __getattr__(name: str) -> object:
    """A public name, imported when it is first asked for: `seal` alone is read in a run with nothing to do."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'stepcache.store' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"stepcache.store.{home}"), name)
    globals()[name] = found
    return found
