"""Controller for an SDR SDRAM: bursts of 8-byte beats, banks kept open, refresh.

A beat is a READ or WRITE of four 16-bit words, the chip's burst length, so the command bus is free
in three of four cycles.  While one burst's beats go over the data bus, the row of the next one is
opened in another bank::

    command   R0 .. .. .. R0 Pn .. .. R0 An .. .. Rn .. .. .. Rn
    data               0a 0b 0c 0d 0e 0f ..

Address bits, from the top: row, bank, column, byte.  So memory read in its order goes on in the
next bank at the end of a row, and finds it open.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from penstock.hw.lib.countdown import Countdown
from penstock.hw.lib.delay import delayed
from penstock.hw.memory.controller import context_layout, controller_members, request_layout
from penstock.hw.memory.sdram_chip import COMMANDS, SdramChip, sdram_pins

__all__ = ["SdramController"]

# Words of a beat.
_WORDS = 4
_INITIAL_REFRESHES = 8
# From the cycle of a decision to that of the command's word at the input pins' registers: register
# of the decision, output register, register in the pad, and in the pad again on the way back.
_PADS = 4


def address_layout(chip: SdramChip) -> data.StructLayout:
    """Where a byte address is in the chip: `beat` of 8 bytes in a row, bank, row; or beyond it."""
    sizes = {"byte": 3, "beat": chip.column_bits - 2, "bank": chip.bank_bits, "row": chip.row_bits}
    return data.StructLayout({**sizes, "beyond": 32 - sum(sizes.values())})


class _Place(IntEnum):
    """What the address pins say."""

    COLUMN = 0
    ROW = 1
    BANK = 2
    ALL = 3
    MODE = 4


class _Timer:
    """Counts down to zero; `over` is a register."""

    def __init__(self, m: Module, name: str, length: int) -> None:
        self._m = m
        self._left = Signal(range(length), name=name)
        self.over = Signal(init=1, name=f"{name}_over")
        m.d.sync += [
            self._left.eq(Mux(self._left == 0, 0, self._left - 1)),
            self.over.eq(self._left <= 1),
        ]

    def start(self, cycles: int) -> None:
        """Count `cycles` cycles from the next one on, where the module's conditions hold."""
        self._m.d.sync += [self._left.eq(cycles), self.over.eq(cycles == 0)]


class _Banks:
    """Which row of each bank is open, and when it may be closed.

    Parameters
    ----------
    m : Module
        Gets the registers.
    chip : SdramChip
    longest : int
        Most cycles of `keep`.

    Attributes
    ----------
    opened, rows, closable : Array
        Of each bank.
    """

    def __init__(self, m: Module, chip: SdramChip, *, longest: int) -> None:
        self._m = m
        banks = range(1 << chip.bank_bits)
        self.opened = Array(Signal(name=f"opened_{k}") for k in banks)
        self.rows = Array(Signal(chip.row_bits, name=f"row_{k}") for k in banks)
        self._holds = [_Timer(m, f"hold_{k}", longest) for k in banks]
        self.closable = Array(hold.over for hold in self._holds)

    def keep(self, which: Value, cycles: int) -> None:
        """Keep a bank open for so many cycles."""
        with self._m.Switch(which):
            for k, hold in enumerate(self._holds):
                with self._m.Case(k):
                    hold.start(cycles)


