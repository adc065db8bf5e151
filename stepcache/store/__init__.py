"""Bytes on disk: values and traces, sealed, found by key, and never trusted before they are checked.

In reading order: `frame` (the bytes around all that is stored), `seal` (the key), `compression`; `codecs` with
`standard`, `plain`, `arrays`, `pickles`, `registry` and `paths` (values as bytes), `content`; `vault`, `composed`,
`chunks`, `streams` and `objects` (values put together from others); `folder` (the cache
folder, made or refused), `blobs` (large values), `rows`, `batch`, `schema`, `salvage` and `database` (all else),
`ledger` (what the parts share); `values`, `traces`, `memos`, `inventory`, `gc`, `claims` (one concern each),
`scratch` (values that are not kept), `settings`, and `store`, which puts them together.
"""

from stepcache.store.codecs import Codec, Declined, Encoded
from stepcache.store.compression import Packer
from stepcache.store.folder import Refused
from stepcache.store.registry import Codecs, builtin_codecs
from stepcache.store.scratch import Scratch
from stepcache.store.seal import NoSeal, Seal, load_seal
from stepcache.store.settings import Cleared, Dropped, EntryRow, StoreSettings, VerifyReport
from stepcache.store.store import Store, open_store
from stepcache.store.streams import Stream

__all__ = [
    "Cleared",
    "Codec",
    "Codecs",
    "Declined",
    "Dropped",
    "Encoded",
    "EntryRow",
    "NoSeal",
    "Packer",
    "Refused",
    "Scratch",
    "Seal",
    "Store",
    "StoreSettings",
    "Stream",
    "VerifyReport",
    "builtin_codecs",
    "load_seal",
    "open_store",
]
