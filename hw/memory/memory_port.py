"""Connects several AXI masters to one memory controller.

::

    writers --AW, W--> collector --+
                          '--> beats ------------------> controller <--> chip
    readers --AR------------------ round robin --requests--^   |
    readers <--R--------------------------------------- beats -'
    writers <--B--------------------------------------- done --'

A write is passed on when all of its beats are here, so it never holds the memory up.  The masters
lie all over the chip, so there can be a register in every direction between them and what is here.
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, connect

from penstock.hw.bus.axi import MAX_BURST, Resp, axi_read, axi_write
from penstock.hw.lib.fifo import Fifo
from penstock.hw.lib.register_slice import RegisterSlice
from penstock.hw.memory.block_memory import BlockMemory
from penstock.hw.memory.controller import write_layout
from penstock.hw.memory.sdram import SdramController

__all__ = ["MemoryPort"]

_address_layout = data.StructLayout({"addr": 32, "len": (MAX_BURST - 1).bit_length()})
_word_layout = data.StructLayout({"beat": write_layout, "last": 1})


class MemoryPort(wiring.Component):
    """The masters' side of a controller.

    A master's bursts are those of `hw.bus.axi`, must not cross a row of the chip (those that end on
    multiples of 128 bytes do not), and beats read and acknowledgements must be taken in the cycle
    they come.  Bursts of one channel are done in order; a master that reads what it wrote waits for
    the acknowledgement first.

    Parameters
    ----------
    controller : SdramController or BlockMemory
        Becomes a submodule.
    readers, writers : int
        Masters, 1 to 8 together: the tags must tell readers from each other, and writers.
    slices : bool
        Registers between the masters and the memory: shorter paths for more cells.

    Members
    -------
    r : In(axi_read()) array of readers
    w : In(axi_write()) array of writers
    """

    def __init__(
        self,
        *,
        controller: SdramController | BlockMemory,
        readers: int,
        writers: int,
        slices: bool = True,
    ) -> None:
        for name, value in (("readers", readers), ("writers", writers)):
            if not isinstance(value, int) or not 1 <= value <= 1 << controller.tag_bits:
                raise ValueError(
                    f"{name} must be from 1 to {1 << controller.tag_bits}, not {value!r}"
                )
        self.controller = controller
        self.readers = readers
        self.writers = writers
        self.slices = slices
        super().__init__({"r": In(axi_read()).array(readers), "w": In(axi_write()).array(writers)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.controller = controller = self.controller
        # Without room for register slices, there is none for LUT RAM either: block RAM.
        m.submodules.beats = beats = Fifo(
            shape=write_layout,
            depth=2 * MAX_BURST if self.slices else 4 * MAX_BURST,
            block=not self.slices,
        )
        connect(m, beats.o, controller.w)
        readers = [
            self._address(m, f"ar_{k}", bus.arvalid, bus.arready, bus.araddr, bus.arlen)
            for k, bus in enumerate(self.r[k] for k in range(self.readers))
        ]

        # A collected write competes with the readers for the next request.
        write_valid, write_taken = Signal(), Signal()
        write = Signal.like(controller.i.payload)
        self._collect(m, beats, write, write_valid, write_taken)

        # First one is chosen, then it becomes the request, while the one before is still at work.
        request = Signal.like(controller.i.payload)
        pending, chosen = Signal(), Signal()
        choice, following = Signal(range(self.readers + 1)), Signal(range(self.readers + 1))
        asking = Cat(write_valid, *(reader.valid for reader in readers))
        m.d.comb += [controller.i.payload.eq(request), controller.i.valid.eq(pending)]
        _round_robin(m, asking, choice, following)
        with m.If(controller.i.ready):
            m.d.sync += pending.eq(0)
        with m.If(chosen & ~pending):
            m.d.sync += [chosen.eq(0), pending.eq(1)]
            with m.Switch(choice):
                with m.Case(0):
                    m.d.sync += request.eq(write)
                    m.d.comb += write_taken.eq(1)
                for k, reader in enumerate(readers):
                    with m.Case(k + 1):
                        m.d.sync += [
                            request.addr.eq(reader.p.addr),
                            request.beats.eq(reader.p.len + 1),
                            request.write.eq(0),
                            request.tag.eq(k),
                        ]
                        m.d.comb += reader.ready.eq(1)
        with m.Elif(~chosen & asking.any()):
            m.d.sync += [chosen.eq(1), choice.eq(following)]

        answers = m.d.sync if self.slices else m.d.comb
        beat = Signal.like(controller.r, reset_less=True)
        answers += beat.eq(controller.r)
        for k, bus in enumerate(self.r[k] for k in range(self.readers)):
            answers += bus.rvalid.eq(controller.r_valid & (controller.r.tag == k))
            m.d.comb += [
                bus.rdata.eq(beat.data),
                bus.rlast.eq(beat.last),
                bus.rresp.eq(Mux(beat.error, Resp.DECERR, Resp.OKAY)),
            ]
        for k in range(self.writers):
            answers += [
                self.w[k].bvalid.eq(controller.w_done & (controller.w_tag == k)),
                self.w[k].bresp.eq(Mux(controller.w_error, Resp.DECERR, Resp.OKAY)),
            ]
        return m

    def _address(
        self, m: Module, name: str, valid: Value, ready: Value, addr: Value, length: Value
    ) -> stream.Interface:
        """Return a master's address channel, after registers."""
        given = stream.Signature(_address_layout).create()
        m.d.comb += [
            given.valid.eq(valid),
            given.p.addr.eq(addr),
            given.p.len.eq(length),
            ready.eq(given.ready),
        ]
        return self._registered(m, name, given)

    def _registered(self, m: Module, name: str, given: stream.Interface) -> stream.Interface:
        """Return a stream after registers, if there are to be any."""
        if not self.slices:
            return given
        m.submodules[name] = registers = RegisterSlice(shape=given.payload.shape())
        m.d.comb += [
            registers.i.payload.eq(given.payload),
            registers.i.valid.eq(given.valid),
            given.ready.eq(registers.i.ready),
        ]
        return registers.o

    def _collect(self, m: Module, beats: Fifo, write: Value, valid: Signal, taken: Signal) -> None:
        """Take write bursts, one at a time, and their beats; offer each when it is complete."""
        addresses, words = [], []
        for k, bus in enumerate(self.w[k] for k in range(self.writers)):
            addresses.append(
                self._address(m, f"aw_{k}", bus.awvalid, bus.awready, bus.awaddr, bus.awlen)
            )
            given = stream.Signature(_word_layout).create()
            m.d.comb += [
                given.valid.eq(bus.wvalid),
                given.p.beat.data.eq(bus.wdata),
                given.p.beat.strobe.eq(bus.wstrb),
                given.p.last.eq(bus.wlast),
                bus.wready.eq(given.ready),
            ]
            words.append(self._registered(m, f"w_{k}", given))
        open_ = Signal(range(self.writers))  # whose beats are being taken
        choice = Signal(range(self.writers))
        asking = Cat(address.valid for address in addresses)
        room = Signal()  # of a cycle ago; in the states after "beats" it can only get more
        m.d.sync += room.eq(beats.level <= MAX_BURST)
        _round_robin(m, asking, open_, choice)
        with m.FSM():
            with m.State("address"), m.If(asking.any() & room):
                m.d.sync += open_.eq(choice)
                with m.Switch(choice):
                    for k, address in enumerate(addresses):
                        with m.Case(k):
                            m.d.comb += address.ready.eq(1)
                            m.d.sync += [
                                write.addr.eq(address.p.addr),
                                write.beats.eq(address.p.len + 1),
                                write.write.eq(1),
                                write.tag.eq(k),
                            ]
                m.next = "beats"
            with m.State("beats"), m.Switch(open_):
                for k, word in enumerate(words):
                    with m.Case(k):
                        m.d.comb += [
                            word.ready.eq(beats.i.ready),
                            beats.i.valid.eq(word.valid),
                            beats.i.payload.eq(word.p.beat),
                        ]
                        with m.If(word.valid & word.ready & word.p.last):
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
