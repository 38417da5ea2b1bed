"""Traffic on an SDRAM: DMA masters that write a known pattern, read it back and compare.

The top has the pins of `hw.boards.ulx3s.Ulx3s`, so `sim.library.simulated_board` runs it.
"""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from penstock.hw.bus.burst_splitter import command_layout
from penstock.hw.bus.dma import ReadDma, WriteDma
from penstock.hw.lib.fifo import Fifo
from penstock.hw.memory.memory_port import MemoryPort
from penstock.hw.memory.sdram import SdramController
from penstock.hw.memory.sdram_chip import SdramChip, sdram_pins

__all__ = ["MIXED", "READ", "REGION_BEATS", "WRITE", "Traffic"]

# Phases: one writer fills the region, one reader reads it, all read and write anywhere.
WRITE, READ, MIXED = range(3)

# 256 KiB: every bank has many rows in it.
_BITS = 15
REGION_BEATS = 1 << _BITS
_PIECE = 1024  # beats of a command of sequential traffic


def pattern(beat: Value) -> Value:
    """The data of the beat with this number."""
    place = beat[:_BITS]
    return Cat(place, ~place, place ^ 0x5A5A, place * 5)[:64]


class _Commands(wiring.Component):
    """Commands for a master, and the numbers of the beats they request.

    Members
    -------
    sequential : In(1)
        Once through the region, sequentially.
    random : In(1)
        Commands of 1 to 64 beats at random addresses, without end.
    o : Out(stream of command_layout)
    beat : Out(stream)
    """

    def __init__(self, *, seed: int) -> None:
        self.seed = seed
        super().__init__(
            {
                "sequential": In(1),
                "random": In(1),
                "o": Out(stream.Signature(command_layout)),
                "beat": Out(stream.Signature(_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Fifo(shape=command_layout, depth=8)
        noise = Signal(32, init=self.seed)
        place = Signal(_BITS + 1)
        offered = self.o.p
        m.d.sync += noise.eq(Cat(noise[31] ^ noise[21] ^ noise[1] ^ noise[0], noise))
        ready = Signal()
        with m.If(self.o.ready & queue.i.ready | ~ready):
            m.d.sync += ready.eq(0)
            with m.If(self.sequential & ~place[-1]):
                m.d.sync += [
                    ready.eq(1),
                    offered.addr.eq(place[:-1] << 3),
                    offered.beats.eq(_PIECE),
                    place.eq(place + _PIECE),
                ]
            with m.Elif(self.random):
                m.d.sync += [
                    ready.eq(1),
                    # Low enough that no command ends outside.
                    offered.addr.eq(Cat(noise[: _BITS - 6], noise[20:25]) << 3),
                    offered.beats.eq(noise[25:31] + 1),
                ]
        # Both take it in the same cycle, when the queue has room.
        m.d.comb += [
            self.o.valid.eq(ready & queue.i.ready),
            queue.i.payload.eq(offered),
            queue.i.valid.eq(self.o.valid & self.o.ready),
        ]

        done = Signal(24)
        m.d.comb += [
            self.beat.valid.eq(queue.o.valid),
            self.beat.payload.eq((queue.o.p.addr >> 3) + done),
        ]
        with m.If(self.beat.valid & self.beat.ready):
            m.d.sync += done.eq(done + 1)
            with m.If(done == queue.o.p.beats - 1):
                m.d.sync += done.eq(0)
                m.d.comb += queue.o.ready.eq(1)
        return m


class Traffic(wiring.Component):
    """The masters and the memory.

    LEDs 0 and 1 show the phase, LED 2 that a beat was wrong, LED 3 that an access was answered with
    an error.
    """

    def __init__(
        self, *, chip: SdramChip, clock_hz: int, readers: int = 3, writers: int = 2
    ) -> None:
        self.chip = chip
        self.clock_hz = clock_hz
        self.readers = readers
        self.writers = writers
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "button": In(1),
                "led": Out(8),
                "sdram": Out(sdram_pins(chip)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        controller = SdramController(chip=self.chip, clock_hz=self.clock_hz)
        m.submodules.memory = memory = MemoryPort(
            controller=controller, readers=self.readers, writers=self.writers
        )
        for name in ("command", "ba", "a", "dqm", "dq_o", "dq_oe"):
            m.d.sync += getattr(self.sdram, name).eq(getattr(controller.pins, name))
        m.d.sync += controller.pins.dq_i.eq(self.sdram.dq_i)
        phase = Signal(2)
        wrong, error = Signal(), Signal()
        m.d.comb += self.led.eq(Cat(phase, wrong, error))

        for k in range(self.readers):
            m.submodules[f"reader_{k}"] = reader = ReadDma(depth=64)
            m.submodules[f"reads_{k}"] = commands = _Commands(seed=k + 1)
            connect(m, commands.o, reader.cmd)
            connect(m, reader.bus, memory.r[k])
            m.d.comb += [
                commands.sequential.eq((phase == READ) & (k == 0)),
                commands.random.eq(phase == MIXED),
                commands.beat.ready.eq(reader.o.valid),
                reader.o.ready.eq(1),
            ]
            with m.If(
                reader.o.valid
                & (~commands.beat.valid | (reader.o.payload != pattern(commands.beat.payload)))
            ):
                m.d.sync += wrong.eq(1)
            with m.If(reader.control.error.any()):
                m.d.sync += error.eq(1)
            if k == 0:
                with m.If((phase == READ) & (reader.control.received == REGION_BEATS)):
                    m.d.sync += phase.eq(MIXED)
        for k in range(self.writers):
            m.submodules[f"writer_{k}"] = writer = WriteDma(depth=64)
            m.submodules[f"writes_{k}"] = commands = _Commands(seed=k + 20)
            connect(m, commands.o, writer.cmd)
            connect(m, writer.bus, memory.w[k])
            m.d.comb += [
                commands.sequential.eq((phase == WRITE) & (k == 0)),
                commands.random.eq(phase == MIXED),
                commands.beat.ready.eq(writer.i.ready),
                writer.i.valid.eq(commands.beat.valid),
                writer.i.payload.eq(pattern(commands.beat.payload)),
            ]
            with m.If(writer.control.error.any()):
                m.d.sync += error.eq(1)
            if k == 0:
                with m.If((phase == WRITE) & (writer.control.received == REGION_BEATS)):
                    m.d.sync += phase.eq(READ)
        return m
