"""What the store is told."""

from __future__ import annotations

from typing import Literal

from attrs import field

from stepcache.records import frozen
from stepcache.store.compression import Packer

Trouble = Literal["damaged", "foreign", "evicted"]


@frozen
class StoreSettings:
    """How values are stored; the configuration's keys."""

    packer: Packer = field(factory=Packer)
    durability: Literal["normal", "fsync"] = "normal"
    formats: Literal["any", "safe"] = "any"
    max_size: int = 10 * 2**30