class _Burst:
    """The burst whose beats are on their way.

    Parameters
    ----------
    m : Module
        Gets the registers.
    chip : SdramChip
    tag_bits : int

    Attributes
    ----------
    active, write, error : Signal
    bank, column : Signal
        Where the next beat is; the column in beats.
    beats : Countdown
    tag : Signal
    issue : Signal
        A beat's command is decided in this cycle.
    ends : Value
        And it is the last one.
    """

    def __init__(self, m: Module, chip: SdramChip, tag_bits: int) -> None:
        self._m = m
        self._chip = chip
        self.active, self.write, self.error = (
            Signal(name=name) for name in ("active", "write", "error")
        )
        self.bank = Signal(chip.bank_bits, name="bank")
        self.column = Signal(chip.column_bits - 2, name="column")
        self.beats = Countdown(m, 5, name="beat", end=1, reset_less=False)
        self.tag = Signal(tag_bits, name="tag")
        # Cycles until a READ or WRITE may follow, until the data bus may turn.
        self._gap = _Timer(m, "gap", _WORDS)
        self._turn = _Timer(m, "turn", chip.cas_latency + _WORDS + 1)
        self.issue = Signal(name="issue")
        self.ends = self.issue & self.beats.last
        m.d.comb += self.issue.eq(self.active & self._gap.over & (~self.write | self._turn.over))
        m.d.sync += self.active.eq(self.active & ~self.ends)
        with m.If(self.issue):
            m.d.sync += self.column.eq(self.column + 1)
            self.beats.step()
            self._gap.start(_WORDS - 1)
            with m.If(~self.write):
                self._turn.start(chip.cas_latency + _WORDS)

    def begin(self, request: data.View, place: data.View, *, outside: Value) -> None:
        """Let the burst of a request follow, the row being open."""
        self.beats.load(request.beats)
        self._m.d.sync += [
            self.active.eq(1),
            self.write.eq(request.write),
            self.bank.eq(place.bank),
            self.column.eq(place.beat),
            self.tag.eq(request.tag),
            self.error.eq(outside),
        ]


class _Commands:
    """The command bus: what is decided in one cycle is put together in the next.

    Parameters
    ----------
    m : Module
        Gets the registers.
    """

    def __init__(self, m: Module) -> None:
        self._m = m
        self._decided = Signal(3, name="decided", init=COMMANDS["NOP"])
        self._place = Signal(_Place, name="place")
        m.d.sync += self._decided.eq(COMMANDS["NOP"])

    def give(self, name: str, where: _Place) -> None:
        """Give a command, where the module's conditions hold."""
        self._m.d.sync += [self._decided.eq(COMMANDS[name]), self._place.eq(where)]

    def drive(
        self, pins: wiring.PureInterface, burst: _Burst, next_: data.View, chip: SdramChip
    ) -> None:
        """Drive the pins of command and address; `next_` is where the next burst is."""
        m = self._m
        # The decision's column and bank may be another burst's by now; `next_` is the same still.
        column, bank = Signal.like(burst.column), Signal.like(burst.bank)
        m.d.sync += [column.eq(burst.column), bank.eq(burst.bank), pins.command.eq(self._decided)]
        with m.Switch(self._place):
            with m.Case(_Place.COLUMN):
                m.d.sync += [pins.a.eq(column << 2), pins.ba.eq(bank)]
            with m.Case(_Place.ROW):
                m.d.sync += [pins.a.eq(next_.row), pins.ba.eq(next_.bank)]
            with m.Case(_Place.BANK):
                m.d.sync += [pins.a[10].eq(0), pins.ba.eq(next_.bank)]
            with m.Case(_Place.ALL):
                m.d.sync += pins.a[10].eq(1)
            with m.Case(_Place.MODE):
                # Bursts of 4 words, sequential, also when writing.
                m.d.sync += [pins.a.eq(chip.cas_latency << 4 | 0b010), pins.ba.eq(0)]


