"""Bitstream headers: round trip and damage.  tests/board reads them with pynq."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.models.zynq.bitfile import BitFile, read_bit, short_part, write_bit

BIT = BitFile(
    design="penstock;Version=1", part="7z020clg400", date="2024/01/31", time="12:34:56",
    payload=bytes(range(64)),
)  # fmt: skip


def test_round_trip() -> None:
    assert read_bit(write_bit(BIT)) == BIT


def test_the_bytes() -> None:
    data = write_bit(BitFile(design="penstock", part="7z020clg400", payload=BIT.payload))
    assert data[:13].hex() == "00090ff00ff00ff00ff0000001"
    assert data[13:25] == b"a\0\x09penstock\0"
    assert data[25:] == (
        b"b\0\x0c7z020clg400\0c\0\x0b2000/01/01\0d\0\x0900:00:00\0e\0\0\0\x40" + BIT.payload
    )


def test_parts() -> None:
    assert short_part("xc7z020clg400-1") == "7z020clg400"
    assert short_part("7z020clg400") == "7z020clg400"


def test_no_truncation_is_taken_for_a_file() -> None:
    data = write_bit(BIT)
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"not a \.bit file|damaged|does not end|cut short"):
            read_bit(data[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BIT.payload, "no bitstream header: not a .bit file"),
        (write_bit(BIT)[:20], "the design in the header does not end"),
        (write_bit(BIT)[:-1], "the header says 64 bytes of bitstream, there are 63"),
        (write_bit(BIT) + b"0", "the header says 64 bytes of bitstream, there are 65"),
        (write_bit(BIT).replace(b"b\0\x0c", b"z\0\x0c"), "tag 0x7a where the part should be"),
        (write_bit(BIT).replace(b"e\0\0\0@", b"f\0\0\0@"), "tag 0x66 where the payload should be"),
        (write_bit(BIT).replace(b"clg", b"cl\xff"), "the header of the .bit file is damaged"),
        (write_bit(BIT).replace(b"00\0c", b"00 c"), "the part in the header does not end"),
        (
            write_bit(BIT)[:-2].replace(b"@", b">", 1),
            "must have a positive multiple of 4 bytes, not 62",
        ),
        (write_bit(BIT)[:-64].replace(b"@", b"\0", 1), "a positive multiple of 4 bytes, not 0"),
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
