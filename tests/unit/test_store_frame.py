"""A frame that was changed in any way is never taken for what was written."""

from __future__ import annotations

import pytest

from stepcache.store.frame import MEMO, TRACE, VALUE, ZSTD, Damaged, Foreign, frame, payload_of, read_header
from stepcache.store.rows import opened, sealed
from stepcache.store.seal import Seal

SEAL = Seal(b"the key of these tests")
NAME = bytes(range(32))


def read(data: bytes, *, seal: Seal = SEAL, kind: int = VALUE, name: bytes = NAME) -> bytes:
    return bytes(payload_of(data, read_header(data, seal, kind, name)))


def test_what_is_written_is_read() -> None:
    data = frame(VALUE, NAME, b"payload", SEAL, codec="plain", packing=ZSTD, size=99)
    header = read_header(data, SEAL, VALUE, NAME)
    assert (header.codec, header.packing, header.size, header.stored) == ("plain", ZSTD, 99, 7)
    assert read(data) == b"payload"


def test_a_flipped_bit_anywhere_is_noticed() -> None:
    data = frame(VALUE, NAME, b"payload", SEAL, codec="plain")
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises((Damaged, Foreign)):
                read(bytes(changed))


def test_every_truncation_and_any_addition_is_noticed() -> None:
    data = frame(VALUE, NAME, b"payload", SEAL, codec="plain")
    for length in range(len(data)):
        with pytest.raises(Damaged):
            read(data[:length])
    with pytest.raises(Damaged):
        read(data + b"\0")


def test_another_key_and_another_format_are_foreign() -> None:
    data = frame(VALUE, NAME, b"payload", SEAL)
    with pytest.raises(Foreign):
        read(data, seal=Seal(b"another key"))
    with pytest.raises(Foreign):
        read(data[:8] + b"\x02\x00" + data[10:])


def test_a_frame_serves_under_its_own_name_and_kind_only() -> None:
    data = frame(VALUE, NAME, b"payload", SEAL)
    with pytest.raises(Damaged):
        read(data, name=NAME[::-1])
    with pytest.raises(Damaged):
        read(data, kind=TRACE)


@pytest.mark.parametrize("document", [b"", b"short", b"long " * 5000, bytes(range(256)) * 100])
def test_rows_give_back_what_was_sealed_into_them(document: bytes) -> None:
    row = sealed(MEMO, NAME, document, SEAL, long=1000)
    assert bytes(opened(row, MEMO, NAME, SEAL)) == document


def test_long_rows_are_packed() -> None:
    assert len(sealed(MEMO, NAME, b"long " * 5000, SEAL, long=1000)) < 500


@pytest.mark.parametrize("row", [None, 7, 0.5, "text"])
def test_a_row_that_holds_no_bytes_is_damaged(row: object) -> None:
    with pytest.raises(Damaged):
        opened(row, MEMO, NAME, SEAL)
