# amaranth: UnusedElaboratable=no
"""AXI3 bridges: registers from the processor's side, our masters on the memory's side."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib.wiring import connect

from penstock.hw.bus.axi import Resp
from penstock.hw.bus.axi3 import (
    Axi3ReadMaster,
    Axi3ToLite,
    Axi3WriteMaster,
    axi3,
    axi3_read,
    axi3_write,
)
from penstock.hw.bus.dma import ReadDma, WriteDma
from tests.support.hwsim import ReadSlave, WriteSlave, collect, drive, run

BASE = 0x4000_0000
FIXED, INCR, WRAP = range(3)


def addresses(addr: int, beats: int, size: int, burst: int) -> list[int]:
    """Address of each beat, from the AXI specification's own formulas."""
    step = 1 << size
    if burst == FIXED:
        return [addr] * beats
    aligned = addr // step * step
    listed = [addr, *(aligned + n * step for n in range(1, beats))]
    if burst == WRAP:
        total = step * beats
        low = addr // total * total
        listed = [low + (a - low) % total for a in listed]
    return listed


class Registers:
    """A register bank with AXI4-Lite and random delays."""

    def __init__(self, bus: Any, *, rng: random.Random, error: int | None = None) -> None:
        self.bus = bus
        self.rng = rng
        self.error = error
        self.words: dict[int, int] = {}
        self.writes: list[tuple[int, int, int]] = []
        self.reads: list[int] = []

    async def wait(self, ctx: Any) -> None:
        for _ in range(self.rng.randrange(4)):
            await ctx.tick()

    async def take(self, ctx: Any, valid: Any, ready: Any, *values: Any) -> list[int]:
        await self.wait(ctx)
        ctx.set(ready, 1)
        taken = 0
        while not taken:
            _, _, taken, *got = await ctx.tick().sample(valid, *values)
        ctx.set(ready, 0)
        return [int(value) for value in got]

    async def give(self, ctx: Any, valid: Any, ready: Any) -> None:
        ctx.set(valid, 1)
        taken = 0
        while not taken:
            _, _, taken = await ctx.tick().sample(ready)
        ctx.set(valid, 0)

    async def answer_writes(self, ctx: Any) -> None:
        bus = self.bus
        while True:
            if self.rng.random() < 0.5:  # address first, or data first
                (addr,) = await self.take(ctx, bus.awvalid, bus.awready, bus.awaddr)
                data, strobe = await self.take(ctx, bus.wvalid, bus.wready, bus.wdata, bus.wstrb)
            else:
                data, strobe = await self.take(ctx, bus.wvalid, bus.wready, bus.wdata, bus.wstrb)
                (addr,) = await self.take(ctx, bus.awvalid, bus.awready, bus.awaddr)
            self.writes.append((addr, data, strobe))
            mask = sum(0xFF << 8 * k for k in range(4) if strobe >> k & 1)
            self.words[addr] = self.words.get(addr, 0) & ~mask | data & mask
            await self.wait(ctx)
            ctx.set(bus.bresp, Resp.SLVERR if addr == self.error else Resp.OKAY)
            await self.give(ctx, bus.bvalid, bus.bready)

    async def answer_reads(self, ctx: Any) -> None:
        bus = self.bus
        while True:
            (addr,) = await self.take(ctx, bus.arvalid, bus.arready, bus.araddr)
            self.reads.append(addr)
            await self.wait(ctx)
            ctx.set(bus.rdata, self.words.get(addr, 0))
            ctx.set(bus.rresp, Resp.SLVERR if addr == self.error else Resp.OKAY)
            await self.give(ctx, bus.rvalid, bus.rready)


class Processor:
    """An AXI3 master that checks ids, `rlast` and that answers hold until taken."""

    def __init__(self, bus: Any, *, rng: random.Random) -> None:
        self.bus = bus
        self.rng = rng

    async def request(self, ctx: Any, prefix: str, **values: int) -> None:
        for name, value in values.items():
            ctx.set(getattr(self.bus, prefix + name), value)
        ctx.set(getattr(self.bus, prefix + "valid"), 1)
        taken = 0
        while not taken:
            _, _, taken = await ctx.tick().sample(getattr(self.bus, prefix + "ready"))
        ctx.set(getattr(self.bus, prefix + "valid"), 0)

    async def answer(self, ctx: Any, valid: Any, ready: Any, *values: Any) -> list[int]:
        held = None
        while True:
            takes = self.rng.random() < 0.5
            ctx.set(ready, takes)
            _, _, offered, *got = await ctx.tick().sample(valid, *values)
            assert held is None or (offered and got == held), "an answer changed"
            held = got if offered else None
            if offered and takes:
                ctx.set(ready, 0)
                return [int(value) for value in got]

    async def read(
        self,
        ctx: Any,
        addr: int,
        beats: int = 1,
        *,
        size: int = 2,
        burst: int = INCR,
        ident: int = 0,
    ) -> list[tuple[int, int]]:
        """Return data and response of each beat."""
        bus = self.bus
        await self.request(ctx, "ar", addr=addr, len=beats - 1, size=size, burst=burst, id=ident)
        result = []
        for beat in range(beats):
            rid, data, resp, last = await self.answer(
                ctx, bus.rvalid, bus.rready, bus.rid, bus.rdata, bus.rresp, bus.rlast
            )
            assert rid == ident
            assert last == (beat == beats - 1)
            result.append((data, resp))
        return result

    async def write(
        self,
        ctx: Any,
        addr: int,
        data: list[tuple[int, int]],
        *,
        size: int = 2,
        burst: int = INCR,
        ident: int = 0,
    ) -> int:
        """Write data words with their strobes; return the response."""
        bus = self.bus
        await self.request(
            ctx, "aw", addr=addr, len=len(data) - 1, size=size, burst=burst, id=ident
        )
        for beat, (word, strobe) in enumerate(data):
            while self.rng.random() < 0.3:
                await ctx.tick()
            await self.request(
                ctx, "w", id=ident, data=word, strb=strobe, last=int(beat == len(data) - 1)
            )
        bid, resp = await self.answer(ctx, bus.bvalid, bus.bready, bus.bid, bus.bresp)
        assert bid == ident
        return resp


