# amaranth: UnusedElaboratable=no
"""On-chip memory at the memory port: reads, writes with strobes, errors."""

from __future__ import annotations

import random
from typing import Any

import pytest

from penstock.hw.memory.block_memory import BlockMemory
from tests.support.hwsim import run

SIZE = 256


def test_against_a_list_of_bytes() -> None:
    rng = random.Random(4)
    dut = BlockMemory(size=SIZE)
    content = bytearray(SIZE)
    beats: list[tuple[int, int]] = []  # of the writes: data, strobe
    reads: list[tuple[int, int, int, int]] = []  # data, tag, last, error
    writes: list[tuple[int, int]] = []  # tag, error
    requests = []
    for k in range(40):
        count = rng.randint(1, 16)
        outside = k % 9 == 8
        addr = 8 * rng.randrange(SIZE // 8 - count + 1) + SIZE * outside
        write = k % 2 == 0 or k < 4
        requests.append({"addr": addr, "beats": count, "write": write, "tag": k % 8})
        for j in range(count):
            start = addr % SIZE + 8 * j
            if write:
                data, strobe = rng.getrandbits(64), rng.getrandbits(8)
                beats.append((data, strobe))
                for lane in range(8):
                    if strobe >> lane & 1 and not outside:
                        content[start + lane] = data >> 8 * lane & 0xFF
            else:
                data = 0 if outside else int.from_bytes(content[start : start + 8], "little")
                reads.append((data, k % 8, int(j == count - 1), int(outside)))
        if write:
            writes.append((k % 8, int(outside)))

    async def ask(ctx: Any) -> None:
        for request in requests:
            ctx.set(dut.i.p, request)
            ctx.set(dut.i.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def give(ctx: Any) -> None:
        for data, strobe in beats:
            ctx.set(dut.w.p, {"data": data, "strobe": strobe})
            ctx.set(dut.w.valid, 1)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(dut.w.ready)

    async def look(ctx: Any) -> None:
        done = 0
        found = []
        while done < len(writes) or len(found) < len(reads):
            _, _, valid, beat, ended, tag, error = await ctx.tick().sample(
                dut.r_valid, dut.r, dut.w_done, dut.w_tag, dut.w_error
            )
            if valid:
                found.append((beat.data, beat.tag, beat.last, beat.error))
            if ended:
                assert (tag, error) == writes[done]
                done += 1
        assert found == reads

    run(dut, ask, give, look, cycles=2000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 100}, "size must be a power of two of at least 16, not 100"),
        ({"size": 8}, "size must be a power of two of at least 16, not 8"),
        ({"size": 64, "tag_bits": 0}, "tag_bits must be a positive integer, not 0"),
    ],
)
def test_wrong_parameters(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BlockMemory(**options)
