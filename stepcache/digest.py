"""Hashing in one place: BLAKE3, tagged and length-framed, so that no two different lists share a digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterable

# Part of every key: raise it when keys made from now on must not match older ones.
FORMAT = 1


def digest(tag: str, *parts: bytes | str) -> str:
    """The digest of *parts* under *tag*: 64 hex digits. Text counts as its UTF-8, lone surrogates kept."""
    return digest_all(tag, parts)


def digest_all(tag: str, parts: Iterable[bytes | str]) -> str:
    """As `digest`, of an iterable of parts.

    Each part has its length before it, and a mark that tells text from bytes.
    """
    parts = tuple(parts)
    if _is_ascii(parts):  # by far the most: as many bytes as characters, so that all is encoded at once
        texts = [piece for part in (tag, *parts) for piece in (f"s{len(part)}:", part)]
        return blake3("".join(texts).encode()).hexdigest()  # type: ignore[arg-type]
    framed = []
    for part in (tag, *parts):
        if isinstance(part, str):
            part = part.encode("utf-8", "surrogatepass")
            framed.append(b"s%d:" % len(part))
        else:
            framed.append(b"b%d:" % len(part))
        framed.append(part)
    return blake3(b"".join(framed)).hexdigest()


def _is_ascii(parts: tuple[bytes | str, ...]) -> bool:
    try:
        return "".join(parts).isascii()  # type: ignore[arg-type]
    except TypeError:  # there are bytes among them
        return False


def frame(part: bytes | str) -> bytes:
    """*part* as it is hashed by `digest`."""
    if isinstance(part, str):
        part = part.encode("utf-8", "surrogatepass")
        return b"s%d:" % len(part) + part
    return b"b%d:" % len(part) + part
