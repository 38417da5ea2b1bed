"""Asynchronous serial port: 8 data bits, no parity, one stop bit, least significant bit first."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["MIN_DIVISOR", "UartReceiver", "UartTransmitter"]

# Fewer cycles to a bit leave no room to find its middle.
MIN_DIVISOR = 4


def _check(divisor: int) -> None:
    if not isinstance(divisor, int) or divisor < MIN_DIVISOR:
        raise ValueError(f"divisor must be an integer of at least {MIN_DIVISOR}, not {divisor!r}")


class UartReceiver(wiring.Component):
    """Bits to bytes.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, at least `MIN_DIVISOR`.

    Members
    -------
    rx : In(1)
        The wire; it may change at any time.
    o : Out(8)
        The byte, in the cycle in which `strobe` is high.
    strobe : Out(1)
        Pulse: a byte has come.  A byte without its stop bit is not told.
    """

    def __init__(self, *, divisor: int) -> None:
        _check(divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(8), "strobe": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, rx, init=1)
        timer = Signal(range(self.divisor))
        bits = Signal(8, reset_less=True)
        count = Signal(3)
        m.d.comb += self.o.eq(bits)
        m.d.sync += [self.strobe.eq(0), timer.eq(Mux(timer == 0, self.divisor - 1, timer - 1))]
        with m.FSM():
            with m.State("idle"):
                # To the middle of the start bit: its edge was seen up to a cycle late.
                m.d.sync += timer.eq((self.divisor - 1) // 2)
                with m.If(~rx):
                    m.next = "start"
            with m.State("start"), m.If(timer == 0):
                m.next = "data"
                with m.If(rx):
                    m.next = "idle"  # a spike
            with m.State("data"), m.If(timer == 0):
                m.d.sync += [bits.eq(Cat(bits[1:], rx)), count.eq(count + 1)]
                with m.If(count == 7):
                    m.next = "stop"
            with m.State("stop"), m.If(timer == 0):
                m.d.sync += self.strobe.eq(rx)
                m.next = "end"
            with m.State("end"), m.If(rx):
                m.next = "idle"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to bits.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, at least `MIN_DIVISOR`.

    Members
    -------
    i : In(stream of 8 bits)
    tx : Out(1)
        The wire; high when idle.
    """

    def __init__(self, *, divisor: int) -> None:
        _check(divisor)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.divisor))
        bits = Signal(9, init=0x1FF)
        left = Signal(range(11))
        m.d.comb += [self.i.ready.eq(left == 0), self.tx.eq(bits[0])]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                bits.eq(Cat(Const(0, 1), self.i.payload)),
                left.eq(10),
                timer.eq(self.divisor - 1),
            ]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(left != 0):
            m.d.sync += [
                timer.eq(self.divisor - 1),
                bits.eq(Cat(bits[1:], Const(1, 1))),
                left.eq(left - 1),
            ]
        return m
