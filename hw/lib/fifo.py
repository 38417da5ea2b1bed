"""A first in, first out queue of stream payloads."""

from __future__ import annotations

from amaranth import Module, ShapeLike, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from penstock.hw.lib.register_slice import ENABLED
from penstock.hw.lib.timing_policy import policy_of

__all__ = ["MAX_DISTRIBUTED", "Fifo"]

# Payloads of the deepest FIFO that is better made of look-up tables than of block RAM.
MAX_DISTRIBUTED = 32


class _Queue(wiring.Component):
    """The memory of a FIFO, read synchronously (`block`) or not.

    The members are those of Amaranth's `SyncFIFO`, but `w_rdy` and `r_rdy` are registers: what is
    connected to them can be long.
    """

    def __init__(self, *, width: int, depth: int, block: bool) -> None:
        self.width = width
        self.depth = depth
        self.block = block
        super().__init__(
            {
                "w_data": In(width),
                "w_en": In(1),
                "w_rdy": Out(1, init=1),
                "r_data": Out(width),
                "r_en": In(1),
                "r_rdy": Out(1),
                "r_level": Out(range(depth + 2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = policy_of(platform)
        m.submodules.storage = storage = Memory(
            shape=unsigned(self.width), depth=self.depth, init=[]
        )
        write = storage.write_port()
        read = storage.read_port(domain="sync" if self.block else "comb")
        level = Signal(range(self.depth + 1))
        some = Signal()  # always `level != 0`
        takes, comes = Signal(), Signal()
        # Duplicate of `w_rdy` that drives only the RAM's enable and the level, to limit fan-out.
        room = timing.duplicate(init=1, name="room") if self.width > ENABLED else self.w_rdy
        m.d.comb += [
            comes.eq(self.w_en & room),
            write.data.eq(self.w_data),
            write.en.eq(comes),
            self.r_data.eq(read.data),
        ]
        if self.block:
            m.d.comb += [
                takes.eq(some & (~self.r_rdy | self.r_en)),
                read.en.eq(takes),
                self.r_level.eq(level + self.r_rdy),
            ]
            with m.If(takes):
                m.d.sync += self.r_rdy.eq(1)
            with m.Elif(self.r_en):
                m.d.sync += self.r_rdy.eq(0)
        else:
            m.d.comb += [
                takes.eq(some & self.r_en),
                self.r_rdy.eq(some),
                self.r_level.eq(level),
            ]
        for port, moves in ((write, comes), (read, takes)):
            with m.If(moves):
                m.d.sync += port.addr.eq(port.addr + 1)
                if self.depth & (self.depth - 1):  # else it wraps by itself
                    with m.If(port.addr == self.depth - 1):
                        m.d.sync += port.addr.eq(0)
        with m.If(comes & ~takes):
            m.d.sync += [
                level.eq(level + 1),
                some.eq(1),
                self.w_rdy.eq(level != self.depth - 1),
                room.eq(level != self.depth - 1),
            ]
        with m.Elif(takes & ~comes):
            m.d.sync += [
                level.eq(level - 1),
                some.eq(level != 1),
                self.w_rdy.eq(1),
                room.eq(1),
            ]
        return m


class Fifo(wiring.Component):
    """First in, first out queue with a registered output, one payload a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Of the payload.
    depth : int
        Payloads the memory holds; the output registers hold one or two more.  With 1 there is no
        memory but one register.
    block : bool
        Read the memory synchronously, as block RAM needs it.

    Members
    -------
    i, o : streams of `shape`
        A payload appears at the output 2 cycles (3 with `block`, 1 without a memory) after it was
        taken.
    level : Out(range(depth + 3))
        Payloads inside.
    """

    def __init__(self, *, shape: ShapeLike, depth: int, block: bool = False) -> None:
        if not isinstance(depth, int) or depth < 1:
            raise ValueError(f"depth must be a positive integer, not {depth!r}")
        self.shape = shape
        self.depth = depth
        self.block = block
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 3)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = policy_of(platform)
        payload = self.i.p if isinstance(self.i.p, Signal) else self.i.p.as_value()
        result = Signal(len(payload), reset_less=True)
        m.d.comb += self.o.payload.eq(result)
        if self.depth == 1:
            m.d.comb += [self.i.ready.eq(~self.o.valid | self.o.ready), self.level.eq(self.o.valid)]
            with m.If(self.i.ready):
                m.d.sync += [self.o.valid.eq(self.i.valid), result.eq(payload)]
            return m
        m.submodules.queue = queue = _Queue(width=len(payload), depth=self.depth, block=self.block)
        m.d.comb += [
            queue.w_data.eq(payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            queue.r_en.eq(~self.o.valid | self.o.ready),
            self.level.eq(queue.r_level + self.o.valid),
        ]
        copies = []
        for first in range(0, len(payload), ENABLED):
            part = slice(first, first + ENABLED)
            holds = self.o.valid
            if len(payload) > ENABLED:  # a duplicate of `o.valid`
                copies.append(holds := timing.duplicate(name=f"holds_{first}"))
            with m.If(~holds | self.o.ready):
                m.d.sync += result[part].eq(queue.r_data[part])
        with m.If(queue.r_en):
            m.d.sync += [valid.eq(queue.r_rdy) for valid in (self.o.valid, *copies)]
        return m
