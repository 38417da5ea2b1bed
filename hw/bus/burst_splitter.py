"""Commands of any length to bursts that no bus rule is against."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.bus.axi import MAX_BURST
from penstock.hw.lib.split_sum import SplitSum
from penstock.hw.lib.timing_policy import policy_of
from penstock.models.spec.memory import BEAT_BYTES

__all__ = ["BurstSplitter", "burst_layout", "command_layout"]

_SIZE = BEAT_BYTES.bit_length() - 1
_BURST_BITS = MAX_BURST.bit_length() - 1

command_layout = data.StructLayout({"addr": unsigned(32), "beats": unsigned(24)})
"""Beats from a byte address (a multiple of 8, relative to the DMA's `base`) on; at least 1."""

burst_layout = data.StructLayout({"addr": unsigned(32), "beats": unsigned(5), "last": unsigned(1)})
"""A burst of 1 to 16 beats from an address of memory on; `last` if it is its command's last one."""


class BurstSplitter(wiring.Component):
    """Splits commands into bursts that end on multiples of 16 beats, from a base address on.

    Members
    -------
    base : In(32)
        Added to a command's address when the command is taken; a multiple of 8.
    i : In(stream of command_layout)
    o : Out(stream of burst_layout)
        One burst every two cycles at most, the first of a command a cycle later.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "base": In(32),
                "i": In(stream.Signature(command_layout)),
                "o": Out(stream.Signature(burst_layout)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # In beats: where the next burst begins.
        beat = SplitSum(m, 32 - _SIZE, name="beat", timing=policy_of(platform))
        left = Signal(24, reset_less=True)
        burst = Signal(burst_layout, reset_less=True)
        room = Signal(range(MAX_BURST + 1))
        m.d.comb += [
            room.eq(MAX_BURST - beat.value[:_BURST_BITS]),
            self.o.payload.eq(burst),
        ]

        # Length, and what is left after it, are computed in different cycles.
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.i.ready.eq(1)
                beat.add(self.i.p.addr[_SIZE:], self.base[_SIZE:])
                m.d.sync += left.eq(self.i.p.beats)
                with m.If(self.i.valid):
                    m.next = "compute"
            with m.State("compute"):
                # Most of the length is only compared with 0, which takes no carry.
                fits = ~left[len(room) :].any() & (left[: len(room)] <= room)
                m.d.sync += [
                    burst.addr.eq(beat.value << _SIZE),
                    burst.beats.eq(Mux(fits, left, room)),
                    burst.last.eq(fits),
                ]
                beat.round_up(_BURST_BITS)
                m.next = "offer"
            with m.State("offer"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += left.eq(left - burst.beats)
                    with m.If(burst.last):
                        m.next = "idle"
                    with m.Else():
                        m.next = "compute"
        return m
