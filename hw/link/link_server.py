"""Requests of the host link (`models.spec.link_frames`), done one after the other."""

from __future__ import annotations

from collections.abc import Callable

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

# Given the bytes of what was done: counts it, and says whether that was all.
_Done = Callable[[int], Value]

_header_layout = data.StructLayout(dict(HEADER_FIELDS))


class _Request:
    """What the header says, in steps of a cycle each: there are more bytes behind it.

    Parameters
    ----------
    m : Module
        Gets the registers.
    header : View
    received : Signal
        Bytes of the frame.

    Attributes
    ----------
    good : Signal
        To be set: whether the frame's CRC was right.
    memory, registers : Signal
        It is about memory, or about registers.
    sound : Signal
        It is a request that can be done, in a frame as long as it says; two cycles after `good`.
    """

    def __init__(self, m: Module, header: data.View, received: Signal) -> None:
        op, length, word = header.op, header.length, header.word
        self.good, self.sound = Signal(name="good"), Signal(name="sound")
        self.memory, self.registers = Signal(name="memory"), Signal(name="registers")
        hello, writes, bounded, beats, words, possible = (
            Signal(name=name)
            for name in ("hello", "writes", "bounded", "beats", "words", "possible")
        )
        expected = Signal(_COUNT_BITS + 1, name="expected")
        m.d.sync += [
            hello.eq(op == LinkOp.HELLO),
            writes.eq((op == LinkOp.WRITE_MEMORY) | (op == LinkOp.WRITE_REGISTER)),
            self.memory.eq((op == LinkOp.READ_MEMORY) | (op == LinkOp.WRITE_MEMORY)),
            self.registers.eq((op == LinkOp.READ_REGISTER) | (op == LinkOp.WRITE_REGISTER)),
            bounded.eq((length != 0) & (length <= MAX_PAYLOAD)),
            beats.eq(~(length[:3] | word[:3]).any()),
            words.eq(~(length[:2] | word[:2]).any()),
            # Of a length that is not bounded, whatever.
            expected.eq(HEADER_BYTES + CRC_BYTES + Mux(writes, length[:_COUNT_BITS], 0)),
            possible.eq(hello | (bounded & ((self.memory & beats) | (self.registers & words)))),
            self.sound.eq(self.good & possible & (received == expected)),
        ]


