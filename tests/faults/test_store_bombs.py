"""A few bytes that unfold to a gigabyte are refused at the price of a few bytes."""

from __future__ import annotations

import resource
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard

from stepcache.store import Seal, frame

GIB = 1 << 30
MIB = 1 << 20
# What a child may grow by: far more than it needs, far less than a gigabyte.
ROOM = 64 * MIB


def bomb(**parameters: Any) -> bytes:
    """A zstd frame of 33 kB that unfolds to 1 GiB of zeros."""
    packer = zstandard.ZstdCompressor(level=1, **parameters).compressobj(
        **({} if parameters.get("write_content_size") is False else {"size": GIB})
    )
    zeros = bytes(MIB)
    packed = b"".join(packer.compress(zeros) for _ in range(GIB // MIB)) + packer.flush()
    assert len(packed) < 34 * 1024
    return packed


def understating(packed: bytes, size: int) -> bytes:
    """*packed*, whose header states another size than what it unfolds to."""
    assert packed[:18].count(struct.pack("<I", GIB)) == 1
    return packed.replace(struct.pack("<I", GIB), struct.pack("<I", size), 1)


HONEST = bomb()
# By name: what a value is replaced by, the size that its seal vouches for, and whether the seal is the right one.
BOMBS: dict[str, tuple[bytes, int, bool]] = {
    "under a seal that is not ours": (HONEST, GIB, False),
    "larger than sealed": (HONEST, 20_000, True),
    "larger than it states": (understating(HONEST, 20_000), 20_000, True),
    "stating no size": (bomb(write_content_size=False), 20_000, True),
    "stating more than there is": (HONEST[:64], GIB, True),
}


def plant(cache: Any, payload: bytes, size: int, seal: Seal) -> None:
    """Put *payload* in the place of the only stored value."""
    (database,) = (path for path in cache.files() if path.suffix == ".db")
    with closing(sqlite3.connect(database)) as db, db:
        ((where, row),) = db.execute("SELECT name, frame FROM contents").fetchall()
        path = Path(cache.folder / "blobs" / where.hex()[:2] / where.hex()[2:])
        old = row if row is not None else path.read_bytes()
        head = frame.read_header(old, cache.seal, frame.VALUE, old[40:72])
        new = frame.frame(frame.VALUE, head.name, payload, seal, codec=head.codec, packing=frame.ZSTD, size=size)
        if row is not None:
            db.execute("UPDATE contents SET frame = ?", (new,))
        else:
            path.write_bytes(new)


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("number", [0, 1], ids=["row", "blob"])
def test_a_bomb_costs_no_memory(
    cache: Any, in_child: Callable[[Callable[[], object]], int], name: str, number: int
) -> None:
    payload, size, ours = BOMBS[name]
    cache.fill(number)
    forged = Seal(b"a key of someone else's")
    forged.id_bytes = cache.seal.id_bytes
    plant(cache, payload, size, cache.seal if ours else forged)

    def check() -> None:
        # The limit keeps the machine safe should the test fail; it is no part of what is shown.
        resource.setrlimit(resource.RLIMIT_AS, (8 * GIB, 8 * GIB))
        before = peak()
        assert cache.check(number) == ["ran"]
        assert peak() - before < ROOM

    assert in_child(check) == 0


def peak() -> int:
    """The most memory that this process held, in bytes; a forked child begins with what its parent holds."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
