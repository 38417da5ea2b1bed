"""The CSR bank: the AXI4-Lite slave of `models.spec.regs.REGISTERS`, run control, counters and log.

It is the one part of the core that a soft reset leaves alone::

    bus --> registers --> Control --> core_reset, go, halt --> rest of the core
                ^            ^                                     |
                |            +------ complete, errors, progress ---+
                +---- Counters, LayerLog, diagnostics <------------+
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.bus.axi import axi_lite
from penstock.hw.bus.dma import dma_control
from penstock.hw.core.counters import Counters
from penstock.hw.core.layer_log import LayerLog
from penstock.hw.core.program_port import program_port
from penstock.hw.core.run_control import Control
from penstock.hw.engines.conv import array_activity
from penstock.hw.lib.timing_policy import TimingPolicy, policy_of
from penstock.models.spec.arch import Arch
from penstock.models.spec.regs import (
    CSR_BYTES,
    DONE_COUNTS,
    ERROR_SOURCES,
    LOG_BASE,
    LOG_FIELDS,
    MAGIC,
    REGISTERS,
    VERSION,
    Register,
    field,
)

__all__ = ["CsrBank"]

_ADDR_BITS = (CSR_BYTES - 1).bit_length()

# The bit of the interrupt, in the register that enables it and the one that shows it.
_IRQ = field("IRQ_PENDING", "done")
assert _IRQ.mask == field("IRQ_ENABLE", "done").mask == 1

# Registers that are selected in one step of a read.
_GROUP = 8


class CsrBank(wiring.Component):
    """Registers, run control, counters and layer log.

    Every address answers OKAY; unknown ones read 0 and ignore writes.  Write strobes are honoured.
    Outputs towards the core are registered.  A word that was written has changed its register four
    cycles after address and data were taken; what is read comes five cycles after its address, and
    shows the register as it was after two.

    Parameters
    ----------
    arch : Arch

    Members
    -------
    bus : In(axi_lite())
    irq : Out(1)
        Level: an interrupt is pending and enabled.
    busy, error : Out(1)
        Of STATUS, for LEDs.
    program : Out(program_port())
        To the sequencer.  `complete` and `bad` are levels that `core_reset` clears.
    core_reset, core_reset_next : Out(1)
        See `hw.core.run_control.Control`: reset everything else.
    progress : In(1)
        See `hw.core.run_control.Control`.
    dmas : Out(dma_control()).array(4)
        The DMAs, in the order of `ERROR_SOURCES`: desc, wgt, act, out.  Their counts and those in
        `program` are shown as they were when the run ended.
    activity : In(array_activity())
        Of the CONV engine.
    wait_input, act_waiting, wgt_waiting : In(1)
        See `hw.core.counters.Counters`.
    read_beat : In(3)
        Beats of the ports desc, wgt and act this cycle.
    write_beat : In(1)
    mark : In(1)
        Append a layer log entry; at the latest a cycle before `complete`.  Marks must be at least
        10 cycles apart on average.
    """

    def __init__(self, *, arch: Arch) -> None:
        self.arch = arch
        super().__init__(
            {
                "bus": In(axi_lite(addr_width=_ADDR_BITS)),
                "irq": Out(1),
                "busy": Out(1),
                "error": Out(1),
                "program": Out(program_port()),
                "core_reset": Out(1),
                "core_reset_next": Out(1),
                "progress": In(1),
                "dmas": Out(dma_control()).array(len(ERROR_SOURCES)),
                "activity": In(array_activity()),
                "wait_input": In(1),
                "act_waiting": In(1),
                "wgt_waiting": In(1),
                "read_beat": In(3),
                "write_beat": In(1),
                "mark": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.control = control = Control()
        m.submodules.counters = counters = Counters(bits=self.arch.count_bits)
        m.submodules.log = log = LayerLog(entries=self.arch.log_entries)

        irq_enable = Signal()
        irq_pending = Signal()
        base = Signal(32)
        watchdog = Signal(32)
        command = Signal(_layout("CTRL"))
        # In the run's first cycle, the first one that counts.
        clear = Signal()
        marked = Signal()
        m.d.sync += clear.eq(control.begin)
        m.d.comb += [
            control.start.eq(command.start),
            control.reset.eq(command.reset),
            control.watchdog.eq(watchdog),
            control.log_busy.eq(log.busy),
            self.core_reset.eq(control.core_reset),
            self.core_reset_next.eq(control.core_reset_next),
            self.program.start.eq(control.go),
            self.busy.eq(control.busy),
            self.error.eq(control.error),
            counters.clear.eq(clear),
            counters.enable.eq(control.busy),
            log.clear.eq(clear),
            log.mark.eq(marked),
        ]
        # An entry has the counts of its mark's cycle: delay `mark` one cycle, to align the snapshot
        # with the counters.
        m.d.sync += marked.eq(self.mark & control.busy)
        m.d.comb += [
            control.complete.eq(self.program.complete),
            control.bad_descriptor.eq(self.program.bad),
            control.progress.eq(self.progress),
            counters.array_busy.eq(self.activity.busy),
            counters.wait_weights.eq(self.activity.wait_weights),
            counters.wait_output.eq(self.activity.wait_bank),
        ]
        for name in ("wait_input", "act_waiting", "wgt_waiting", "read_beat", "write_beat"):
            m.d.comb += getattr(counters, name).eq(getattr(self, name))
        self._connect_dmas(m, base, control, policy_of(platform))
        for inner, outer in zip(log.counts, counters.counts):
            m.d.comb += inner.eq(outer)

        # The core forgets its counts when it is reset after an error: these are copies.
        shown: dict[str, Value] = {"DESC_FETCHED": self.program.fetched}
        for index, port in enumerate(ERROR_SOURCES):
            shown[f"{port.upper()}_EXPECTED"] = self.dmas[index].expected
            shown[f"{port.upper()}_RECEIVED"] = self.dmas[index].received
        for index, engine in enumerate(DONE_COUNTS):
            shown[f"{engine}_DONE"] = self.program.done[index]
        for name, source in list(shown.items()):
            shown[name] = copy = Signal(len(source), name=f"shown_{name.lower()}")
            with m.If(control.busy):
                m.d.sync += copy.eq(source)

        values: dict[str, Value | int] = {
            **shown,
            "ID": MAGIC,
            "VERSION": VERSION,
            "FINGERPRINT_LO": self.arch.fingerprint & 0xFFFF_FFFF,
            "FINGERPRINT_HI": self.arch.fingerprint >> 32,
            "CTRL": 0,
            "STATUS": _fields("STATUS", control),
            "ERROR": _fields("ERROR", control),
            "IRQ_ENABLE": irq_enable,
            "IRQ_PENDING": irq_pending,
            "BASE": base,
            "DESC_ADDR": self.program.desc_addr,
            "DESC_COUNT": self.program.desc_count,
            "WATCHDOG": watchdog,
            "LOG_COUNT": log.count,
        }
        for index, (name, _) in enumerate(LOG_FIELDS):
            values[name.upper()] = counters.counts[index]

        self._read_side(m, values, log)
        write, address, word, strobe = self._write_side(m)
        writable = {
            "BASE": base,
            "DESC_ADDR": self.program.desc_addr,
            "DESC_COUNT": self.program.desc_count,
            "WATCHDOG": watchdog,
            "IRQ_ENABLE": irq_enable,
        }
        offsets = {register.name: register.offset for register in REGISTERS}
        # Decoding has a cycle of its own; the next word is not taken before this one is written.
        names = [*writable, "CTRL", "IRQ_PENDING"]
        chosen, hits = Signal(len(names)), Signal(len(names))
        m.d.sync += [
            chosen.eq(Cat(address == offsets[name] >> 2 for name in names)),
            hits.eq(Mux(write, chosen, 0)),
            command.eq(0),
        ]
        hit = dict(zip(names, hits))
        for name, register in writable.items():
            for lane in range(-(-len(register) // 8)):
                bits = slice(8 * lane, 8 * lane + 8)
                with m.If(hit[name] & strobe[lane]):
                    m.d.sync += register[bits].eq(word[bits])
        with m.If(hit["CTRL"] & strobe[0]):
            m.d.sync += command.as_value().eq(word)
        with m.If(hit["IRQ_PENDING"] & strobe[0] & word[_IRQ.lsb]):
            m.d.sync += irq_pending.eq(0)
        # After the write, so that an event of the same cycle is not lost.
        with m.If(control.event):
            m.d.sync += irq_pending.eq(1)
        m.d.sync += self.irq.eq(irq_pending & irq_enable)
        return m

    def _connect_dmas(
        self, m: Module, base: Signal, control: Control, timing: TimingPolicy
    ) -> None:
        """Tell the DMAs what to do; hear whether they are idle, and of their errors."""
        # The DMAs see `halt` one cycle late: from its second cycle on no burst begins.
        halted = Signal()
        m.d.sync += [
            halted.eq(control.halt),
            control.all_idle.eq(halted & control.halt & Cat(dma.idle for dma in self.dmas).all()),
        ]
        for name, dma, error in zip(ERROR_SOURCES, self.dmas, control.port_error):
            # Constant during a run; a duplicate for each, as they add to it and are far apart.
            own = timing.duplicate(32, name=f"base_{name}", reset_less=True)
            # The error is late as well; completion takes longer than that.
            m.d.sync += [own.eq(base), error.eq(dma.error)]
            m.d.comb += [dma.base.eq(own), dma.halt.eq(control.halt)]

    def _write_side(self, m: Module) -> tuple[Value, Value, Value, Value]:
        """Answer writes; return a strobe with word address, data and byte strobes of each."""
        bus = self.bus
        address, word, strobe = Signal(_ADDR_BITS - 2), Signal(32), Signal(4)
        have_address, have_data = Signal(), Signal()
        # The address has been here for a cycle, and is decoded.
        decoded = Signal()
        write = decoded & have_data & ~bus.bvalid
        m.d.sync += decoded.eq(have_address & ~write)
        m.d.comb += [bus.awready.eq(~have_address), bus.wready.eq(~have_data)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address.eq(bus.awaddr >> 2), have_address.eq(1)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [word.eq(bus.wdata), strobe.eq(bus.wstrb), have_data.eq(1)]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(write):
            m.d.sync += [have_address.eq(0), have_data.eq(0), bus.bvalid.eq(1)]
        return write, address, word, strobe

    def _read_side(self, m: Module, values: dict[str, Value | int], log: LayerLog) -> None:
        """Answer reads from `values` and `log`, one at a time."""
        bus = self.bus
        address = Signal(_ADDR_BITS - 2)
        # One bit for each step of a read that is under way: to the log's memory and back, or to a
        # register in steps of a cycle each: decode, select in groups, select the group.
        step = Signal(2 + log.READ_LATENCY)
        value = Signal(32)
        words = self.arch.log_entries * len(LOG_FIELDS)
        in_log = (address >= LOG_BASE >> 2) & (address < (LOG_BASE >> 2) + words)
        m.d.comb += [
            bus.arready.eq(~step.any() & ~bus.rvalid),
            log.r.en.eq(step[0]),
            log.r.addr.eq(address - (LOG_BASE >> 2)),
        ]
        m.d.sync += step.eq((step << 1) | (bus.arvalid & bus.arready))
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += address.eq(bus.araddr >> 2)
        chosen = Signal(len(REGISTERS))
        groups = []
        m.d.sync += chosen.eq(Cat(address == register.offset >> 2 for register in REGISTERS))
        hits = list(zip(chosen, (values[register.name] for register in REGISTERS)))
        for first in range(0, len(hits), _GROUP):
            group = Signal(32, name=f"group_{first}", reset_less=True)
            m.d.sync += group.eq(reduce(or_, (Mux(*hit, 0) for hit in hits[first:][:_GROUP])))
            groups.append(group)
        m.d.sync += value.eq(reduce(or_, groups))
        with m.If(step[-1]):
            m.d.sync += [bus.rdata.eq(Mux(in_log, log.r.data, value)), bus.rvalid.eq(1)]
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)


def _fields(name: str, source: wiring.Component) -> Value:
    """Value of the register called `name`, its fields being the members of `source`."""
    value: Value | int = 0
    for part in _register(name).fields:
        value = value | (getattr(source, part.name)[: part.width] << part.lsb)
    return value


def _layout(name: str) -> data.Layout:
    """Layout of the register called `name`, up to its last field."""
    fields = _register(name).fields
    return data.FlexibleLayout(
        max(part.lsb + part.width for part in fields),
        {part.name: data.Field(part.width, part.lsb) for part in fields},
    )


def _register(name: str) -> Register:
    (register,) = (register for register in REGISTERS if register.name == name)
    return register
