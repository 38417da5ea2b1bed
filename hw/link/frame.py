"""Frames of the host link (`models.spec.link_frames`): escapes and CRC off and on."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from penstock.models.spec.link_frames import CRC_BYTES, ESCAPE, ESCAPE_XOR, FLAG

__all__ = ["Deframer", "Framer", "content_layout", "event_layout"]

event_layout = data.StructLayout({"data": 8, "end": 1, "good": 1})
"""A byte of a frame, its CRC's included, or the frame's end and whether its CRC was right."""

content_layout = data.StructLayout({"data": 8, "last": 1})
"""A byte of header or payload; `last` in the frame's last one."""


class Deframer(wiring.Component):
    """Wire to content.

    Empty frames, which two flags in a row make, are not told.

    Members
    -------
    i : In(stream of 8 bits)
    o : Out(stream of event_layout)
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(event_layout))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        # First the escapes go off: `byte`, or a flag; `cut` is a flag behind an escape, which is
        # how a sender gives a frame up.
        escaped = Signal()
        here, flag, cut = Signal(), Signal(), Signal()
        byte = Signal(8, reset_less=True)
        escape = Signal()
        m.d.comb += [
            self.i.ready.eq(~here | ~self.o.valid | self.o.ready),
            escape.eq((self.i.payload == ESCAPE) & ~escaped),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                here.eq(self.i.valid & ~escape),
                byte.eq(self.i.payload ^ (escaped << ESCAPE_XOR.bit_length() - 1)),
                flag.eq(self.i.payload == FLAG),
                cut.eq(escaped),
            ]
            with m.If(self.i.valid):
                m.d.sync += escaped.eq(escape)

        empty = Signal(init=1)
        m.d.comb += crc.data.eq(byte)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(here & ~(flag & empty & ~cut)),
                self.o.p.data.eq(byte),
                self.o.p.end.eq(flag),
                self.o.p.good.eq(crc.match_detected & ~cut),
            ]
            m.d.comb += [crc.start.eq(here & flag), crc.valid.eq(here & ~flag)]
            with m.If(here):
                m.d.sync += empty.eq(flag)
        return m


class Framer(wiring.Component):
    """Content to wire.

    Members
    -------
    i : In(stream of content_layout)
    o : Out(stream of 8 bits)
    """

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(content_layout)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        left = Signal(range(CRC_BYTES))
        free = Signal()
        byte = Signal(8, reset_less=True)
        escaped, special = Signal(), Signal()
        in_crc, last = Signal(), Signal()
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            special.eq(((byte == FLAG) | (byte == ESCAPE)) & ~escaped),
            crc.data.eq(self.i.p.data),
        ]

        def send(value: object) -> None:
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(value)]

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        # The wire is slow: a byte may take a few cycles.
        with m.FSM():
            with m.State("idle"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += in_crc.eq(0)
                with m.If(self.i.valid & free):
                    send(FLAG)
                    m.next = "content"
            with m.State("content"):
                m.d.comb += [self.i.ready.eq(1), crc.valid.eq(self.i.valid)]
                m.d.sync += [byte.eq(self.i.p.data), last.eq(self.i.p.last)]
                with m.If(self.i.valid):
                    m.next = "send"
            with m.State("send"), m.If(free):
                m.d.sync += escaped.eq(special)
                with m.If(special):
                    send(ESCAPE)
                with m.Else():
                    send(byte ^ (escaped << ESCAPE_XOR.bit_length() - 1))
                    m.next = "content"
                    with m.If(in_crc | last):
                        m.next = "crc"
                    with m.If(in_crc & (left == 0)):
                        m.next = "end"
            with m.State("crc"):
                m.d.sync += [
                    byte.eq(crc.crc.word_select(left, 8)),
                    left.eq(left + 1),
                    in_crc.eq(1),
                ]
                m.next = "send"
            with m.State("end"), m.If(free):
                send(FLAG)
                m.next = "idle"
        return m
