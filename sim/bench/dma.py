"""cocotb: the DMA engines copy memory, which is cocotbext-axi's.

The design under test is `DmaBench`: ``bench.run(DmaBench(), "penstock.sim.bench.dma")``.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import cocotb
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiRamRead, AxiRamWrite, AxiReadBus, AxiWriteBus
from cocotbext.axi.sparse_memory import SparseMemory

from penstock.hw.bus.axi import BOUNDARY, MAX_BURST, axi_read, axi_write
from penstock.hw.bus.burst_splitter import command_layout
from penstock.hw.bus.dma import ReadDma, WriteDma

__all__ = ["DmaBench"]

_SIZE = 16 * BOUNDARY
_GUARD = 0xA5
_TARGET = _SIZE // 2


class DmaBench(wiring.Component):
    """A read DMA whose beats go to a write DMA.

    Members
    -------
    read, write : In(stream of command_layout)
    m_rd, m_wr : Out
        Memory ports.
    done : Out(1)
        Pulse for each write command.
    halt : In(1)
        Of both.
    idle : Out(1)
        Both are.
    rd_error, wr_error : Out(2)
    """

    def __init__(self, *, depth: int = 64) -> None:
        self.depth = depth
        super().__init__(
            {
                "read": In(stream.Signature(command_layout)),
                "write": In(stream.Signature(command_layout)),
                "m_rd": Out(axi_read()),
                "m_wr": Out(axi_write()),
                "done": Out(1),
                "halt": In(1),
                "idle": Out(1),
                "rd_error": Out(2),
                "wr_error": Out(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = reader = ReadDma(depth=self.depth)
        m.submodules.writer = writer = WriteDma(depth=self.depth)
        connect(m, flipped(self.read), reader.cmd)
        connect(m, flipped(self.write), writer.cmd)
        connect(m, reader.o, writer.i)
        connect(m, reader.bus, flipped(self.m_rd))
        connect(m, writer.bus, flipped(self.m_wr))
        m.d.comb += [
            reader.control.halt.eq(self.halt),
            writer.control.halt.eq(self.halt),
            self.done.eq(writer.done),
            self.idle.eq(reader.control.idle & writer.control.idle),
            self.rd_error.eq(reader.control.error),
            self.wr_error.eq(writer.control.error),
        ]
        return m


def _pauses(rng: random.Random, share: float) -> Iterator[bool]:
    while True:
        yield rng.random() < share


class _Bench:
    """Clock, memory with stalls, and checks of every address."""

    def __init__(self, dut: Any, rng: random.Random, share: float) -> None:
        self.dut = dut
        self.memory = SparseMemory(_SIZE)
        self.memory.write(0, bytes([_GUARD]) * _SIZE)
        options = {"bus_separator": "__"}
        self.reads = AxiRamRead(
            AxiReadBus.from_prefix(dut, "m_rd", **options), dut.clk, dut.rst, mem=self.memory
        )
        self.writes = AxiRamWrite(
            AxiWriteBus.from_prefix(dut, "m_wr", **options), dut.clk, dut.rst, mem=self.memory
        )
        channels = (
            *(self.reads.ar_channel, self.reads.r_channel),
            *(self.writes.aw_channel, self.writes.w_channel, self.writes.b_channel),
        )
        for channel in channels:
            channel.set_pause_generator(_pauses(rng, share))

    async def start(self) -> None:
        dut = self.dut
        for signal in (dut.read__valid, dut.write__valid, dut.halt):
            signal.value = 0
        dut.rst.value = 1
        cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        cocotb.start_soon(self._check("m_rd__ar"))
        cocotb.start_soon(self._check("m_wr__aw"))

    async def _check(self, prefix: str) -> None:
        names = ("valid", "ready", "addr", "len", "size", "burst")
        signals = [getattr(self.dut, prefix + name) for name in names]
        while True:
            await RisingEdge(self.dut.clk)
            valid, ready, addr, length, size, burst = (int(signal.value) for signal in signals)
            if valid and ready:
                assert (size, burst) == (3, 1)
                assert length < MAX_BURST
                assert addr // BOUNDARY == (addr + 8 * length + 7) // BOUNDARY

    async def command(self, name: str, addr: int, beats: int) -> None:
        """Give a command to the stream called `name`."""
        port = {
            member: getattr(self.dut, f"{name}__{member}")
            for member in ("payload", "valid", "ready")
        }
        port["payload"].value = beats << 32 | addr
        port["valid"].value = 1
        await RisingEdge(self.dut.clk)
        while not int(port["ready"].value):
            await RisingEdge(self.dut.clk)
        port["valid"].value = 0

    async def copies(self, name: str, commands: list[tuple[int, int]]) -> None:
        for addr, beats in commands:
            await self.command(name, addr, beats)

    async def finished(self, count: int) -> None:
        """Wait for `count` write commands to complete."""
        while count:
            await RisingEdge(self.dut.clk)
            count -= int(self.dut.done.value)


@cocotb.test()
@cocotb.parametrize(seed=[1, 2], share=[0.0, 0.4])
async def copies_memory(dut: Any, seed: int, share: float) -> None:
    """Copy pieces of any alignment, many across 4 KiB; all other bytes must be unchanged."""
    rng = random.Random(seed)
    bench = _Bench(dut, rng, share)
    sizes = [rng.choice([1, 2, 15, 16, 17, 33, rng.randint(1, 90)]) for _ in range(16)]
    reads, writes = [], []
    place = _TARGET
    for beats in sizes:
        edge = BOUNDARY * rng.randint(1, 6)
        reads.append((edge - 8 * rng.randint(0, 20), beats))
        place += 8 * rng.randint(1, 60)
        writes.append((place, beats))
        place += 8 * beats
    assert place < _SIZE
    for index in range(_TARGET // 8):
        bench.memory.write(8 * index, rng.randbytes(8))
    expected = bytearray(bench.memory.read(0, _SIZE))
    for (source, beats), (target, _) in zip(reads, writes, strict=True):
        expected[target : target + 8 * beats] = expected[source : source + 8 * beats]

    await bench.start()
    cocotb.start_soon(bench.copies("read", reads))
    cocotb.start_soon(bench.copies("write", writes))
    await with_timeout(bench.finished(len(writes)), 500, "us")
    await ClockCycles(dut.clk, 5)
    assert int(dut.idle.value) == 1
    assert int(dut.rd_error.value) == int(dut.wr_error.value) == 0
    assert bytes(bench.memory.read(0, _SIZE)) == bytes(expected)


@cocotb.test()
async def halt_ends_what_was_begun(dut: Any) -> None:
    """After `halt` both engines become idle and memory holds whole bursts only."""
    rng = random.Random(3)
    bench = _Bench(dut, rng, 0.3)
    data = rng.randbytes(8 * 300)
    bench.memory.write(0, data)
    await bench.start()
    await bench.command("read", 0, 300)
    await bench.command("write", _TARGET, 300)
    await ClockCycles(dut.clk, 150)
    dut.halt.value = 1
    await ClockCycles(dut.clk, 2)
    for _ in itertools.count():
        await RisingEdge(dut.clk)
        if int(dut.idle.value):
            break
    copied = bytes(bench.memory.read(_TARGET, 8 * 300))
    await ClockCycles(dut.clk, 100)
    assert int(dut.idle.value) == 1
    assert bytes(bench.memory.read(_TARGET, 8 * 300)) == copied
    bursts = next(k for k in range(0, 300, 16) if copied[8 * k : 8 * k + 8] == b"\xa5" * 8)
    assert 0 < bursts < 300
    assert copied[: 8 * bursts] == data[: 8 * bursts]
    assert copied[8 * bursts :] == bytes([_GUARD]) * (8 * (300 - bursts))
