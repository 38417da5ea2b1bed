"""On-chip memory in place of a memory controller, behind `hw.memory.memory_port`."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.lib.buffer import READ_LATENCY, Buffer
from penstock.hw.memory.sdram import read_layout, request_layout, write_layout
from penstock.models.spec.memory import BEAT_BYTES

__all__ = ["BlockMemory"]


class BlockMemory(wiring.Component):
    """Requests to block RAMs: a beat in each cycle of a burst, and one cycle between bursts.

    The members are those of `hw.memory.sdram.SdramController` that have no pins behind them; what
    is said there of requests holds here, but a burst may lie anywhere.

    Parameters
    ----------
    size : int
        Bytes, a power of two.
    tag_bits : int
    """

    def __init__(self, *, size: int, tag_bits: int = 3) -> None:
        if not isinstance(size, int) or size < 16 or size & (size - 1):
            raise ValueError(f"size must be a power of two of at least 16, not {size!r}")
        if not isinstance(tag_bits, int) or tag_bits < 1:
            raise ValueError(f"tag_bits must be a positive integer, not {tag_bits!r}")
        self.size = size
        self.tag_bits = tag_bits
        super().__init__(
            {
                "i": In(stream.Signature(request_layout(tag_bits))),
                "w": In(stream.Signature(write_layout)),
                "r": Out(read_layout(tag_bits)),
                "r_valid": Out(1),
                "w_tag": Out(tag_bits),
                "w_done": Out(1),
                "w_error": Out(1),
                "ready": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.size // BEAT_BYTES
        m.submodules.memory = memory = Buffer(depth=depth, width=8 * BEAT_BYTES, granularity=8)
        active = Signal()
        request = Signal(request_layout(self.tag_bits), reset_less=True)
        beat = Signal(range(depth), reset_less=True)
        outside = Signal(reset_less=True)
        last = Signal()
        m.d.comb += [
            self.i.ready.eq(~active),
            last.eq(request.beats == 1),
            self.w.ready.eq(active & request.write),
            memory.r.en.eq(active & ~request.write),
            memory.w.en.eq(Mux(self.w.ready & ~outside, self.w.p.strobe, 0)),
            memory.r.addr.eq(beat),
            memory.w.addr.eq(beat),
            memory.w.data.eq(self.w.p.data),
        ]
        with m.If(active):
            m.d.sync += [
                beat.eq(beat + 1),
                request.beats.eq(request.beats - 1),
                active.eq(~last),
            ]
        with m.Elif(self.i.valid):
            start, end = BEAT_BYTES.bit_length() - 1, self.size.bit_length() - 1
            m.d.sync += [
                active.eq(1),
                request.eq(self.i.payload),
                beat.eq(self.i.p.addr[start:end]),
                outside.eq(self.i.p.addr[end:].any()),
            ]

        m.d.sync += [
            self.w_done.eq(self.w.ready & last),
            self.w_tag.eq(request.tag),
            self.w_error.eq(outside),
        ]
        # What goes with a beat takes as long as the beat.
        facts = Cat(request.tag, last, outside)
        valid = memory.r.en
        for k in range(READ_LATENCY):
            before, facts = facts, Signal(len(facts), name=f"facts_{k}", reset_less=True)
            first, valid = valid, Signal(name=f"valid_{k}")
            m.d.sync += [facts.eq(before), valid.eq(first)]
        m.d.comb += [
            self.r_valid.eq(valid),
            self.r.tag.eq(facts[: self.tag_bits]),
            self.r.last.eq(facts[-2]),
            self.r.error.eq(facts[-1]),
            self.r.data.eq(Mux(facts[-1], 0, memory.r.data)),
        ]
        return m
