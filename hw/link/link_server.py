"""Requests of the host link (`models.spec.link_frames`), done one after the other."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.bus.axi import axi_lite, axi_read, axi_write
from penstock.hw.bus.dma import ReadDma, WriteDma
from penstock.hw.lib.buffer import Buffer
from penstock.hw.link.frame import content_layout, event_layout
from penstock.models.spec.link_frames import (
    ANSWER,
    CRC_BYTES,
    HEADER_BYTES,
    HEADER_FIELDS,
    INFO_FIELDS,
    MAX_PAYLOAD,
    PROTOCOL,
    STATE_FIELDS,
    LinkOp,
)
from penstock.models.spec.memory import BEAT_BYTES

__all__ = ["LinkServer"]

_BEATS = MAX_PAYLOAD // BEAT_BYTES
_REGISTER = 4  # bytes

_INFO_BYTES = 4 * len(INFO_FIELDS)
# Counts past the longest frame without wrapping.
_COUNT_BITS = (HEADER_BYTES + MAX_PAYLOAD + CRC_BYTES).bit_length()

_header_layout = data.StructLayout(dict(HEADER_FIELDS))


class LinkServer(wiring.Component):
    """Does what requests ask for, when all of a request has come and its CRC was right.

    Parameters
    ----------
    memory_bytes, clock_hz, baud : int
        What HELLO is answered with.

    Members
    -------
    i : In(stream of event_layout)
        Frames from the host.
    o : Out(stream of content_layout)
        Answers.
    m_read : Out(axi_read()), m_write : Out(axi_write())
        Memory.
    csr : Out(axi_lite())
        Registers.
    fresh : Out(1)
        No HELLO has come since the reset.
    damaged : Out(1)
        Pulse: a frame was dropped.
    """

    def __init__(self, *, memory_bytes: int, clock_hz: int, baud: int) -> None:
        info = {
            "protocol": PROTOCOL,
            "memory_bytes": memory_bytes,
            "clock_hz": clock_hz,
            "baud": baud,
        }
        for name, value in info.items():
            if not isinstance(value, int) or not 0 < value < 1 << 32:
                raise ValueError(f"{name} must be from 1 to {(1 << 32) - 1}, not {value!r}")
        self.info = info
        super().__init__(
            {
                "i": In(stream.Signature(event_layout)),
                "o": Out(stream.Signature(content_layout)),
                "m_read": Out(axi_read()),
                "m_write": Out(axi_write()),
                "csr": Out(axi_lite()),
                "fresh": Out(1, init=1),
                "damaged": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.frame = frame = Buffer(depth=_BEATS, width=BEAT_BYTES * 8)
        m.submodules.read_dma = read_dma = ReadDma(depth=_BEATS, commands=0)
        m.submodules.write_dma = write_dma = WriteDma(depth=_BEATS, commands=0)
        connect(m, read_dma.bus, flipped(self.m_read))
        connect(m, write_dma.bus, flipped(self.m_write))

        header = Signal(_header_layout, reset_less=True)
        received = Signal(_COUNT_BITS)  # bytes of the frame
        good = Signal()
        self._receive(m, header, received, frame)

        dropped = Signal(16)
        bus_error = Signal()
        csr = self.csr
        with m.If(
            (read_dma.control.error | write_dma.control.error).any()
            | (csr.bvalid & csr.bresp.any())
            | (csr.rvalid & csr.rresp.any())
        ):
            m.d.sync += bus_error.eq(1)

        # What is being sent: bytes from the low end on.
        chunk = Signal(BEAT_BYTES * 8, reset_less=True)
        chunk_left = Signal(range(BEAT_BYTES + 1))
        chunk_last = Signal(reset_less=True)
        free = Signal()
        m.d.comb += [
            free.eq(chunk_left == 0),
            self.o.valid.eq(~free),
            self.o.p.data.eq(chunk[:8]),
            self.o.p.last.eq(chunk_last & (chunk_left == 1)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [chunk.eq(chunk >> 8), chunk_left.eq(chunk_left - 1)]

        def say(value: Value, size: int, last: Value) -> None:
            m.d.sync += [chunk.eq(value), chunk_left.eq(size), chunk_last.eq(last)]

        # What the header says, in steps of a cycle each: there are more bytes behind it.
        op = header.op
        hello, writes, memory, registers = Signal(), Signal(), Signal(), Signal()
        bounded, beats, words = Signal(), Signal(), Signal()
        expected = Signal(_COUNT_BITS + 1)
        possible = Signal()
        sound = Signal()
        m.d.sync += [
            hello.eq(op == LinkOp.HELLO),
            writes.eq((op == LinkOp.WRITE_MEMORY) | (op == LinkOp.WRITE_REGISTER)),
            memory.eq((op == LinkOp.READ_MEMORY) | (op == LinkOp.WRITE_MEMORY)),
            registers.eq((op == LinkOp.READ_REGISTER) | (op == LinkOp.WRITE_REGISTER)),
            bounded.eq((header.length != 0) & (header.length <= MAX_PAYLOAD)),
            beats.eq(~(header.length[:3] | header.word[:3]).any()),
            words.eq(~(header.length[:2] | header.word[:2]).any()),
            # Of a length that is not bounded, whatever.
            expected.eq(HEADER_BYTES + CRC_BYTES + Mux(writes, header.length[:_COUNT_BITS], 0)),
            possible.eq(hello | (bounded & ((memory & beats) | (registers & words)))),
            sound.eq(good & possible & (received == expected)),
        ]
        last_seq = Signal(8)
        known = Signal()  # last_seq is that of a request
        left = Signal(range(MAX_PAYLOAD + 1))  # bytes of the payload to do
        index = Signal(range(MAX_PAYLOAD // _REGISTER))  # registers done
        ended = Signal()
        state = {"fresh": self.fresh, "bus_error": bus_error, "dropped": dropped}
        m.d.comb += [
            frame.r.addr.eq(Mux(memory, index, index >> 1)),
            csr.araddr.eq(header.word),
            csr.awaddr.eq(header.word),
            csr.wdata.eq(frame.r.data.word_select(index[0], 32)),
            csr.wstrb.eq(0xF),
            csr.bready.eq(1),
            csr.rready.eq(1),
            write_dma.i.payload.eq(frame.r.data),
        ]
        for dma in (read_dma, write_dma):
            m.d.comb += [
                dma.cmd.p.addr.eq(header.word),
                dma.cmd.p.beats.eq(header.length >> 3),
            ]

        with m.FSM():
            with m.State("receive"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid & self.i.p.end):
                    m.d.sync += good.eq(self.i.p.good)
                    m.next = "judge"
            with m.State("judge"):
                m.next = "check"
            with m.State("check"):
                m.d.sync += [received.eq(0), left.eq(header.length), index.eq(0)]
                with m.If(sound):
                    m.d.sync += [last_seq.eq(header.seq), known.eq(1)]
                    m.next = "answer"
                    with m.Switch(op):
                        with m.Case(LinkOp.HELLO):
                            m.d.sync += [self.fresh.eq(0), left.eq(_INFO_BYTES)]
                        with m.Case(LinkOp.READ_MEMORY):
                            m.next = "ask"
                        with m.Case(LinkOp.WRITE_MEMORY):
                            m.next = "announce"
                        with m.Case(LinkOp.WRITE_REGISTER):
                            with m.If(known & (last_seq == header.seq)):
                                m.d.sync += left.eq(0)  # its answer was lost
                            with m.Else():
                                m.next = "fetch"
                with m.Else():
                    m.d.sync += dropped.eq(dropped + 1)
                    m.d.comb += self.damaged.eq(1)
                    m.next = "receive"

            with m.State("announce"):
                m.d.comb += write_dma.cmd.valid.eq(1)
                with m.If(write_dma.cmd.ready):
                    m.next = "fetch"
            with m.State("fetch"):
                m.d.comb += frame.r.en.eq(1)
                m.next = "fetching"
            with m.State("fetching"):
                m.next = "write"
                with m.If(registers):
                    m.d.sync += [csr.awvalid.eq(1), csr.wvalid.eq(1)]
                    m.next = "set"
            with m.State("write"):
                m.d.comb += write_dma.i.valid.eq(1)
                with m.If(write_dma.i.ready):
                    m.d.sync += [index.eq(index + 1), left.eq(left - BEAT_BYTES)]
                    m.next = "fetch"
                    with m.If(left == BEAT_BYTES):
                        m.next = "acknowledge"
            with m.State("acknowledge"), m.If(write_dma.done):
                m.next = "answer"
            with m.State("set"):
                with m.If(csr.awready):
                    m.d.sync += csr.awvalid.eq(0)
                with m.If(csr.wready):
                    m.d.sync += csr.wvalid.eq(0)
                with m.If(csr.bvalid):
                    m.d.sync += [
                        index.eq(index + 1),
                        left.eq(left - _REGISTER),
                        header.word.eq(header.word + _REGISTER),
                    ]
                    m.next = "fetch"
                    with m.If(left == _REGISTER):
                        m.next = "answer"

            with m.State("ask"):
                m.d.comb += read_dma.cmd.valid.eq(1)
                with m.If(read_dma.cmd.ready):
                    m.next = "answer"
            with m.State("answer"), m.If(free):
                # Of a write, nothing is left.
                m.d.comb += ended.eq(left == 0)
                length = Signal(16)
                m.d.comb += length.eq(left)
                say(Cat(op | ANSWER, header.seq, length, _state(state)), BEAT_BYTES, ended)
                with m.Switch(op):
                    with m.Case(LinkOp.HELLO):
                        m.next = "info"
                    with m.Case(LinkOp.READ_MEMORY):
                        m.next = "send"
                    with m.Case(LinkOp.READ_REGISTER):
                        m.next = "get"
                    with m.Default():
                        m.next = "receive"
            with m.State("info"), m.If(free):
                info = Cat(Const(self.info[name], 32) for name in INFO_FIELDS)
                say(info.word_select(index[0], BEAT_BYTES * 8), BEAT_BYTES, left == BEAT_BYTES)
                m.d.sync += [index.eq(index + 1), left.eq(left - BEAT_BYTES)]
                with m.If(left == BEAT_BYTES):
                    m.next = "receive"
            with m.State("send"), m.If(free & read_dma.o.valid):
                say(read_dma.o.payload, BEAT_BYTES, left == BEAT_BYTES)
                m.next = "sent"
            with m.State("sent"):
                m.d.comb += read_dma.o.ready.eq(1)
                m.d.sync += left.eq(left - BEAT_BYTES)
                m.next = "send"
                with m.If(left == BEAT_BYTES):
                    m.next = "receive"
            with m.State("get"), m.If(free):
                m.d.sync += csr.arvalid.eq(1)
                m.next = "getting"
            with m.State("getting"):
                with m.If(csr.arready):
                    m.d.sync += csr.arvalid.eq(0)
                with m.If(csr.rvalid):
                    say(csr.rdata, _REGISTER, left == _REGISTER)
                    m.d.sync += [
                        left.eq(left - _REGISTER),
                        header.word.eq(header.word + _REGISTER),
                    ]
                    m.next = "get"
                    with m.If(left == _REGISTER):
                        m.next = "receive"
        return m

    def _receive(self, m: Module, header: data.View, received: Signal, frame: Buffer) -> None:
        """Put a frame's header into `header`, its payload into `frame`, and count its bytes."""
        word = Signal(BEAT_BYTES * 8, reset_less=True)
        full = Cat(word[8:], self.i.p.data)
        m.d.comb += [
            frame.w.data.eq(full),
            frame.w.addr.eq(received[3:] - HEADER_BYTES // BEAT_BYTES),
        ]
        with m.If(self.i.valid & self.i.ready & ~self.i.p.end):
            m.d.sync += word.eq(full)
            with m.If(~received.all()):
                m.d.sync += received.eq(received + 1)
            with m.If(received[:3] == BEAT_BYTES - 1):
                with m.If(received[3:] == 0):
                    m.d.sync += header.eq(full)
                with m.Elif(received < HEADER_BYTES + MAX_PAYLOAD):
                    m.d.comb += frame.w.en.eq(1)


def _state(values: dict[str, Value]) -> Value:
    """The state word of an answer."""
    word: Value = Const(0, 32)
    for field in STATE_FIELDS:
        word = word | (values[field.name] << field.lsb)
    return word[:32]
