"""Frames between the hardware's and the computer's implementation."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.host.devices.serial.link_client import Decoder, encode
from penstock.hw.link.frame import Deframer, Framer
from penstock.models.spec.link_frames import CRC_BYTES, ESCAPE, FLAG, HEADER_BYTES
from tests.support.hwsim import collect, drive, run

SPECIAL = bytes([FLAG, ESCAPE])


def random_contents(rng: random.Random) -> list[bytes]:
    """Contents of some frames, with many bytes that must be escaped."""
    return [
        bytes(rng.choice([*SPECIAL, rng.randrange(256)]) for _ in range(rng.randint(8, 20)))
        for _ in range(6)
    ]


@pytest.mark.parametrize("seed", range(2))
def test_framer(seed: int) -> None:
    rng = random.Random(seed)
    contents = random_contents(rng)
    expected = b"".join(map(encode, contents))
    dut = Framer()

    async def source(ctx: Any) -> None:
        for content in contents:
            payloads = [{"data": byte, "last": 0} for byte in content]
            payloads[-1]["last"] = 1
            await drive(ctx, dut.i, payloads, rng=rng)

    async def sink(ctx: Any) -> None:
        assert bytes(await collect(ctx, dut.o, len(expected), rng=rng)) == expected

    run(dut, source, sink)


async def frames(ctx: Any, dut: Deframer, rng: random.Random, count: int) -> list[Any]:
    """Take frames: their bytes if the CRC was right, else None."""
    result: list[Any] = []
    content = b""
    while len(result) < count:
        (event,) = await collect(ctx, dut.o, 1, rng=rng)
        if event["end"]:
            result.append(content if event["good"] else None)
            content = b""
        else:
            content += bytes([event["data"]])
    return result


@pytest.mark.parametrize("seed", range(2))
def test_deframer(seed: int) -> None:
    rng = random.Random(seed)
    contents = random_contents(rng)
    # Flags shared and repeated, a frame given up, and one that begins in the middle.
    wire = b"rest" + encode(contents[0]) + bytes([FLAG] * 3) + encode(contents[1])
    wire += encode(contents[2])[:-2] + bytes([ESCAPE, FLAG])
    wire += b"".join(encode(content)[:-1] for content in contents[3:]) + bytes([FLAG])
    expected = [None, contents[0], contents[1], None, *contents[3:]]
    dut = Deframer()

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.i, wire, rng=rng)

    async def sink(ctx: Any) -> None:
        got = await frames(ctx, dut, rng, len(expected))
        assert [None if body is None else body[:-CRC_BYTES] for body in got] == expected

    run(dut, source, sink)


def test_damage_is_found() -> None:
    rng = random.Random(1)
    content = bytes(range(12))
    wire = encode(content)
    spoilt = []
    for _ in range(20):
        values = bytearray(wire)
        # Not a flag at the ends: that joins or loses frames, which is tested above.
        values[rng.randrange(1, len(wire) - 1)] ^= 1 << rng.randrange(8)
        spoilt.append(bytes(values))
    dut = Deframer()

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.i, b"".join(spoilt) + wire, rng=rng, stall=0)

    async def sink(ctx: Any) -> None:
        got: list[Any] = []
        while not got or got[-1] is None:
            got += await frames(ctx, dut, rng, 1)
        assert got[-1][:-CRC_BYTES] == content
        assert len(got) > len(spoilt)

    run(dut, source, sink)


@given(st.lists(st.binary(min_size=HEADER_BYTES, max_size=60)), st.integers(1, 30))
def test_decoder(contents: list[bytes], piece: int) -> None:
    wire = b"".join(map(encode, contents))
    decoder = Decoder()
    got = []
    for start in range(0, len(wire), piece):
        got += decoder.feed(wire[start : start + piece])
    assert got == contents
    assert decoder.damaged == 0


@given(st.binary(min_size=HEADER_BYTES, max_size=40), st.data())
def test_decoder_finds_damage(content: bytes, data: Any) -> None:
    wire = bytearray(encode(content))
    wire[data.draw(st.integers(0, len(wire) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    decoder = Decoder()
    assert content not in decoder.feed(bytes(wire))
    # The next frame is received after any noise; a lost flag may cost one frame.
    decoder.feed(encode(content))
    assert decoder.feed(encode(content)) == [content]
