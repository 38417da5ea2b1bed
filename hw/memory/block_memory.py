"""On-chip memory in place of a memory controller, for `hw.memory.memory_port`."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from penstock.hw.lib.buffer import READ_LATENCY, Buffer
from penstock.hw.lib.delay import delayed
from penstock.hw.memory.controller import context_layout, controller_members, request_layout
from penstock.models.spec.memory import BEAT_BYTES

__all__ = ["BlockMemory"]


class BlockMemory(wiring.Component):
    """Requests to block RAMs: a beat in each cycle of a burst, and one cycle between bursts.

    The members are those of `hw.memory.sdram.SdramController` except the chip's pins, with the same
    rules for requests, but a burst may have any address.

    Parameters
    ----------
    size : int
        Bytes, a power of two.
    tag_bits : int
    """

    def __init__(self, *, size: int, tag_bits: int = 3) -> None:
        if not isinstance(size, int) or size < 16 or size & (size - 1):
            raise ValueError(f"size must be a power of two of at least 16, not {size!r}")
        self.size = size
        self.tag_bits = tag_bits
        super().__init__(
            {
                **controller_members(tag_bits),
                "ready": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = self.size // BEAT_BYTES
        m.submodules.memory = memory = Buffer(depth=depth, width=8 * BEAT_BYTES, granularity=8)
        byte_bits, beat_bits = BEAT_BYTES.bit_length() - 1, depth.bit_length() - 1
        address = data.StructLayout(
            {"byte": byte_bits, "beat": beat_bits, "beyond": 32 - byte_bits - beat_bits}
        )
        place = data.View(address, self.i.p.addr)
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
            m.d.sync += [
                active.eq(1),
                request.eq(self.i.payload),
                beat.eq(place.beat),
                outside.eq(place.beyond.any()),
            ]

        m.d.sync += [
            self.w_done.eq(self.w.ready & last),
            self.w_tag.eq(request.tag),
            self.w_error.eq(outside),
        ]
        # The context of a beat is delayed as the beat.
        context = Signal(context_layout(self.tag_bits))
        m.d.comb += [
            context.tag.eq(request.tag),
            context.last.eq(last),
            context.error.eq(outside),
        ]
        late = delayed(m, context, READ_LATENCY)
        valid = memory.r.en
        for k in range(READ_LATENCY):
            first, valid = valid, Signal(name=f"valid_{k}")
            m.d.sync += valid.eq(first)
        m.d.comb += [
            self.r_valid.eq(valid),
            self.r.tag.eq(late.tag),
            self.r.last.eq(late.last),
            self.r.error.eq(late.error),
            self.r.data.eq(Mux(late.error, 0, memory.r.data)),
        ]
        return m
