"""Partial sums: two banks for each column, one accumulates while the other drains."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.buffer import READ_LATENCY, Buffer
from hw.pe import sum_width

__all__ = ["PartialSums", "accumulate_layout"]


_LOW_BITS = 16


def accumulate_layout(words: int) -> data.StructLayout:
    """What goes with each activation word: which partial sum it belongs to.

    valid
        The word is one of a tile, not a bubble.
    first
        Overwrite the partial sum instead of adding to it.
    last
        The tile's last word: its bank is complete after this.
    bank, addr
        Where.
    """
    return data.StructLayout({"valid": 1, "first": 1, "last": 1, "bank": 1, "addr": range(words)})


class PartialSums(wiring.Component):
    """Accumulators of all columns.

    Two accumulations of the same address must be at least `RMW_LATENCY` cycles apart.

    Parameters
    ----------
    rows, cols, words : int
        Of the arch; `words` positions in a bank.
    group : int
        Columns whose sums come in the same cycle; each group's come a cycle after the one before.

    Members
    -------
    i : In(accumulate_layout(words))
        For the first group of columns.  `SUM_DELAY` cycles ahead of the sum.
    sums : In(signed) array of cols
        From the array.
    filled : Out(1)
        Pulse: the bank whose `last` word came is complete in every column.
    r_en, r_bank, r_addr : In
        Drain: read all columns at an address.
    r_data : Out(signed(32)) array of cols
        `READ_LATENCY` cycles after `r_en`, held until the next read completes.  The banks lie all
        over the chip: there is a register on the way to them, and one on the way back.
    """

    # A register takes the sums in, as the array's last row may be far away.
    SUM_DELAY = READ_LATENCY - 1
    RMW_LATENCY = READ_LATENCY + 2
    READ_LATENCY = READ_LATENCY + 2

    def __init__(self, *, rows: int, cols: int, words: int, group: int = 1) -> None:
        sizes = {"rows": rows, "cols": cols, "words": words, "group": group}
        for name, value in sizes.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        self.rows = rows
        self.cols = cols
        self.words = words
        self.group = group
        self.layout = accumulate_layout(words)
        super().__init__(
            {
                "i": In(self.layout),
                "sums": In(signed(sum_width(rows))).array(cols),
                "filled": Out(1),
                "r_en": In(1),
                "r_bank": In(1),
                "r_addr": In(range(words)),
                "r_data": Out(signed(32)).array(cols),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        read, read_bank, read_addr = Signal(), Signal(), Signal.like(self.r_addr)
        m.d.sync += [read.eq(self.r_en), read_bank.eq(self.r_bank), read_addr.eq(self.r_addr)]
        # The bank of a read arrives together with its data.
        bank_asked, asked = Signal(), Signal()
        m.d.sync += [bank_asked.eq(read_bank), asked.eq(read)]
        bank_read: list[Signal] = []
        for i in range(-(-self.cols // self.group)):
            # A register of its own for each group, as they lie all over the chip; without the
            # attribute, synthesis makes one of them.
            own = Signal(name=f"bank_read_{i}", attrs={"keep": 1})
            with m.If(asked):
                m.d.sync += own.eq(bank_asked)
            bank_read.append(own)
        # One chain for all columns: what reaches a group of them goes to the next a cycle later.
        steps = [self.i]
        for i in range(1, (self.cols - 1) // self.group + READ_LATENCY + 2):
            step = Signal(self.layout, name=f"control_{i}")
            m.d.sync += step.eq(steps[-1])
            steps.append(step)
        for c in range(self.cols):
            control, arrived, stored = (
                steps[c // self.group + delay] for delay in (0, READ_LATENCY, READ_LATENCY + 1)
            )
            old = Signal(signed(32), name=f"old_{c}")
            given = Signal(signed(sum_width(self.rows)), name=f"given_{c}", reset_less=True)
            wide = Signal(signed(32), name=f"wide_{c}")
            added = Signal(signed(32), name=f"added_{c}")
            low = Signal(_LOW_BITS, name=f"low_{c}", reset_less=True)
            carry = Signal(name=f"carry_{c}", reset_less=True)
            highs = [
                Signal(32 - _LOW_BITS, name=f"high_{c}_{k}", reset_less=True) for k in range(2)
            ]
            total = Signal(signed(32), name=f"total_{c}")
            found = Signal(signed(32), name=f"found_{c}", reset_less=True)
            banks = []
            for b in range(2):
                bank = Buffer(depth=self.words, width=32)
                m.submodules[f"bank_{c}_{b}"] = bank
                accumulates = Signal(name=f"accumulates_{c}_{b}")
                m.d.comb += [
                    accumulates.eq(control.valid & (control.bank == b)),
                    bank.r_en.eq(accumulates | (read & (read_bank == b))),
                    bank.r_addr.eq(Mux(accumulates, control.addr, read_addr)),
                    bank.w_en.eq(stored.valid & (stored.bank == b)),
                    bank.w_addr.eq(stored.addr),
                    bank.w_data.eq(total),
                ]
                banks.append(bank)
            m.d.comb += [
                old.eq(Mux(arrived.bank, banks[1].r_data, banks[0].r_data)),
                # In this order synthesis puts the choice into the adders' own look-up tables.
                added.eq(Mux(arrived.first, 0, old)),
                total.eq(Cat(low, Mux(carry, highs[1], highs[0]))),
                wide.eq(given),
                self.r_data[c].eq(found),
            ]
            m.d.sync += [
                found.eq(Mux(bank_read[c // self.group], banks[1].r_data, banks[0].r_data)),
                given.eq(self.sums[c]),
                # A sum of 32 bits is a long path: the upper half is computed for both carries.
                Cat(low, carry).eq(wide[:_LOW_BITS] + added[:_LOW_BITS]),
                highs[0].eq(wide[_LOW_BITS:] + added[_LOW_BITS:]),
                # -(~x) is x + 1.
                highs[1].eq(wide[_LOW_BITS:] - ~added[_LOW_BITS:]),
            ]
            if c == self.cols - 1:
                m.d.sync += self.filled.eq(stored.valid & stored.last)
        return m
