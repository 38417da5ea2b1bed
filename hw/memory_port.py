"""One memory controller behind several AXI masters.

::

    writers --AW, W--> collector --+
                          '--> beats ------------------> controller <--> chip
    readers --AR------------------ round robin --requests--^   |
    readers <--R--------------------------------------- beats -'
    writers <--B--------------------------------------- done --'

A write is passed on when all of its beats are here, so it never holds the memory up.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, connect

from hw.axi import MAX_BURST, Resp, axi_read, axi_write
from hw.sdram import SdramController, write_layout
from hw.stream import Fifo

__all__ = ["MemoryPort"]


class MemoryPort(wiring.Component):
    """The masters' side of a controller.

    A master's bursts are those of `hw.axi`, must not cross a row of the chip (those that end on
    multiples of 128 bytes do not), and beats read and acknowledgements must be taken in the cycle
    they come.  Bursts of one channel are done in order; a master that reads what it wrote waits for
    the acknowledgement first.

    Parameters
    ----------
    controller : SdramController
        Becomes a submodule.
    readers, writers : int
        Masters, 1 to 8 together: the tags must tell readers from each other, and writers.

    Members
    -------
    r : In(axi_read()) array of readers
    w : In(axi_write()) array of writers
    """

    def __init__(self, *, controller: SdramController, readers: int, writers: int) -> None:
        for name, value in (("readers", readers), ("writers", writers)):
            if not isinstance(value, int) or not 1 <= value <= 1 << controller.tag_bits:
                raise ValueError(
                    f"{name} must be from 1 to {1 << controller.tag_bits}, not {value!r}"
                )
        self.controller = controller
        self.readers = readers
        self.writers = writers
        super().__init__({"r": In(axi_read()).array(readers), "w": In(axi_write()).array(writers)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.controller = controller = self.controller
        m.submodules.beats = beats = Fifo(shape=write_layout, depth=2 * MAX_BURST)
        connect(m, beats.o, controller.w)
        readers = [self.r[k] for k in range(self.readers)]

        # A collected write competes with the readers for the next request.
        write_valid, write_taken = Signal(), Signal()
        write = Signal.like(controller.i.payload)
        self._collect(m, beats, write, write_valid, write_taken)

        request = Signal.like(controller.i.payload)
        pending = Signal()
        choice = Signal(range(self.readers + 1))
        last = Signal(range(self.readers + 1))
        asking = Cat(write_valid, *(bus.arvalid for bus in readers))
        grant = Signal()
        m.d.comb += [
            controller.i.payload.eq(request),
            controller.i.valid.eq(pending),
            grant.eq(asking.any() & (~pending | controller.i.ready)),
        ]
        _round_robin(m, asking, last, choice)
        with m.If(controller.i.ready):
            m.d.sync += pending.eq(0)
        with m.If(grant):
            m.d.sync += [pending.eq(1), last.eq(choice)]
            with m.Switch(choice):
                with m.Case(0):
                    m.d.sync += request.eq(write)
                    m.d.comb += write_taken.eq(1)
                for k, bus in enumerate(readers):
                    with m.Case(k + 1):
                        m.d.sync += [
                            request.addr.eq(bus.araddr),
                            request.beats.eq(bus.arlen + 1),
                            request.write.eq(0),
                            request.tag.eq(k),
                        ]
                        m.d.comb += bus.arready.eq(1)

        for k, bus in enumerate(readers):
            m.d.comb += [
                bus.rvalid.eq(controller.r_valid & (controller.r.tag == k)),
                bus.rdata.eq(controller.r.data),
                bus.rlast.eq(controller.r.last),
                bus.rresp.eq(Mux(controller.r.error, Resp.DECERR, Resp.OKAY)),
            ]
        for k in range(self.writers):
            m.d.comb += [
                self.w[k].bvalid.eq(controller.w_done & (controller.w_tag == k)),
                self.w[k].bresp.eq(Mux(controller.w_error, Resp.DECERR, Resp.OKAY)),
            ]
        return m

    def _collect(self, m: Module, beats: Fifo, write: Value, valid: Signal, taken: Signal) -> None:
        """Take write bursts, one at a time, and their beats; offer each when it is complete."""
        writers = [self.w[k] for k in range(self.writers)]
        open_ = Signal(range(self.writers))  # whose beats are being taken
        choice = Signal(range(self.writers))
        asking = Cat(bus.awvalid for bus in writers)
        _round_robin(m, asking, open_, choice)
        with m.FSM():
            with m.State("address"), m.If(asking.any() & (beats.level <= MAX_BURST)):
                m.d.sync += open_.eq(choice)
                with m.Switch(choice):
                    for k, bus in enumerate(writers):
                        with m.Case(k):
                            m.d.comb += bus.awready.eq(1)
                            m.d.sync += [
                                write.addr.eq(bus.awaddr),
                                write.beats.eq(bus.awlen + 1),
                                write.write.eq(1),
                                write.tag.eq(k),
                            ]
                m.next = "beats"
            with m.State("beats"), m.Switch(open_):
                for k, bus in enumerate(writers):
                    with m.Case(k):
                        m.d.comb += [
                            bus.wready.eq(beats.i.ready),
                            beats.i.valid.eq(bus.wvalid),
                            beats.i.p.data.eq(bus.wdata),
                            beats.i.p.strobe.eq(bus.wstrb),
                        ]
                        with m.If(bus.wvalid & bus.wready & bus.wlast):
                            m.next = "offer"
            with m.State("offer"):
                m.d.comb += valid.eq(1)
                with m.If(taken):
                    m.next = "address"


def _round_robin(m: Module, asking: Value, last: Signal, choice: Signal) -> None:
    """Set `choice` to the next after `last` of those that ask."""
    count = len(asking)
    with m.Switch(last):
        for k in range(count):
            with m.Case(k):
                for other in range(k + count, k, -1):
                    with m.If(asking[other % count]):
                        m.d.comb += choice.eq(other % count)
