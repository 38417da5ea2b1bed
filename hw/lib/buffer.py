"""On-chip memory with one write and one read port."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from penstock.hw.lib.memory_ports import read_port, write_port

__all__ = ["READ_LATENCY", "Buffer"]

# Cycles from a read address to its data: the block RAM's own register and its output register.
READ_LATENCY = 2


class Buffer(wiring.Component):
    """Simple dual-port block RAM with a registered output.

    Parameters
    ----------
    depth : int
        Words.
    width : int
        Bits in a word.
    granularity : int or None
        Bits that one write enable covers; None: the whole word.
    lanes : int
        Memories side by side that make it up.  In a deep one of many bits, synthesis saves a few
        blocks by stacking them, with a multiplexer behind their slow outputs; where that matters,
        lanes of 8 bits forbid it.

    Members
    -------
    w : Out(write_port())
        One enable for each granule.
    r : Out(read_port())
        The data comes `READ_LATENCY` cycles after the address, and is held until a further read
        completes.  Reading a word in the cycle that writes it gives an unspecified value.
    """

    def __init__(
        self, *, depth: int, width: int, granularity: int | None = None, lanes: int = 1
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be a positive integer, not {depth!r}")
        if width < 1:
            raise ValueError(f"width must be a positive integer, not {width!r}")
        granularity = width if granularity is None else granularity
        if granularity < 1 or width % granularity:
            raise ValueError(f"granularity must divide the width {width}, not {granularity!r}")
        if lanes < 1 or width % lanes or (lanes > 1 and granularity != width):
            raise ValueError(
                f"lanes must divide the width {width}, written as a whole, not {lanes!r}"
            )
        self.depth = depth
        self.width = width
        self.lanes = lanes
        self.granularity = granularity
        super().__init__(
            {
                "w": Out(write_port(addr=range(depth), data=width, enables=width // granularity)),
                "r": Out(read_port(addr=range(depth), data=width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        loaded = Signal()
        result = Signal(self.width, reset_less=True)
        m.d.comb += self.r.data.eq(result)
        m.d.sync += loaded.eq(self.r.en)
        bits = self.width // self.lanes
        read_data = []
        for lane in range(self.lanes):
            memory = Memory(shape=unsigned(bits), depth=self.depth, init=[])
            m.submodules["memory" if self.lanes == 1 else f"memory_{lane}"] = memory
            write = memory.write_port(
                granularity=self.granularity if self.granularity != self.width else None
            )
            read = memory.read_port()
            m.d.comb += [
                write.en.eq(self.w.en),
                write.addr.eq(self.w.addr),
                write.data.eq(self.w.data.word_select(lane, bits)),
                read.en.eq(self.r.en),
                read.addr.eq(self.r.addr),
            ]
            read_data.append(read.data)
        with m.If(loaded):
            m.d.sync += result.eq(Cat(*read_data))
        return m
