"""What the store is told, and the data that it gives back about itself."""

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


@frozen
class EntryRow:
    """An entry of this project, as `--cache-show` lists it. `held` is whether its value is there."""

    node: str
    key: str
    size: int
    stored: int
    made: float
    used: float
    seconds: float
    held: bool


@frozen
class Totals:
    """Entries taken together: their number, the bytes of their values, raw and on disk, each content counted once, and
    the seconds they took to make."""

    count: int = 0
    size: int = 0
    stored: int = 0
    seconds: float = 0.0


@frozen
class Dropped:
    """What was dropped: entries, and bytes on disk; and the bytes of all that is left, other projects' included."""

    count: int = 0
    stored: int = 0
    left: int = 0


@frozen
class VerifyReport:
    """How many entries were checked, and the nodes of those that were damaged."""

    checked: int = 0
    damaged: tuple[str, ...] = ()
