# amaranth: UnusedElaboratable=no
"""DMA: bytes, bursts, throughput, halt and errors, against a memory that stalls at random."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest
from amaranth import Const

from penstock.hw.bus.dma import ReadDma, WriteDma
from penstock.sim.bench import dma as bench_dma
from penstock.sim.bench import runner
from tests.support.hwsim import Process, ReadSlave, WriteSlave, collect, drive, run

MEMORY = 3 * 4096
GUARD = 0xA5


def random_commands(rng: random.Random, count: int) -> list[dict[str, int]]:
    """Commands anywhere in memory, many of them around a 4 KiB boundary."""
    commands = []
    for _ in range(count):
        beats = rng.choice([1, 2, 15, 16, 17, rng.randint(1, 80)])
        start = rng.choice([rng.randrange(MEMORY // 8 - beats), 512 - rng.randrange(1, 20)])
        commands.append({"addr": 8 * start, "beats": beats})
    return commands


def counting(dut: ReadDma | WriteDma) -> Process:
    """Return a process that checks the DMA's counts of its bus, and their delay, in every cycle."""
    bus = dut.bus
    reads = isinstance(dut, ReadDma)
    if isinstance(dut, ReadDma):
        address = (bus.arvalid, bus.arready, bus.arlen)
        answer = (bus.rvalid, bus.rresp)
        waiting = dut.waiting
    else:
        address = (bus.awvalid, bus.awready, bus.awlen)
        answer = (bus.bvalid, bus.bresp)
        waiting = Const(0)

    async def process(ctx: Any) -> None:
        # Totals up to each cycle, the last one at the end.
        asked, arrived, errors = [0, 0, 0], [0, 0, 0], [0, 0]
        bursts: deque[int] = deque()
        waits = 0
        members = (
            *address,
            *answer,
            dut.control.expected,
            dut.control.received,
            dut.control.error,
            waiting,
        )
        async for _, _, valid, ready, length, answered, resp, *seen in ctx.tick().sample(*members):
            assert seen == [asked[-3], arrived[-3], errors[-2], waits]
            waits = reads and not answered and (valid or asked[-1] != arrived[-1])
            if valid and ready:
                bursts.append(length + 1)
            beats = 0 if not answered else 1 if reads else bursts.popleft()
            asked.append(asked[-1] + (length + 1 if valid and ready else 0))
            arrived.append(arrived[-1] + beats)
            errors.append(errors[-1] or (resp if answered and resp >= 2 else 0))

    return process


def words(memory: bytearray, command: dict[str, int]) -> list[int]:
    text = memory[command["addr"] : command["addr"] + 8 * command["beats"]]
    return [int.from_bytes(text[k : k + 8], "little") for k in range(0, len(text), 8)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("depth", "queued"), [(16, 4), (64, 4), (128, 0)])
def test_reads_every_beat(depth: int, queued: int, seed: int) -> None:
    rng = random.Random(seed)
    dut = ReadDma(depth=depth, commands=queued)
    memory = bytearray(rng.randbytes(MEMORY))
    slave = ReadSlave(dut.bus, memory, rng=rng, latency=rng.randint(0, 30), stall=0.3)
    commands = random_commands(rng, 12)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, commands, rng=rng)

    async def sink(ctx: Any) -> None:
        for command in commands:
            assert await collect(ctx, dut.o, command["beats"], rng=rng) == words(memory, command)
        total = sum(command["beats"] for command in commands)
        assert ctx.get(dut.control.idle) == 1
        assert ctx.get(dut.control.expected) == ctx.get(dut.control.received) == total
        assert ctx.get(dut.control.error) == 0

    run(dut, source, sink, background=[slave.process, counting(dut)])


@pytest.mark.parametrize("depth", [64, 128])
def test_reads_a_beat_every_cycle_whatever_the_latency(depth: int) -> None:
    rng = random.Random(1)
    dut = ReadDma(depth=depth)
    memory = bytearray(rng.randbytes(MEMORY))
    slave = ReadSlave(dut.bus, memory, rng=rng, latency=40, stall=0)
    # Long commands, an unaligned one, and short ones in a row.
    commands = [{"addr": 8 * 16 * k, "beats": n} for k, n in enumerate([300, 90, 16, 16, 16, 200])]
    commands[1]["addr"] += 24
    total = sum(command["beats"] for command in commands)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, commands, rng=rng, stall=0)

    async def sink(ctx: Any) -> None:
        expected = [word for command in commands for word in words(memory, command)]
        assert await collect(ctx, dut.o, total, rng=rng, stall=0) == expected

    run(dut, source, sink, background=[slave.process], cycles=total + 55)
    assert slave.max_outstanding >= 4


def test_read_credits_bound_what_is_on_its_way() -> None:
    rng = random.Random(2)
    dut = ReadDma(depth=32)
    memory = bytearray(rng.randbytes(MEMORY))
    slave = ReadSlave(dut.bus, memory, rng=rng, latency=2)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, [{"addr": 0, "beats": 200}], rng=rng)
        await ctx.tick().repeat(300)
        assert ctx.get(dut.control.received) == ctx.get(dut.control.expected) == 32

    run(dut, source, background=[slave.process])


