"""Bitstream headers: what is written is read; damage is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.bitfile import BitFile, read_bit, write_bit

BIT = BitFile(
    design="penstock;Version=1", part="7z020clg400", date="2024/01/31", time="12:34:56",
    payload=bytes(range(64)),
)  # fmt: skip


def test_round_trip() -> None:
    assert read_bit(write_bit(BIT)) == BIT


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BIT.payload, "no bitstream header: not a .bit file"),
        (write_bit(BIT)[:20], "the header of the .bit file is damaged"),
        (write_bit(BIT)[:-1], "the header says 64 bytes of bitstream, there are 63"),
        (write_bit(BIT) + b"0", "the header says 64 bytes of bitstream, there are 65"),
        (write_bit(BIT).replace(b"b\0\x0c", b"z\0\x0c"), "tag 0x7a where the part should be"),
        (write_bit(BIT).replace(b"e\0\0\0@", b"f\0\0\0@"), "tag 0x66 where the payload should be"),
        (write_bit(BIT).replace(b"clg", b"cl\xff"), "the header of the .bit file is damaged"),
    ],
)
def test_damage(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_bit(data)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"payload": b""}, "payload must have a positive multiple of 4 bytes, not 0"),
        ({"payload": b"12345"}, "payload must have a positive multiple of 4 bytes, not 5"),
        ({"design": "a" * 40000}, "design must be ASCII of at most 32766 characters"),
        ({"part": "ü"}, "part must be ASCII"),
        ({"time": "1\0"}, "time must be ASCII"),
    ],
)
def test_wrong_values(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_bit(replace(BIT, **values))


def test_the_hash_is_the_payloads() -> None:
    assert BIT.sha256 == replace(BIT, design="another").sha256
    assert BIT.sha256 != replace(BIT, payload=b"1234").sha256
