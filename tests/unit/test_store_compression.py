"""zstd frames are trusted no further than the sealed size."""

from __future__ import annotations

import random

import pytest
import zstandard

from stepcache.store.compression import chunks, pack, packed_stream, pays, unpack
from stepcache.store.frame import Damaged

NOISE = random.Random(1).randbytes(300_000)
TEXT = b"the same again and " * 50_000


def test_what_saves_less_than_a_tenth_is_not_packed() -> None:
    assert pack(NOISE, 1) is None
    assert len(pack(TEXT, 1) or TEXT) < 2000


def test_a_sample_of_all_parts_decides() -> None:
    assert pays([TEXT], len(TEXT), 1)
    assert not pays([NOISE], len(NOISE), 1)
    assert pays([NOISE[:1000], TEXT], len(TEXT) + 1000, 1)
    assert not pays([TEXT[:1000], NOISE, NOISE[::-1]], 601_000, 1)


@pytest.mark.parametrize("size", [1, 1000, 9 << 20])
def test_a_stream_is_one_frame_of_the_stated_size(size: int) -> None:
    data = (TEXT * (size // len(TEXT) + 1))[:size]
    packed = b"".join(packed_stream(chunks([data[: size // 3], data[size // 3 :]]), size, 1))
    assert unpack(packed, size) == data


def test_a_frame_that_states_another_size_is_damaged() -> None:
    packed = zstandard.ZstdCompressor().compress(bytes(10_000_000))
    with pytest.raises(Damaged):
        unpack(packed, 1000)


def test_a_frame_that_states_no_size_is_damaged() -> None:
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(TEXT)
    with pytest.raises(Damaged):
        unpack(packed, len(TEXT))


def test_a_huge_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=30)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=1 << 30)
    head = packer.compress(bytes(1 << 20)) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    with pytest.raises(Damaged):
        unpack(head, 1 << 30)


def test_bytes_after_the_frame_are_damage() -> None:
    packed = pack(TEXT, 1)
    assert packed is not None
    for more in (b"\0", packed):
        with pytest.raises(Damaged):
            unpack(packed + more, len(TEXT))
    with pytest.raises(Damaged):
        unpack(packed[:-1], len(TEXT))