def test_read_halt_takes_what_is_on_its_way() -> None:
    rng = random.Random(3)
    dut = ReadDma(depth=64)
    memory = bytearray(rng.randbytes(MEMORY))
    slave = ReadSlave(dut.bus, memory, rng=rng, latency=20)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, [{"addr": 0, "beats": 200}], rng=rng)
        await ctx.tick().until(dut.control.expected != 0)
        assert ctx.get(dut.control.idle) == 0
        ctx.set(dut.control.halt, 1)
        await ctx.tick().until(dut.control.idle)
        bursts = len(slave.bursts)
        assert 0 < ctx.get(dut.control.expected) == ctx.get(dut.control.received) < 200
        await ctx.tick().repeat(50)
        assert len(slave.bursts) == bursts
        assert ctx.get(dut.control.idle) == 1

    run(dut, source, background=[slave.process])


@pytest.mark.parametrize("resp", [2, 3])
def test_read_error_holds_the_first_response(resp: int) -> None:
    rng = random.Random(4)
    dut = ReadDma(depth=64)
    memory = bytearray(rng.randbytes(MEMORY))
    slave = ReadSlave(dut.bus, memory, rng=rng, fault=(37, resp))

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, [{"addr": 64, "beats": 40}], rng=rng)
        await ctx.tick().until(dut.control.error != 0)
        *_, received = await ctx.tick().sample(dut.control.received)
        assert received == 38
        await ctx.tick().until(dut.control.received == 40)
        assert ctx.get(dut.control.error) == resp

    run(dut, source, background=[slave.process])


def test_read_that_never_answers_is_seen_in_the_counts() -> None:
    rng = random.Random(5)
    dut = ReadDma(depth=64)
    slave = ReadSlave(dut.bus, bytearray(MEMORY), rng=rng, mute=21)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, [{"addr": 64, "beats": 40}], rng=rng)
        await ctx.tick().repeat(200)
        assert ctx.get(dut.control.expected) == 40
        assert ctx.get(dut.control.received) == 21
        assert ctx.get(dut.waiting) == 1
        assert ctx.get(dut.control.idle) == 0

    run(dut, source, background=[slave.process])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("depth", "queued"), [(16, 4), (64, 4), (128, 0)])
def test_writes_every_beat_and_nothing_else(depth: int, queued: int, seed: int) -> None:
    rng = random.Random(seed)
    dut = WriteDma(depth=depth, commands=queued)
    memory = bytearray([GUARD]) * MEMORY
    slave = WriteSlave(dut.bus, memory, rng=rng, latency=rng.randint(0, 30), stall=0.3)
    commands, address = [], 8 * rng.randrange(500)
    for _ in range(12):
        beats = rng.choice([1, 2, 15, 16, 17, rng.randint(1, 80)])
        commands.append({"addr": address, "beats": beats})
        address += 8 * (beats + rng.randint(1, 4))
    beats = [[rng.getrandbits(64) for _ in range(c["beats"])] for c in commands]
    expected = bytearray([GUARD]) * MEMORY
    for command, values in zip(commands, beats, strict=True):
        text = b"".join(value.to_bytes(8, "little") for value in values)
        expected[command["addr"] : command["addr"] + len(text)] = text

    async def requests(ctx: Any) -> None:
        await drive(ctx, dut.cmd, commands, rng=rng)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.i, [value for values in beats for value in values], rng=rng)

    async def watch(ctx: Any) -> None:
        done = 0
        for command in commands:
            done += command["beats"]
            await ctx.tick().until(dut.done)
            assert slave.beats >= done
        assert slave.beats == done
        await ctx.tick().repeat(2)  # counted later than `done`
        assert ctx.get(dut.control.received) == ctx.get(dut.control.expected) == done
        assert ctx.get(dut.control.idle) == 1
        assert ctx.get(dut.control.error) == 0

    run(dut, requests, source, watch, background=[slave.process, counting(dut)])
    assert memory == expected


def test_writes_a_beat_every_cycle_whatever_the_latency() -> None:
    rng = random.Random(1)
    dut = WriteDma(depth=64)
    slave = WriteSlave(dut.bus, bytearray(MEMORY), rng=rng, latency=40, stall=0)
    sizes = [300, 16, 16, 40, 100, 60]
    commands = [{"addr": 512 * k, "beats": n} for k, n in enumerate(sizes)]
    total = sum(sizes)

    async def requests(ctx: Any) -> None:
        await drive(ctx, dut.cmd, commands, rng=rng, stall=0)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.i, range(total), rng=rng, stall=0)

    async def watch(ctx: Any) -> None:
        for _ in commands:
            await ctx.tick().until(dut.done)

    run(dut, requests, source, watch, background=[slave.process], cycles=total + 80)


