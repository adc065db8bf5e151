"""zstd frames are trusted no further than the sealed size."""

from __future__ import annotations

import mmap
import random
from pathlib import Path

import pytest
import zstandard

from stepcache.store.compression import Packer, chunks, unpack
from stepcache.store.frame import Damaged

ADAPTIVE = Packer()
NOISE = random.Random(1).randbytes(300_000)
TEXT = b"the same again and " * 50_000
WORDS = b"".join(random.Random(2).choices([b"one ", b"two ", b"three "], k=3_000_000))


def test_what_saves_less_than_a_tenth_is_not_packed() -> None:
    assert ADAPTIVE.pack(NOISE) is None
    assert len(ADAPTIVE.pack(TEXT) or TEXT) < 2000


def test_a_sample_of_all_parts_decides() -> None:
    assert ADAPTIVE.threads([TEXT], len(TEXT)) is not None
    assert ADAPTIVE.threads([NOISE], len(NOISE)) is None
    assert ADAPTIVE.threads([NOISE[:1000], TEXT], len(TEXT) + 1000) is not None
    assert ADAPTIVE.threads([TEXT[:1000], NOISE, NOISE[::-1]], 601_000) is None


def test_threads_are_for_what_is_large_and_takes_long_to_pack() -> None:
    assert ADAPTIVE.threads([WORDS], len(WORDS))
    assert ADAPTIVE.threads([WORDS[: 1 << 20]], 1 << 20) == 0
    assert ADAPTIVE.threads([bytes(20 << 20)], 20 << 20) == 0
    assert Packer(policy="always").threads([WORDS], len(WORDS))


@pytest.mark.parametrize("size", [1, 1000, 9 << 20])
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("level", [1, 9])
def test_a_stream_is_one_frame_of_the_stated_size(size: int, threads: int, level: int) -> None:
    data = (WORDS * (size // len(WORDS) + 1))[:size]
    pieces = chunks([data[: size // 3], data[size // 3 :]])
    packed = b"".join(Packer(level=level).stream(pieces, size, threads))
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
    packed = ADAPTIVE.pack(TEXT)
    assert packed is not None
    for more in (b"\0", packed):
        with pytest.raises(Damaged):
            unpack(packed + more, len(TEXT))
    with pytest.raises(Damaged):
        unpack(packed[:-1], len(TEXT))


def mapped(path: Path, data: bytes) -> tuple[memoryview, mmap.mmap]:
    """A file of a header and *data*: its data and its map."""
    path.write_bytes(b"header" + data)
    with path.open("rb") as file:
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return memoryview(whole)[6:], whole


def test_a_mapped_frame_is_read_to_its_end(tmp_path: Path) -> None:
    data, packed = WORDS, b"".join(ADAPTIVE.stream(chunks([WORDS]), len(WORDS)))
    assert len(packed) > 1 << 20
    assert unpacked(mapped(tmp_path / "whole", packed), len(data)) == data
    for wrong in (packed + b"\0", packed[:-1], packed + packed):
        with pytest.raises(Damaged):
            unpacked(mapped(tmp_path / "wrong", wrong), len(data))


def unpacked(found: tuple[memoryview, mmap.mmap], size: int) -> memoryview:
    data, whole = found
    return unpack(data, size, whole)


@pytest.mark.parametrize(("policy", "packs_noise", "packs_text"), [("always", False, True), ("never", False, False)])
def test_the_policy_decides_without_a_sample(policy: str, packs_noise: bool, packs_text: bool) -> None:
    packer = Packer(policy=policy)  # type: ignore[arg-type]
    assert (packer.threads([NOISE], len(NOISE)) is not None) == (policy == "always")
    assert (packer.pack(NOISE) is not None, packer.pack(TEXT) is not None) == (packs_noise, packs_text)


def test_the_level_decides_how_small() -> None:
    words = WORDS[:80_000]
    assert len(Packer(level=19).pack(words) or words) < len(ADAPTIVE.pack(words) or words)


def test_a_lack_of_memory_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def compress(self, _: bytes) -> bytes:
            raise zstandard.ZstdError("Allocation error : not enough memory")

        def compressobj(self, size: int) -> Full:
            return self

    monkeypatch.setattr("stepcache.store.compression._packer", lambda _: Full())
    with pytest.raises(MemoryError):
        Packer().pack(b"x" * 5000)
    with pytest.raises(MemoryError):
        list(Packer().stream(iter([memoryview(b"x")]), 1))
