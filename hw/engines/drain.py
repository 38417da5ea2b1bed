"""The DRAIN engine: a finished partial-sum bank, requantised, into the output buffer.

Positions one after the other, `drain_lanes` columns a cycle::

    partial sums --(4)--> select columns --(2)--> requantise lanes --> byte writes
    parameters   ---------------(2)---------------^
"""

from __future__ import annotations

import itertools

from amaranth import Cat, EnableInserter, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.array.psum import PartialSums, psum_port
from penstock.hw.engines.descriptor import descriptor
from penstock.hw.engines.requant import Requantise
from penstock.hw.lib.buffer import READ_LATENCY, Buffer
from penstock.hw.lib.countdown import Countdown
from penstock.hw.lib.memory_ports import read_port, write_port
from penstock.hw.lib.timing_policy import TimingPolicy, policy_of
from penstock.models.golden.fixed import MULTIPLIER_BITS, SHIFT_BITS
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["SELECT_LATENCY", "DrainEngine", "ParameterMemory", "parameter_layout"]

# Columns are selected in two steps, the first one among so many.
_MET_BITS = 2
_MET = 1 << _MET_BITS
SELECT_LATENCY = 2

_PARAMETERS = data.StructLayout(
    {"bias": signed(32), "multiplier": MULTIPLIER_BITS, "shift": SHIFT_BITS}
)


def parameter_layout(cols: int) -> data.StructLayout:
    """One column's requantisation parameters in memory (`models.golden.fixed.pack_params`)."""
    return data.StructLayout({"index": range(cols), "data": 64})