def test_write_begins_no_burst_without_its_data() -> None:
    rng = random.Random(2)
    dut = WriteDma(depth=32)
    slave = WriteSlave(dut.bus, bytearray(MEMORY), rng=rng)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, [{"addr": 0, "beats": 20}], rng=rng)
        await drive(ctx, dut.i, range(15), rng=rng)
        await ctx.tick().repeat(30)
        assert slave.bursts == []
        await drive(ctx, dut.i, range(5), rng=rng)
        await ctx.tick().until(dut.done)
        assert slave.bursts == [(0, 16), (128, 4)]

    run(dut, source, background=[slave.process])


def test_write_halt_finishes_what_was_begun() -> None:
    rng = random.Random(3)
    dut = WriteDma(depth=64)
    slave = WriteSlave(dut.bus, bytearray(MEMORY), rng=rng, latency=20, stall=0.5)

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, [{"addr": 8, "beats": 200}], rng=rng)
        await drive(ctx, dut.i, range(70), rng=rng, stall=0)
        ctx.set(dut.control.halt, 1)
        await ctx.tick().until(dut.control.idle)
        begun = sum(beats for _, beats in slave.bursts)
        assert (
            0
            < begun
            == ctx.get(dut.control.expected)
            == ctx.get(dut.control.received)
            == slave.beats
        )
        await ctx.tick().repeat(50)
        assert sum(beats for _, beats in slave.bursts) == begun
        assert ctx.get(dut.control.idle) == 1

    run(dut, source, background=[slave.process])


@pytest.mark.parametrize("resp", [0, 2])
@pytest.mark.parametrize("make", [ReadDma, WriteDma])
def test_counts_are_final_when_it_is_idle(make: Any, resp: int) -> None:
    """Delayed counts are complete in the first cycle in which nothing is in flight."""
    rng = random.Random(6)
    dut = make(depth=16)
    writes = make is WriteDma
    slave_of = WriteSlave if writes else ReadSlave
    # The last burst, or the last beat, has the error.
    fault = (1 if writes else 19, resp) if resp else None
    slave = slave_of(dut.bus, bytearray(MEMORY), rng=rng, latency=5, stall=0, fault=fault)
    final: tuple[int, ...] = ()

    async def request(ctx: Any) -> None:
        ctx.set(dut.cmd.payload, {"addr": 0, "beats": 20})
        ctx.set(dut.cmd.valid, 1)
        await ctx.tick().until(dut.cmd.ready)
        ctx.set(dut.cmd.valid, 0)

    async def data(ctx: Any) -> None:
        if writes:
            await drive(ctx, dut.i, range(20), rng=rng, stall=0)
        else:
            await collect(ctx, dut.o, 20, rng=rng, stall=0)

    async def watch(ctx: Any) -> None:
        nonlocal final
        pulses = 0
        seen = [
            dut.control.idle,
            dut.control.expected,
            dut.control.received,
            dut.control.error,
            dut.done if writes else 0,
        ]
        was_idle = True
        for _ in range(100):
            _, _, idle, *counts, pulse = await ctx.tick().sample(*seen)
            pulses += pulse
            if idle and not was_idle:
                final = (*counts, pulses)
            was_idle = idle

    run(dut, request, data, watch, background=[slave.process, counting(dut)])
    assert final == (20, 20, resp, writes)


@pytest.mark.parametrize("resp", [2, 3])
def test_write_error_holds_the_first_response(resp: int) -> None:
    rng = random.Random(4)
    dut = WriteDma(depth=64)
    slave = WriteSlave(dut.bus, bytearray(MEMORY), rng=rng, fault=(1, resp))

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, [{"addr": 0, "beats": 48}], rng=rng)
        await drive(ctx, dut.i, range(48), rng=rng, stall=0)
        await ctx.tick().until(dut.control.error != 0)
        *_, received = await ctx.tick().sample(dut.control.received)
        assert received == 32
        await ctx.tick().until(dut.done)
        assert ctx.get(dut.control.error) == resp

    run(dut, source, background=[slave.process])


@pytest.mark.parametrize("depth", [8, 48, "64"])
def test_wrong_depth(depth: Any) -> None:
    for dma in (ReadDma, WriteDma):
        with pytest.raises(ValueError, match="depth must be a power of two of at least 16, not"):
            dma(depth=depth)
        with pytest.raises(ValueError, match="commands must not be negative, not -1"):
            dma(commands=-1)


def test_bench_copies_memory() -> None:
    """Both engines in cocotb, against the memories of cocotbext-axi."""
    log = runner.run(bench_dma.DmaBench(), "penstock.sim.bench.dma")
    assert "FAIL=0" in log


def test_writes_that_wait_for_their_acknowledgement() -> None:
    rng = random.Random(9)
    dut = WriteDma()
    slave = WriteSlave(dut.bus, bytearray(MEMORY), rng=rng, stall=0, mute=0)
    commands = [{"addr": 8 * k, "beats": 1} for k in range(40)]

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.cmd, commands, rng=rng, stall=0)

    async def beats(ctx: Any) -> None:
        await drive(ctx, dut.i, range(40), rng=rng, stall=0)

    async def watch(ctx: Any) -> None:
        await ctx.tick().repeat(400)
        print(len(slave.bursts), slave.max_outstanding)
        assert len(slave.bursts) == slave.max_outstanding == 16

    run(dut, watch, background=[slave.process, source, beats])
