"""The host link: memory and registers through a serial port (`models.spec.link_frames`).

::

    rx -> receiver -> FIFO -> Deframer -> LinkServer <-> m_read, m_write, csr
    tx <- transmitter <------ Framer <------'
"""

from __future__ import annotations

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.bus.axi import axi_lite, axi_read, axi_write
from penstock.hw.lib.fifo import Fifo
from penstock.hw.link.frame import Deframer, Framer
from penstock.hw.link.link_server import LinkServer
from penstock.hw.link.uart import UartReceiver, UartTransmitter
from penstock.models.spec.link_frames import WINDOW_BYTES

__all__ = ["HostLink"]


class HostLink(wiring.Component):
    """Serial port to buses.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit on the wire.
    memory_bytes : int
        Size of the memory, for the answer to HELLO.
    clock_hz : int
        Frequency of the clock, likewise.

    Members
    -------
    rx : In(1), tx : Out(1)
    m_read : Out(axi_read()), m_write : Out(axi_write())
        Memory.
    csr : Out(axi_lite())
        Registers.
    fresh : Out(1)
        No host has said HELLO since the reset.
    receiving, sending, damaged : Out(1)
        Pulses, for LEDs: a byte came, a byte is on its way, a frame was dropped.
    """

    def __init__(self, *, divisor: int, memory_bytes: int, clock_hz: int) -> None:
        self._receiver = UartReceiver(divisor=divisor)
        self._transmitter = UartTransmitter(divisor=divisor)
        self._server = LinkServer(
            memory_bytes=memory_bytes, clock_hz=clock_hz, baud=round(clock_hz / divisor)
        )
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "m_read": Out(axi_read()),
                "m_write": Out(axi_write()),
                "csr": Out(axi_lite()),
                "fresh": Out(1),
                "receiving": Out(1),
                "sending": Out(1),
                "damaged": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        m.submodules.server = server = self._server
        m.submodules.bytes = queue = Fifo(shape=8, depth=WINDOW_BYTES, block=True)
        m.submodules.deframer = deframer = Deframer()
        m.submodules.framer = framer = Framer()
        connect(m, queue.o, deframer.i)
        connect(m, deframer.o, server.i)
        connect(m, server.o, framer.i)
        connect(m, framer.o, transmitter.i)
        connect(m, server.m_read, flipped(self.m_read))
        connect(m, server.m_write, flipped(self.m_write))
        connect(m, server.csr, flipped(self.csr))
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            # Were it full the byte would be lost, and the frame with it; the window forbids that.
            queue.i.payload.eq(receiver.o),
            queue.i.valid.eq(receiver.strobe),
            self.fresh.eq(server.fresh),
            self.receiving.eq(receiver.strobe),
            self.sending.eq(transmitter.i.valid & transmitter.i.ready),
            self.damaged.eq(server.damaged),
        ]
        return m
