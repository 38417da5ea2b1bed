"""Frames of the host link (`models.link`): escapes and CRC off and on."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from models.link import CRC_BYTES, ESCAPE, ESCAPE_XOR, FLAG

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
        escaped = Signal()
        empty = Signal(init=1)
        byte = self.i.payload
        take = Signal()
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | self.o.ready),
            take.eq(self.i.valid & self.i.ready),
            crc.data.eq(byte ^ (escaped << ESCAPE_XOR.bit_length() - 1)),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(take):
            with m.If(byte == FLAG):
                m.d.sync += [
                    self.o.valid.eq(~empty),
                    self.o.p.end.eq(1),
                    # An escape before the flag is how a sender gives a frame up.
                    self.o.p.good.eq(crc.match_detected & ~escaped),
                    escaped.eq(0),
                    empty.eq(1),
                ]
                m.d.comb += crc.start.eq(1)
            with m.Else():
                m.d.sync += empty.eq(0)
                with m.If((byte == ESCAPE) & ~escaped):
                    m.d.sync += escaped.eq(1)
                with m.Else():
                    m.d.comb += crc.valid.eq(1)
                    m.d.sync += [
                        self.o.valid.eq(1),
                        self.o.p.data.eq(crc.data),
                        self.o.p.end.eq(0),
                        escaped.eq(0),
                    ]
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
        byte = Signal(8)
        escaped = Signal()
        special = Signal()
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            special.eq((byte == FLAG) | (byte == ESCAPE)),
            crc.data.eq(self.i.p.data),
        ]

        def send(value: object) -> None:
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(value)]

        def send_escaped(done: Signal) -> None:
            """Send `byte`, in two steps if it must be; `done` when that is all of it."""
            with m.If(special & ~escaped):
                send(ESCAPE)
                m.d.sync += escaped.eq(1)
            with m.Else():
                send(byte ^ (escaped << ESCAPE_XOR.bit_length() - 1))
                m.d.sync += escaped.eq(0)
                m.d.comb += done.eq(1)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += crc.start.eq(1)
                with m.If(self.i.valid & free):
                    send(FLAG)
                    m.next = "content"
            with m.State("content"):
                m.d.comb += byte.eq(self.i.p.data)
                with m.If(self.i.valid & free):
                    send_escaped(self.i.ready)
                    with m.If(self.i.ready):
                        m.d.comb += crc.valid.eq(1)
                        with m.If(self.i.p.last):
                            m.next = "crc"
            with m.State("crc"):
                sent = Signal()
                m.d.comb += byte.eq(crc.crc.word_select(left, 8))
                with m.If(free):
                    send_escaped(sent)
                    with m.If(sent):
                        m.d.sync += left.eq(left + 1)
                        with m.If(left == CRC_BYTES - 1):
                            m.next = "end"
            with m.State("end"), m.If(free):
                send(FLAG)
                m.next = "idle"
        return m
