"""The ``.bit`` file: what is written is what readers find, and nothing else is taken for one."""

from __future__ import annotations

import struct
import warnings
from random import Random

import pytest

from hw.flow.bitfile import BitFile, BitFormatError, short_part

PAYLOAD = bytes(range(64))


def made(**options: str) -> BitFile:
    return BitFile(design="penstock", part="7z020clg400", payload=PAYLOAD, **options)


def test_the_bytes() -> None:
    data = made().encode()
    assert data[:13].hex() == "00090ff00ff00ff00ff0000001"
    assert data[13:25] == b"a\0\x09penstock\0"
    assert b"b\0\x0c7z020clg400\0c\0\x0b2000/01/01\0d\0\x0900:00:00\0e\0\0\0\x40" in data
    assert data.endswith(PAYLOAD)


def test_it_reads_back() -> None:
    for file in (made(), made(date="2026/11/21", time="12:34:56")):
        assert BitFile.decode(file.encode()) == file


def test_the_same_design_is_the_same_file() -> None:
    assert made().encode() == made().encode()


def test_parts() -> None:
    assert short_part("xc7z020clg400-1") == "7z020clg400"


def test_pynq_reads_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pynq, on a machine that is no board
        from pynq.pl_server import embedded_device as device
    header = device.parse_bit_header(made().encode())
    assert (header["design"], header["part"]) == ("penstock", "7z020clg400")
    assert header["data"] == PAYLOAD
    words = struct.unpack("<16I", device.bit2bin(made().encode()))
    assert words == struct.unpack(">16I", PAYLOAD)


@pytest.mark.parametrize("payload", [b"", b"\0\0\0", bytes(6)])
def test_payloads_are_whole_words(payload: bytes) -> None:
    with pytest.raises(ValueError, match="payload must be whole 32-bit words"):
        BitFile(design="x", part="y", payload=payload)


@pytest.mark.parametrize("design", ["ü", "a\0b", "x" * 0x8000])
def test_texts_are_ascii_and_short(design: str) -> None:
    with pytest.raises(ValueError, match="design must be short ASCII text"):
        BitFile(design=design, part="y", payload=PAYLOAD)


def test_what_is_no_bit_file() -> None:
    data = made().encode()
    for broken, message in (
        (b"", "not a .bit file"),
        (PAYLOAD, "not a .bit file"),
        (data + b"\0", "bytes, whole words, but 65 follow"),
        (data[:-1], "but 63 follow"),
        (data[:20], "does not end"),
        (data.replace(b"b\0\x0c", b"x\0\x0c"), "must be 'b', not 'x'"),
    ):
        with pytest.raises(BitFormatError, match=message):
            BitFile.decode(broken)


def test_no_truncation_is_taken_for_a_file() -> None:
    data = made().encode()
    random = Random(4)
    for length in [*range(90), random.randrange(90, len(data))]:
        with pytest.raises(BitFormatError):
            BitFile.decode(data[:length])