class _Answer:
    """What is being sent, some bytes at a time.

    Parameters
    ----------
    m : Module
        Gets the registers.
    o : stream of content_layout

    Attributes
    ----------
    free : Signal
        All that was said is sent.
    """

    def __init__(self, m: Module, o: stream.Interface) -> None:
        self._m = m
        self._bytes = Signal(BEAT_BYTES * 8, name="chunk", reset_less=True)
        self._left = Signal(range(BEAT_BYTES + 1), name="chunk_left")
        self._last = Signal(name="chunk_last", reset_less=True)
        self.free = Signal(name="free")
        m.d.comb += [
            self.free.eq(self._left == 0),
            o.valid.eq(~self.free),
            o.p.data.eq(self._bytes[:8]),
            o.p.last.eq(self._last & (self._left == 1)),
        ]
        with m.If(o.valid & o.ready):
            m.d.sync += [self._bytes.eq(self._bytes >> 8), self._left.eq(self._left - 1)]

    def say(self, value: Value, size: int, last: Value) -> None:
        """Send the low `size` bytes of `value`; `last` says whether the answer ends with them."""
        self._m.d.sync += [
            self._bytes.eq(value),
            self._left.eq(size),
            self._last.eq(last),
        ]


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
        self._receive(m, header, received, frame)
        request = _Request(m, header, received)
        answer = _Answer(m, self.o)
        left = Signal(range(MAX_PAYLOAD + 1))  # bytes of the payload to do
        index = Signal(range(MAX_PAYLOAD // _REGISTER))  # beats or registers done
        dropped = Signal(16)
        bus_error = Signal()
        csr = self.csr
        with m.If(
            (read_dma.control.error | write_dma.control.error).any()
            | (csr.bvalid & csr.bresp.any())
            | (csr.rvalid & csr.rresp.any())
        ):
            m.d.sync += bus_error.eq(1)
        m.d.comb += [
            frame.r.addr.eq(Mux(request.memory, index, index >> 1)),
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

        def done(size: int) -> Value:
            """Count a beat or a register; return whether it was the last one."""
            m.d.sync += left.eq(left - size)
            if size == _REGISTER:
                m.d.sync += header.word.eq(header.word + _REGISTER)
            return left == size

        state = {"fresh": self.fresh, "bus_error": bus_error, "dropped": dropped}
        with m.FSM():
            self._judge(m, header, request, received, left, index, dropped)
            self._write_memory(m, write_dma, index, done)
            self._fetch(m, frame, request)
            self._write_registers(m, index, done)
            self._begin_answer(m, header, read_dma, answer, left, _state(state))
            self._answer_info(m, answer, index, done)
            self._answer_memory(m, answer, read_dma, left, done)
            self._answer_registers(m, answer, done)
        return m

    def _judge(
        self,
        m: Module,
        header: data.View,
        request: _Request,
        received: Signal,
        left: Signal,
        index: Signal,
        dropped: Signal,
    ) -> None:
        """Receive a frame and say what is to be done for it."""
        last_seq = Signal(8)
        known = Signal()  # last_seq is that of a request
        with m.State("receive"):
            m.d.comb += self.i.ready.eq(1)
            with m.If(self.i.valid & self.i.p.end):
                m.d.sync += request.good.eq(self.i.p.good)
                m.next = "judge"
        with m.State("judge"):
            m.next = "check"
        with m.State("check"):
            m.d.sync += [received.eq(0), left.eq(header.length), index.eq(0)]
            with m.If(request.sound):
                m.d.sync += [last_seq.eq(header.seq), known.eq(1)]
                m.next = "answer"
                with m.Switch(header.op):
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

    def _write_memory(self, m: Module, dma: WriteDma, index: Signal, done: _Done) -> None:
        """Give the payload to the DMA, beat by beat."""
        with m.State("announce"):
            m.d.comb += dma.cmd.valid.eq(1)
            with m.If(dma.cmd.ready):
                m.next = "fetch"
        with m.State("write"):
            m.d.comb += dma.i.valid.eq(1)
            with m.If(dma.i.ready):
                m.d.sync += index.eq(index + 1)
                m.next = "fetch"
                with m.If(done(BEAT_BYTES)):
                    m.next = "acknowledge"
        with m.State("acknowledge"), m.If(dma.done):
            m.next = "answer"

    def _fetch(self, m: Module, frame: Buffer, request: _Request) -> None:
        """Fetch a beat of the payload."""
        csr = self.csr
        with m.State("fetch"):
            m.d.comb += frame.r.en.eq(1)
            m.next = "fetching"
        with m.State("fetching"):
            m.next = "write"
            with m.If(request.registers):
                m.d.sync += [csr.awvalid.eq(1), csr.wvalid.eq(1)]
                m.next = "set"

    def _write_registers(self, m: Module, index: Signal, done: _Done) -> None:
        """Write registers, two from each beat."""
        csr = self.csr
        with m.State("set"):
            with m.If(csr.awready):
                m.d.sync += csr.awvalid.eq(0)
            with m.If(csr.wready):
                m.d.sync += csr.wvalid.eq(0)
            with m.If(csr.bvalid):
                m.d.sync += index.eq(index + 1)
                m.next = "fetch"
                with m.If(done(_REGISTER)):
                    m.next = "answer"

    def _begin_answer(
        self,
        m: Module,
        header: data.View,
        dma: ReadDma,
        answer: _Answer,
        left: Signal,
        state: Value,
    ) -> None:
        """Send an answer's header; memory that is read is asked for before."""
        length = Signal(16)
        m.d.comb += length.eq(left)
        with m.State("ask"):
            m.d.comb += dma.cmd.valid.eq(1)
            with m.If(dma.cmd.ready):
                m.next = "answer"
        with m.State("answer"), m.If(answer.free):
            # Of a write, nothing is left.
            text = Cat(header.op | ANSWER, header.seq, length, state)
            answer.say(text, BEAT_BYTES, left == 0)
            with m.Switch(header.op):
                with m.Case(LinkOp.HELLO):
                    m.next = "info"
                with m.Case(LinkOp.READ_MEMORY):
                    m.next = "send"
                with m.Case(LinkOp.READ_REGISTER):
                    m.next = "get"
                with m.Default():
                    m.next = "receive"

    def _answer_info(self, m: Module, answer: _Answer, index: Signal, done: _Done) -> None:
        with m.State("info"), m.If(answer.free):
            info = Cat(Const(self.info[name], 32) for name in INFO_FIELDS)
            last = done(BEAT_BYTES)
            answer.say(info.word_select(index[0], BEAT_BYTES * 8), BEAT_BYTES, last)
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.next = "receive"

    def _answer_memory(
        self, m: Module, answer: _Answer, dma: ReadDma, left: Signal, done: _Done
    ) -> None:
        with m.State("send"), m.If(answer.free & dma.o.valid):
            answer.say(dma.o.payload, BEAT_BYTES, left == BEAT_BYTES)
            m.next = "sent"
        with m.State("sent"):
            m.d.comb += dma.o.ready.eq(1)
            m.next = "send"
            with m.If(done(BEAT_BYTES)):
                m.next = "receive"

    def _answer_registers(self, m: Module, answer: _Answer, done: _Done) -> None:
        csr = self.csr
        with m.State("get"), m.If(answer.free):
            m.d.sync += csr.arvalid.eq(1)
            m.next = "getting"
        with m.State("getting"):
            with m.If(csr.arready):
                m.d.sync += csr.arvalid.eq(0)
            with m.If(csr.rvalid):
                last = done(_REGISTER)
                answer.say(csr.rdata, _REGISTER, last)
                m.next = "get"
                with m.If(last):
                    m.next = "receive"

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