class ParameterMemory(wiring.Component):
    """Requantisation parameters of two tiles: one drains while the next one's arrive.

    Parameters
    ----------
    cols, lanes : int

    Members
    -------
    i : In(stream of parameter_layout(cols))
        Columns 0 to cols-1 of tile after tile.  Stalls while both banks are in use.
    release : In(1)
        Pulse: the older tile's parameters are not needed any more.
    r : Out(read_port())
        The older tile's parameters of the columns from ``addr * lanes`` on, one for each lane,
        `READ_LATENCY` cycles later.
    """

    def __init__(self, *, cols: int, lanes: int) -> None:
        if lanes < 1 or cols % lanes:
            raise ValueError(f"lanes must divide cols, not be {lanes!r}")
        self.cols = cols
        self.lanes = lanes
        self.groups = cols // lanes
        super().__init__(
            {
                "i": In(stream.Signature(parameter_layout(cols))),
                "release": In(1),
                "r": Out(read_port(addr=range(self.groups), data=_PARAMETERS, values=lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        used = Signal(range(3))
        room = Signal(init=1)  # always `used != 2`
        write_bank, read_bank = Signal(), Signal()
        take, complete = Signal(), Signal()
        lane_bits = (self.lanes - 1).bit_length()
        lane = self.i.payload.index[:lane_bits]
        group = self.i.payload.index[lane_bits:]
        m.d.comb += [
            self.i.ready.eq(room),
            take.eq(self.i.valid & self.i.ready),
            complete.eq(take & (self.i.payload.index == self.cols - 1)),
        ]
        m.d.sync += [
            used.eq(used + complete - self.release),
            write_bank.eq(write_bank ^ complete),
            read_bank.eq(read_bank ^ self.release),
        ]
        with m.If(self.release):
            m.d.sync += room.eq(1)
        with m.Elif(complete):
            m.d.sync += room.eq(used == 0)
        group_bits = (self.groups - 1).bit_length()
        for index in range(self.lanes):
            memory = Buffer(depth=2 << group_bits, width=_PARAMETERS.size)
            m.submodules[f"lane_{index}"] = memory
            m.d.comb += [
                memory.w.en.eq(take & (lane == index)),
                memory.w.addr.eq(Cat(group[:group_bits], write_bank)),
                memory.w.data.eq(self.i.payload.data),
                memory.r.en.eq(self.r.en),
                memory.r.addr.eq(Cat(self.r.addr[:group_bits], read_bank)),
                self.r.data[index].as_value().eq(memory.r.data),
            ]
        return m


class DrainEngine(wiring.Component):
    """Requantises tiles.  Never stalls: it owns the write port of the output buffer.

    Parameters
    ----------
    arch : Arch

    Members
    -------
    i : In(stream of descriptor(Op.DRAIN))
    done : Out(1)
        Pulse: the descriptor's last byte is in the output buffer.
    i_params : In(stream of parameter_layout(cols))
    filled : In(1)
        Pulse: another partial-sum bank is complete.
    freed : Out(1)
        Pulse: the older bank is drained.
    psums : In(psum_port())
        The partial sums, see `PartialSums`.
    out : In(write_port())
        The output buffer; one enable for each group of `drain_lanes` bytes.
    """

    def __init__(self, *, arch: Arch) -> None:
        self.arch = arch
        self._groups = arch.cols // arch.drain_lanes
        self._slots = arch.rows // arch.drain_lanes
        super().__init__(
            {
                "i": In(stream.Signature(descriptor(Op.DRAIN))),
                "done": Out(1),
                "i_params": In(stream.Signature(parameter_layout(arch.cols))),
                "filled": In(1),
                "freed": Out(1),
                "psums": In(psum_port(cols=arch.cols, words=arch.psum_words)),
                "out": In(
                    write_port(
                        addr=range(arch.out_words),
                        data=arch.rows * 8,
                        enables=arch.rows // arch.drain_lanes,
                    )
                ),
            }
        )

    def elaborate(self, platform: object) -> Module:
        arch = self.arch
        m = Module()
        m.submodules.parameters = parameters = ParameterMemory(
            cols=arch.cols, lanes=arch.drain_lanes
        )
        wiring.connect(m, wiring.flipped(self.i_params), parameters.i)
        # The next descriptor begins when the last byte has been written and the bank is free.
        running, finished = Signal(), Signal()
        tags = self._scan(m, running)
        results = self._requantise(m, tags, running, parameters, policy_of(platform))
        written = tags[-1]
        m.d.comb += [
            self.out.en.eq(written.valid << written.slot),
            self.out.addr.eq(written.word),
            self.out.data.eq(Cat(*results * self._slots)),
        ]
        m.d.sync += finished.eq(written.valid & written.last)
        with m.If(finished):
            m.d.sync += running.eq(0)
        m.d.comb += [
            self.done.eq(finished),
            self.freed.eq(finished),
            parameters.release.eq(finished),
        ]
        return m

    def _scan(self, m: Module, running: Signal) -> list[data.View]:
        """Take descriptors and ask for their columns, group after group.

        Returns
        -------
        list of data.View
            What goes along with the values: the tag of what is asked for, of what was asked for a
            cycle ago, and so on to the end of the pipeline.
        """
        lanes, groups, slots = self.arch.drain_lanes, self._groups, self._slots
        desc = Signal(descriptor(Op.DRAIN), reset_less=True)
        # Positions are still being scanned; while `running`, the pipeline works on them.
        active = Signal()
        position = Signal(16)
        positions = Countdown(m, 16, name="position", end=0)
        group = Signal(range(groups))
        last_group = Signal(range(groups), reset_less=True)
        slot = Signal(range(slots))
        row_word, word = Signal(16), Signal(16)
        bank, full = Signal(), Signal(range(3))
        group_end = Signal(reset_less=True)  # always `group == last_group`
        last = Signal()
        first_slot = Signal(range(slots))
        slot_shift = (lanes - 1).bit_length()
        m.d.comb += [
            last.eq(active & group_end & positions.last),
            self.i.ready.eq(~running & (full != 0)),
            first_slot.eq(desc.offset >> slot_shift),
        ]
        with m.If(self.i.valid & self.i.ready):
            positions.load(self.i.payload.count - 1, last=self.i.payload.count == 1)
            m.d.sync += [
                desc.eq(self.i.payload),
                active.eq(1),
                running.eq(1),
                Cat(position, group).eq(0),
                last_group.eq(self.i.payload.lane_groups - 1),
                group_end.eq(self.i.payload.lane_groups == 1),
                slot.eq(self.i.payload.offset >> slot_shift),
                row_word.eq(self.i.payload.base),
                word.eq(self.i.payload.base),
            ]
        with m.If(active):
            with m.If(group_end):
                positions.step()
                m.d.sync += [
                    group.eq(0),
                    group_end.eq(last_group == 0),
                    position.eq(position + 1),
                    slot.eq(first_slot),
                    row_word.eq(row_word + 1),
                    word.eq(row_word + 1),
                ]
            with m.Else():
                m.d.sync += [group.eq(group + 1), group_end.eq(group + 1 == last_group)]
                with m.If(slot == slots - 1):
                    m.d.sync += [slot.eq(0), word.eq(word + desc.plane_step)]
                with m.Else():
                    m.d.sync += slot.eq(slot + 1)
            with m.If(last):
                m.d.sync += active.eq(0)
        m.d.sync += full.eq(full + self.filled - self.freed)
        with m.If(self.freed):
            m.d.sync += bank.eq(~bank)

        m.d.comb += [
            self.psums.en.eq(active & (group == 0)),
            self.psums.addr.bank.eq(bank),
            self.psums.addr.word.eq(position),
        ]

        tag = data.StructLayout(
            {"valid": 1, "last": 1, "slot": range(slots), "word": 16, "group": range(groups)}
        )
        latency = PartialSums.READ_LATENCY + SELECT_LATENCY + Requantise.LATENCY
        tags = [Signal(tag, name=f"tag_{i}") for i in range(latency + 1)]
        m.d.comb += [
            tags[0].valid.eq(active),
            tags[0].last.eq(last),
            tags[0].slot.eq(slot),
            tags[0].word.eq(word),
            tags[0].group.eq(group),
        ]
        with m.If(running):
            m.d.sync += [later.eq(earlier) for earlier, later in itertools.pairwise(tags)]
        return tags

    def _requantise(
        self,
        m: Module,
        tags: list[data.View],
        running: Signal,
        parameters: ParameterMemory,
        timing: TimingPolicy,
    ) -> list[Value]:
        """Select a group's columns and requantise them; return the results, one for each lane."""
        lanes, groups = self.arch.drain_lanes, self._groups
        # The parameters arrive level with the selected sums.
        before, far = (tags[PartialSums.READ_LATENCY + n].group for n in (-1, 1))
        asked = tags[PartialSums.READ_LATENCY + SELECT_LATENCY - READ_LATENCY]
        m.d.comb += [
            parameters.r.en.eq(asked.valid),
            parameters.r.addr.eq(asked.group),
        ]
        results: list[Value] = []
        for lane in range(lanes):
            # Two-stage multiplexer: the columns are spread across the die.
            selected = Signal(signed(32), name=f"selected_{lane}", reset_less=True)
            # Each lane has a duplicate, as they are many.
            near = timing.duplicate(_MET_BITS, name=f"near_{lane}", reset_less=True)
            with m.If(running):
                m.d.sync += near.eq(before)
            met = []
            for first in range(0, groups, _MET):
                some = Signal(signed(32), name=f"met_{lane}_{first}", reset_less=True)
                with m.If(running), m.Switch(near):
                    for index in range(min(_MET, groups - first)):
                        with m.Case(index):
                            m.d.sync += some.eq(self.psums.data[(first + index) * lanes + lane])
                met.append(some)
            with m.If(running), m.Switch(far[_MET_BITS:]):
                for index, some in enumerate(met):
                    with m.Case(index):
                        m.d.sync += selected.eq(some)
            unit = Requantise()
            m.submodules[f"requantise_{lane}"] = EnableInserter(running)(unit)
            m.d.comb += [
                unit.acc.eq(selected),
                unit.bias.eq(parameters.r.data[lane].bias),
                unit.multiplier.eq(parameters.r.data[lane].multiplier),
                unit.shift.eq(parameters.r.data[lane].shift),
            ]
            results.append(unit.y)
        return results