def bench(seed: int, script: Any, *, error: int | None = None, addr_width: int = 14) -> Registers:
    rng = random.Random(seed)
    dut = Axi3ToLite(base=BASE, addr_width=addr_width)
    registers = Registers(dut.o, rng=rng, error=error)
    processor = Processor(dut.i, rng=rng)

    async def process(ctx: Any) -> None:
        await script(ctx, processor, registers, rng)

    background = (registers.answer_writes, registers.answer_reads)
    run(dut, process, background=background, cycles=20_000)
    return registers


@pytest.mark.parametrize("seed", range(3))
def test_bursts_become_single_accesses(seed: int) -> None:
    """Random bursts of every kind: the accesses and answers are those of the specification."""

    async def script(ctx: Any, cpu: Processor, bank: Registers, rng: random.Random) -> None:
        for _ in range(25):
            size = rng.randrange(3)
            burst = rng.randrange(3)
            beats = rng.choice([2, 4, 8, 16]) if burst == WRAP else rng.randint(1, 16)
            addr = BASE + rng.randrange(0, 1 << 12)
            if burst == WRAP:
                addr = addr >> size << size
            ident = rng.randrange(1 << 12)
            expected = [a - BASE & ~3 for a in addresses(addr, beats, size, burst)]
            data = []
            for at in addresses(addr, beats, size, burst):
                lanes = sum(
                    1 << k for k in range(at % 4, at // (1 << size) * (1 << size) % 4 + (1 << size))
                )
                data.append((rng.getrandbits(32), lanes))
            bank.writes.clear()
            bank.reads.clear()
            assert (
                await cpu.write(ctx, addr, data, size=size, burst=burst, ident=ident) == Resp.OKAY
            )
            assert bank.writes == [(a, d, s) for a, (d, s) in zip(expected, data)]
            got = await cpu.read(ctx, addr, beats, size=size, burst=burst, ident=ident)
            assert bank.reads == expected
            assert got == [(bank.words[a], Resp.OKAY) for a in expected]

    bench(seed, script)


def test_reads_and_writes_do_not_wait_for_each_other() -> None:
    """A write without data does not block reads."""

    async def script(ctx: Any, cpu: Processor, bank: Registers, rng: random.Random) -> None:
        bank.words[8] = 77
        await cpu.request(ctx, "aw", addr=BASE, len=0, size=2, burst=INCR, id=5)
        assert await cpu.read(ctx, BASE + 8, ident=9) == [(77, Resp.OKAY)]

    bench(0, script)


@pytest.mark.parametrize("addr", [0x4000_4000, 0x7FFF_FFF0, 0x0000_0010])
def test_outside_the_window_every_beat_gets_decerr(addr: int) -> None:
    async def script(ctx: Any, cpu: Processor, bank: Registers, rng: random.Random) -> None:
        assert await cpu.read(ctx, addr, 4, ident=3) == [(0, Resp.DECERR)] * 4
        assert await cpu.write(ctx, addr, [(1, 15)] * 3, ident=4) == Resp.DECERR
        assert bank.writes == bank.reads == []
        # And the window is still there.
        assert await cpu.write(ctx, BASE + 4, [(6, 15)]) == Resp.OKAY
        assert await cpu.read(ctx, BASE + 4) == [(6, Resp.OKAY)]

    bench(1, script)


def test_a_burst_over_the_window_s_end() -> None:
    async def script(ctx: Any, cpu: Processor, bank: Registers, rng: random.Random) -> None:
        addr = BASE + (1 << 14) - 8
        assert await cpu.write(ctx, addr, [(n, 15) for n in range(4)]) == Resp.DECERR
        assert [a for a, _, _ in bank.writes] == [0x3FF8, 0x3FFC]
        got = await cpu.read(ctx, addr, 4)
        assert got == [(0, 0), (1, 0), (0, Resp.DECERR), (0, Resp.DECERR)]

    bench(2, script)


def test_a_burst_over_half_of_the_address_s_bits() -> None:
    async def script(ctx: Any, cpu: Processor, bank: Registers, rng: random.Random) -> None:
        addr = BASE + (1 << 16) - 8
        assert await cpu.write(ctx, addr, [(n, 15) for n in range(4)]) == Resp.OKAY
        assert [a for a, _, _ in bank.writes] == [0xFFF8, 0xFFFC, 0x1_0000, 0x1_0004]
        assert await cpu.read(ctx, addr, 4) == [(n, Resp.OKAY) for n in range(4)]

    bench(2, script, addr_width=18)


def test_an_error_of_one_beat_is_the_write_s_answer() -> None:
    async def script(ctx: Any, cpu: Processor, bank: Registers, rng: random.Random) -> None:
        assert await cpu.write(ctx, BASE, [(0, 15)] * 3) == Resp.SLVERR
        assert await cpu.write(ctx, BASE + 8, [(0, 15)]) == Resp.OKAY
        assert [resp for _, resp in await cpu.read(ctx, BASE, 3)] == [0, Resp.SLVERR, 0]

    bench(3, script, error=4)


@pytest.mark.parametrize("seed", range(2))
def test_read_master(seed: int) -> None:
    """A DMA with its bridge reads the memory; the members that AXI3 adds are constant."""
    rng = random.Random(seed)
    m = Module()
    m.submodules.dma = dma = ReadDma(depth=32)
    m.submodules.bridge = bridge = Axi3ReadMaster()
    connect(m, dma.bus, bridge.i)
    memory = bytearray(rng.randbytes(8192))
    slave = ReadSlave(bridge.o, memory, rng=random.Random(seed + 1), stall=0.5)
    commands = [{"addr": 8 * rng.randrange(100), "beats": rng.randint(1, 60)} for _ in range(8)]
    want = [
        int.from_bytes(memory[c["addr"] + 8 * n :][:8], "little")
        for c in commands
        for n in range(c["beats"])
    ]

    async def source(ctx: Any) -> None:
        await drive(ctx, dma.cmd, commands, rng=random.Random(seed + 2))

    async def sink(ctx: Any) -> None:
        assert await collect(ctx, dma.o, len(want), rng=random.Random(seed + 3)) == want

    async def constants(ctx: Any) -> None:
        while True:
            _, _, *got = await ctx.tick().sample(
                *(bridge.o.arid, bridge.o.arlock, bridge.o.arcache, bridge.o.arprot),
                *(bridge.o.arqos, bridge.o.rready),
            )
            assert got == [0, 0, 3, 0, 0, 1]

    run(m, source, sink, background=(slave.process, constants))


@pytest.mark.parametrize("seed", range(2))
def test_write_master(seed: int) -> None:
    """A DMA with its bridge writes its input, and gets every burst's acknowledgement."""
    rng = random.Random(seed)
    m = Module()
    m.submodules.dma = dma = WriteDma(depth=32)
    m.submodules.bridge = bridge = Axi3WriteMaster()
    connect(m, dma.bus, bridge.i)
    memory = bytearray(8192)
    slave = WriteSlave(bridge.o, memory, rng=random.Random(seed + 1), stall=0.5)
    beats, at, commands = [], 0, []
    want = bytearray(8192)
    for _ in range(8):
        count = rng.randint(1, 60)
        commands.append({"addr": at, "beats": count})
        for n in range(count):
            beats.append(rng.getrandbits(64))
            want[at + 8 * n : at + 8 * n + 8] = beats[-1].to_bytes(8, "little")
        at += 8 * count + 8 * rng.randrange(20)
    done = 0

    async def source(ctx: Any) -> None:
        await drive(ctx, dma.cmd, commands, rng=random.Random(seed + 2))

    async def give(ctx: Any) -> None:
        await drive(ctx, dma.i, beats, rng=random.Random(seed + 3))

    async def count_done(ctx: Any) -> None:
        nonlocal done
        while done < len(commands):
            _, _, pulse, wid, awid, cache, bready = await ctx.tick().sample(
                *(dma.done, bridge.o.wid, bridge.o.awid, bridge.o.awcache, bridge.o.bready)
            )
            assert (wid, awid, cache, bready) == (0, 0, 3, 1)
            done += pulse

    run(m, source, give, count_done, background=(slave.process,))
    assert memory == want


@pytest.mark.parametrize("base", [-1, 4, 0x4000_1000, 1 << 32])
def test_wrong_base(base: int) -> None:
    with pytest.raises(ValueError, match=f"base must be a 32-bit multiple of 0x4000, not {base}"):
        Axi3ToLite(base=base)


def test_wrong_widths() -> None:
    with pytest.raises(ValueError, match="addr_width must be from 3 to 31, not 2"):
        Axi3ToLite(base=0, addr_width=2)
    with pytest.raises(ValueError, match="data_width must be 32 or 64, not 128"):
        axi3_read(data_width=128)
    with pytest.raises(ValueError, match="id_width must be from 1 to 12, not 13"):
        axi3_write(id_width=13)
    with pytest.raises(ValueError, match="id_width must be from 1 to 12, not 0"):
        axi3(id_width=0)
