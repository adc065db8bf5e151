"""Hashing in one place: BLAKE3, tagged and with all lengths, so that no two different lists share a digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterable

# Part of every key: raise it when keys made from now on must not match older ones.
FORMAT = 2


def digest(tag: str, *parts: bytes | str) -> str:
    """The digest of *parts* under *tag*: 64 hex digits. Text counts as its UTF-8, lone surrogates kept."""
    return digest_all(tag, parts)


def digest_all(tag: str, parts: Iterable[bytes | str]) -> str:
    """As `digest`, of an iterable of parts."""
    every = (tag, *parts)
    try:
        text = "".join(every)  # type: ignore[arg-type]
    except TypeError:  # there are bytes among them
        return blake3(b"".join(map(frame, every)) + b"framed").hexdigest()
    # All at once, with the lengths in characters behind it: to frame each part takes twice as long.
    lengths = ",".join([str(len(part)) for part in every])
    return blake3(f"{text}\n{lengths}".encode("utf-8", "surrogatepass")).hexdigest()


def frame(part: bytes | str) -> bytes:
    """*part* with a mark that tells text from bytes and its length before it."""
    if isinstance(part, str):
        part = part.encode("utf-8", "surrogatepass")
        return b"s%d:" % len(part) + part
    return b"b%d:" % len(part) + part
