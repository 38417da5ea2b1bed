# amaranth: UnusedElaboratable=no
"""The descriptor fetcher, cycle by cycle."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from penstock.hw.core.fetch import Fetch
from penstock.models.spec.arch import ARCHES, Arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Op, encode
from tests.hw.core.test_sequencer import random_fields
from tests.support.hwsim import run

ARCH = ARCHES["tiny"]
# Without queues, checksums are made a byte at a time.
NARROW = replace(ARCH, queue_depth=0)
BEATS = DESCRIPTOR_BYTES // 8


def descriptors(count: int) -> list[tuple[Op, bytes]]:
    rng = random.Random(count)
    ops = [rng.choice(list(Op)) for _ in range(count)]
    return [(op, encode(op, random_fields(rng, op, dict.fromkeys(Op, 0)))) for op in ops]


@pytest.mark.parametrize(("arch", "per_beat"), [(ARCH, 1), (NARROW, 8)], ids=["beats", "bytes"])
def test_cycles(arch: Arch, per_beat: int) -> None:
    """Feed beats at full rate; return the cycles of beats and descriptors, and the counts."""
    program = descriptors(4)
    beats = [
        int.from_bytes(text[8 * k : 8 * k + 8], "little")
        for _, text in program
        for k in range(BEATS)
    ]
    dut = Fetch(arch=arch)
    each = BEATS * per_beat + 2
    # By cycle after `start`: beats taken, descriptors handed out, counts.
    taken: list[int] = []
    handed: list[tuple[int, Op]] = []
    fetched: list[int] = []
    finished: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.desc_count, len(program))
        for o in dut.engines.values():
            ctx.set(o.ready, 1)
        ctx.set(dut.data.payload, beats[0])
        ctx.set(dut.data.valid, 1)
        # Beats before the start wait: the fetcher may take them at any time.
        ctx.set(dut.start, 1)
        for cycle in range(-1, each * len(program) + 8):
            valid = [o.valid for o in dut.engines.values()]
            _, _, ready, count, end, *out = await ctx.tick().sample(
                dut.data.ready, dut.fetched, dut.finished, *valid
            )
            ctx.set(dut.start, 0)
            if ready and len(taken) < len(beats):
                taken.append(cycle)
                ctx.set(dut.data.valid, len(taken) < len(beats))
                if len(taken) < len(beats):
                    ctx.set(dut.data.payload, beats[len(taken)])
            handed.extend((cycle, op) for op, up in zip(dut.engines, out) if up)
            fetched.append(count)
            finished.append(end)

    run(dut, bench)
    begin = taken[0] - (per_beat - 1)
    assert taken == [
        begin + each * d + per_beat * (k + 1) - 1 for d in range(len(program)) for k in range(BEATS)
    ]
    # One cycle to check it, then it is offered.
    assert handed == [(begin + each * (d + 1) - 1, op) for d, (op, _) in enumerate(program)]
    last = handed[-1][0]
    # Counted two cycles late: when a bad one would show.
    for d, (cycle, _) in enumerate(handed):
        assert (fetched[cycle + 1], fetched[cycle + 2]) == (d, d + 1)
    assert finished == [cycle > last + 2 for cycle in range(-1, len(finished) - 1)]


def test_commands() -> None:
    """One for each descriptor, every second cycle, each until it is taken."""
    dut = Fetch(arch=ARCH)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.desc_addr, 0xFFFE_FF00)
        ctx.set(dut.desc_count, 6)
        await ctx.tick().repeat(3)
        assert not ctx.get(dut.cmd.valid)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for k, ready in enumerate((1, 1, 0, 0, 1, 1, 0, 1, 1)):
            index = (0, 1, 2, 2, 2, 3, 4, 4, 5)[k]
            assert ctx.get(dut.cmd.valid)
            address = (0xFFFE_FF00 + DESCRIPTOR_BYTES * index) % (1 << 32)
            assert ctx.get(dut.cmd.p.addr) == address
            assert ctx.get(dut.cmd.p.beats) == BEATS
            ctx.set(dut.cmd.ready, ready)
            await ctx.tick()
            if ready:
                assert not ctx.get(dut.cmd.valid)
                await ctx.tick()
        for _ in range(4):
            assert not ctx.get(dut.cmd.valid)
            await ctx.tick()

    run(dut, bench)


@pytest.mark.parametrize("bit", [8 * DESCRIPTOR_BYTES - 1, 0, 8 * 17 + 3])
def test_nothing_after_a_damaged_one(bit: int) -> None:
    """Nothing more is handed out or requested, and `finished` stays 0."""
    (_, text), (_, good) = descriptors(2)
    damaged = int.from_bytes(text, "little") ^ 1 << bit
    image = damaged | int.from_bytes(good, "little") << 8 * DESCRIPTOR_BYTES
    dut = Fetch(arch=ARCH)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.desc_count, 9)
        ctx.set(dut.start, 1)
        ctx.set(dut.cmd.ready, 1)
        for o in dut.engines.values():
            ctx.set(o.ready, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.cmd.ready, 0)
        ctx.set(dut.data.valid, 1)
        beat = 0
        for cycle in range(3 * BEATS):
            ctx.set(dut.data.payload, image >> 64 * beat & (1 << 64) - 1)
            valid = [o.valid for o in dut.engines.values()]
            _, _, ready, bad, finished, *out = await ctx.tick().sample(
                dut.data.ready, dut.bad, dut.finished, *valid
            )
            beat += ready
            assert not any(out) and not finished
            assert bad == (cycle >= BEATS + 2)
            # The diagnostics are copies of the last cycle in which the bad one has not ended a run.
            assert not bad or ctx.get(dut.fetched) == 1
        assert beat == BEATS
        assert ctx.get(dut.fetched) == 1
        # The command that was already offered may still be taken; it is the last one.
        ctx.set(dut.cmd.ready, 1)
        await ctx.tick().repeat(2)
        assert not ctx.get(dut.cmd.valid)

    run(dut, bench)


def test_an_empty_program() -> None:
    dut = Fetch(arch=ARCH)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        assert not ctx.get(dut.finished)
        await ctx.tick()
        assert ctx.get(dut.finished) and not ctx.get(dut.cmd.valid)

    run(dut, bench)
