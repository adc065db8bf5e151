from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from stepcache.store.codecs import Declined
from stepcache_arrow.codecs import CODECS


def codec_for(value: object) -> Any:
    """The codec that names the value's exact type, as the registry finds it."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    (codec,) = [codec for codec in CODECS if kind in codec.types]
    return codec


def encoded_bytes(value: object) -> bytes:
    """The bytes that are stored for *value*."""
    codec = codec_for(value)
    assert codec.takes(value)
    encoded = codec.encode(value)
    assert encoded.classes == ()
    return b"".join(bytes(part) for part in encoded.parts)


@pytest.fixture
def takes() -> Callable[[object], bool]:
    """Whether the codec for a value's type takes it, at a glance and at a closer look."""

    def tried(value: object) -> bool:
        codec = codec_for(value)
        try:
            return codec.takes(value) and bool(codec.encode(value))
        except Declined:
            return False

    return tried


@pytest.fixture
def encoded() -> Callable[[object], bytes]:
    return encoded_bytes


@pytest.fixture
def roundtrip() -> Callable[[Any], Any]:
    """Stores and loads a value, from writable memory that is its own, as a mapped blob is."""

    def through(value: Any) -> Any:
        return codec_for(value).decode(memoryview(bytearray(encoded_bytes(value))))

    return through