class SdramController(wiring.Component):
    """Requests to commands.

    Requests are done in order.  One that begins outside the chip is answered with `error`.

    Parameters
    ----------
    chip : SdramChip
    clock_hz : int
        Frequency of the clock, which is the chip's too.
    tag_bits : int

    Members
    -------
    Those of `hw.memory.controller.controller_members`, and:

    pins : Out(sdram_pins(chip))
        Registered; the pads have one more register for each.
    ready : Out(1)
        The chip is initialised.
    """

    def __init__(self, *, chip: SdramChip, clock_hz: int, tag_bits: int = 3) -> None:
        if not isinstance(clock_hz, int) or clock_hz < 1_000_000:
            raise ValueError(f"clock_hz must be at least 1000000, not {clock_hz!r}")
        self.chip = chip
        self.clock_hz = clock_hz
        self.tag_bits = tag_bits
        # Only these timers exist; the assertions below show that they imply the other rules.
        self.t_rcd = max(chip.cycles("t_rcd", clock_hz), chip.cycles("t_rrd", clock_hz))
        self.t_rp = chip.cycles("t_rp", clock_hz)
        self.t_rfc = chip.cycles("t_rfc", clock_hz)
        # From ACTIVATE, READ or WRITE to a PRECHARGE of the bank.
        self.after_activate = max(
            chip.cycles("t_ras", clock_hz), chip.cycles("t_rc", clock_hz) - self.t_rp
        )
        self.after_read = _WORDS
        # A READ or WRITE starts the wait again, which must not make it shorter.
        assert self.t_rcd + self.after_read >= self.after_activate
        self.after_write = _WORDS - 1 + chip.cycles("t_wr", clock_hz)
        self.interval = int(chip.t_ref / chip.refreshes * clock_hz / 1e9)
        self.power_ticks = chip.cycles("t_power", clock_hz) // self.interval + 1
        super().__init__(
            {
                **controller_members(tag_bits),
                "pins": Out(sdram_pins(chip)),
                "ready": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self.chip
        burst = _Burst(m, chip, self.tag_bits)
        longest = max(self.after_activate, self.after_read, self.after_write)
        banks = _Banks(m, chip, longest=longest)
        commands = _Commands(m)
        with m.If(burst.issue):
            with m.If(~burst.error & burst.write):
                commands.give("WRITE", _Place.COLUMN)
                banks.keep(burst.bank, self.after_write - 1)
            with m.Elif(~burst.error):
                commands.give("READ", _Place.COLUMN)
                banks.keep(burst.bank, self.after_read - 1)

        # The burst after it, while its row is opened.
        request = Signal(request_layout(self.tag_bits), reset_less=True)
        place = data.View(address_layout(chip), request.addr)
        delay = _Timer(m, "delay", max(self.t_rfc, self.t_rp, self.t_rcd, chip.c_mrd))
        refreshed = Signal()
        tick, owed = self._refreshes(m, refreshed)
        power = Signal(range(self.power_ticks + 1), init=self.power_ticks)
        with m.If(tick & (power != 0)):
            m.d.sync += power.eq(power - 1)
        with m.FSM():
            self._initialise(m, power, commands, delay)
            self._refresh(m, refreshed, banks, commands, delay)
            self._open(m, request, place, owed, burst, banks, commands, delay)

        commands.drive(self.pins, burst, place, chip)
        writing, drive = Signal(), Signal()
        m.d.comb += self.w.ready.eq(writing)
        m.d.sync += [
            writing.eq(burst.issue & burst.write),
            drive.eq(burst.issue & burst.write & ~burst.error),
        ]
        self._write_data(m, drive)
        m.d.sync += [
            self.w_done.eq(burst.ends & burst.write),
            self.w_tag.eq(burst.tag),
            self.w_error.eq(burst.error),
        ]
        context = Signal(context_layout(self.tag_bits))
        m.d.comb += [
            context.tag.eq(burst.tag),
            context.last.eq(burst.beats.last),
            context.error.eq(burst.error),
        ]
        self._read_data(m, burst.issue & ~burst.write, context)
        return m

    def _initialise(self, m: Module, power: Signal, commands: _Commands, delay: _Timer) -> None:
        """Wait for the power, and set the mode when the first refreshes are done."""
        with m.State("power up"), m.If(power == 0):
            m.next = "precharge all"
        with m.State("mode"), m.If(delay.over):
            commands.give("MODE", _Place.MODE)
            delay.start(self.chip.c_mrd - 1)
            m.d.sync += self.ready.eq(1)
            m.next = "idle"

    def _refresh(
        self, m: Module, refreshed: Signal, banks: _Banks, commands: _Commands, delay: _Timer
    ) -> None:
        """Close all banks and refresh the chip: at the beginning some times, later once."""
        initial = Signal(range(_INITIAL_REFRESHES + 1), init=_INITIAL_REFRESHES)
        with m.State("precharge all"), m.If(Cat(*banks.closable).all()):
            commands.give("PRECHARGE", _Place.ALL)
            delay.start(self.t_rp - 1)
            m.d.sync += [flag.eq(0) for flag in banks.opened]
            m.next = "refresh"
        with m.State("refresh"), m.If(delay.over):
            commands.give("REFRESH", _Place.ALL)
            delay.start(self.t_rfc - 1)
            m.d.comb += refreshed.eq(1)
            m.next = "idle"
            with m.If(initial != 0):
                m.d.sync += initial.eq(initial - 1)
                m.next = "refresh"
                with m.If(initial == 1):
                    m.next = "mode"

    def _open(
        self,
        m: Module,
        request: data.View,
        place: data.View,
        owed: Value,
        burst: _Burst,
        banks: _Banks,
        commands: _Commands,
        delay: _Timer,
    ) -> None:
        """Take a request, open its row, and let its burst follow the one before."""
        outside, row_open, row_hit = Signal(), Signal(), Signal()
        with m.State("idle"):
            m.d.comb += self.i.ready.eq(~owed)
            m.d.sync += request.eq(self.i.payload)
            with m.If(owed & ~burst.active):
                m.next = "precharge all"
            with m.If(~owed & self.i.valid):
                m.next = "look"
        with m.State("look"):
            m.d.sync += [
                outside.eq(place.beyond.any()),
                row_open.eq(banks.opened[place.bank]),
                row_hit.eq(banks.rows[place.bank] == place.row),
            ]
            m.next = "decide"
        with m.State("decide"):
            with m.If(outside | (row_open & row_hit)):
                m.next = "start"
            with m.Elif(row_open):
                m.next = "close"
            with m.Else():
                m.next = "activate"
        with m.State("close"):
            used = burst.active & (burst.bank == place.bank)
            with m.If(~used & banks.closable[place.bank] & ~burst.issue):
                commands.give("PRECHARGE", _Place.BANK)
                delay.start(self.t_rp - 1)
                m.next = "activate"
        with m.State("activate"), m.If(delay.over & ~burst.issue):
            commands.give("ACTIVATE", _Place.ROW)
            banks.keep(place.bank, self.after_activate - 1)
            m.d.sync += [banks.opened[place.bank].eq(1), banks.rows[place.bank].eq(place.row)]
            # From here the burst's first command is two cycles away at least.
            delay.start(max(self.t_rcd - 2, 0))
            m.next = "start"
        with m.State("start"), m.If(delay.over & (~burst.active | burst.ends)):
            burst.begin(request, place, outside=outside)
            m.next = "idle"

    def _refreshes(self, m: Module, refreshed: Signal) -> tuple[Signal, Value]:
        """Return a pulse each refresh interval, and whether a refresh is owed."""
        tick = Signal()
        timer = Signal(range(self.interval), init=self.interval - 1)
        count = Signal(3)
        m.d.comb += tick.eq(timer == 0)
        m.d.sync += timer.eq(Mux(tick, self.interval - 1, timer - 1))
        with m.If(tick & ~refreshed & ~count.all()):
            m.d.sync += count.eq(count + 1)
        with m.Elif(refreshed & ~tick & (count != 0)):
            m.d.sync += count.eq(count - 1)
        return tick, count != 0

    def _write_data(self, m: Module, drive: Signal) -> None:
        """Send a beat, its first word together with the command."""
        words = Signal(64, reset_less=True)
        strobes = Signal(8, init=0xFF)
        driving = Signal(_WORDS)
        m.d.comb += [
            self.pins.dq_o.eq(words),
            self.pins.dq_oe.eq(driving[0]),
            # Both bytes of every word are read.
            self.pins.dqm.eq(~strobes[:2]),
        ]
        m.d.sync += [
            words.eq(words >> 16),
            strobes.eq(Cat(strobes[2:], Const(3, 2))),
            driving.eq(driving >> 1),
        ]
        with m.If(drive):
            m.d.sync += [
                words.eq(self.w.p.data),
                strobes.eq(self.w.p.strobe),
                driving.eq(~0),
            ]

    def _read_data(self, m: Module, issue: Value, context: data.View) -> None:
        """Collect the words of a beat and give them out with the command's `context`."""
        words = Signal(48, reset_less=True)
        m.d.sync += words.eq(Cat(words[16:], self.pins.dq_i))
        # The last word of four is at the input when a command has gone down all stages.
        valid = Signal(_PADS + self.chip.cas_latency + _WORDS - 1)
        m.d.sync += valid.eq(Cat(issue, valid))
        late = delayed(m, context, len(valid))
        m.d.sync += [
            self.r_valid.eq(valid[-1]),
            self.r.data.eq(Mux(late.error, 0, Cat(words, self.pins.dq_i))),
            self.r.tag.eq(late.tag),
            self.r.last.eq(late.last),
            self.r.error.eq(late.error),
        ]
