"""Partial sums: two banks for each column, one accumulates while the other drains."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from penstock.hw.array.pe import sum_width
from penstock.hw.lib.buffer import READ_LATENCY
from penstock.hw.lib.delay import staged
from penstock.hw.lib.memory_ports import read_port
from penstock.hw.lib.timing_policy import TimingPolicy, policy_of

__all__ = ["PartialSums", "accumulate_layout", "psum_port"]


_LOW_BITS = 16


def accumulate_layout(words: int) -> data.StructLayout:
    """Control of each activation word: the partial sum that it belongs to.

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


def psum_port(*, cols: int, words: int) -> wiring.Signature:
    """Signature of the read port: a position in a bank, the sums of all columns."""
    address = data.StructLayout({"word": range(words), "bank": 1})
    return read_port(addr=address, data=signed(32), values=cols)


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
    r : Out(psum_port(cols=cols, words=words))
        Drain: read all columns at an address.  The data comes `READ_LATENCY` cycles later and is
        held until the next read completes.  The banks lie all over the chip: there is a register
        on the way to them.
    """

    # A register takes the sums in, as the array's last row may be far away.
    SUM_DELAY = READ_LATENCY - 1
    RMW_LATENCY = READ_LATENCY + 2
    READ_LATENCY = READ_LATENCY + 1

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
                "r": Out(psum_port(cols=cols, words=words)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = policy_of(platform)
        read, read_bank, read_addr = Signal(), Signal(), Signal(range(self.words))
        m.d.sync += [
            read.eq(self.r.en),
            read_bank.eq(self.r.addr.bank),
            read_addr.eq(self.r.addr.word),
        ]
        # One chain for all columns: what reaches a group of them goes to the next a cycle later.
        steps = [self.i]
        for i in range(1, (self.cols - 1) // self.group + READ_LATENCY + 2):
            steps.append(staged(m, steps[-1], name=f"control_{i}"))
        for c in range(self.cols):
            control, stored = (steps[c // self.group + delay] for delay in (0, READ_LATENCY + 1))

            def own(name: str, value: Value, c: int = c) -> Signal:
                # Each column has a duplicate, as they lie all over the chip.
                register = timing.duplicate(name=f"{name}_{c}", reset_less=True)
                m.d.sync += register.eq(value)
                return register

            outputs, adds = [], []
            total = Signal(signed(32), name=f"total_{c}")
            for b in range(2):
                memory = Memory(shape=signed(32), depth=self.words, init=[])
                m.submodules[f"bank_{c}_{b}"] = memory
                into, out = memory.write_port(), memory.read_port()
                accumulates = Signal(name=f"accumulates_{c}_{b}")
                m.d.comb += [
                    accumulates.eq(control.valid & (control.bank == b)),
                    out.en.eq(accumulates | (read & (read_bank == b))),
                    out.addr.eq(Mux(accumulates, control.addr, read_addr)),
                    into.en.eq(stored.valid & (stored.bank == b)),
                    into.addr.eq(stored.addr),
                    into.data.eq(total),
                ]
                outputs.append(out.data)
                adds.append(own(f"adds_{b}", (control.bank == b) & ~control.first))
            # The memories' output registers: one where they accumulate, 0 if there is nothing to
            # add; and one where they drain.
            old = Signal(32, name=f"old_{c}", reset_less=True)
            m.d.sync += old.eq(Mux(adds[0], outputs[0], 0) | Mux(adds[1], outputs[1], 0))
            found = Signal(signed(32), name=f"found_{c}", reset_less=True)
            bank = own("read_bank", read_bank)
            with m.If(own("asked", read)):
                m.d.sync += found.eq(Mux(bank, outputs[1], outputs[0]))
            m.d.comb += self.r.data[c].eq(found)
            self._add(m, c, self.sums[c], old, total, timing)
            if c == self.cols - 1:
                m.d.sync += self.filled.eq(stored.valid & stored.last)
        return m

    def _add(
        self, m: Module, c: int, given: Value, old: Value, total: Signal, timing: TimingPolicy
    ) -> None:
        """Make `total` the sum of what was `given` two cycles ago and `old` in the cycle before.

        A sum of 32 bits is a long path: the upper half is computed for both carries.
        """
        if not timing.split_sums:
            term = Signal(given.shape(), name=f"given_{c}", reset_less=True)
            result = Signal(signed(32), name=f"sum_{c}", reset_less=True)
            m.d.sync += [term.eq(given), result.eq(term + old)]
            m.d.comb += total.eq(result)
            return
        upper = given >> _LOW_BITS
        # Look-up tables are shared where two adders differ in nothing but their carry, and those of
        # a carry chain are better its own: hence the copy.
        terms = []
        for name, value in (("low", given[:_LOW_BITS]), ("high_0", upper), ("high_1", upper)):
            term = timing.duplicate(value.shape(), name=f"given_{name}_{c}", reset_less=True)
            m.d.sync += term.eq(value)
            terms.append(term)
        low = Signal(_LOW_BITS, name=f"low_{c}", reset_less=True)
        carry = Signal(name=f"carry_{c}", reset_less=True)
        highs = [Signal(32 - _LOW_BITS, name=f"high_{k}_{c}", reset_less=True) for k in range(2)]
        m.d.sync += [
            Cat(low, carry).eq(terms[0] + old[:_LOW_BITS]),
            highs[0].eq(terms[1] + old[_LOW_BITS:]),
            # -(~x) is x + 1.
            highs[1].eq(terms[2] - ~old[_LOW_BITS:]),
        ]
        m.d.comb += total.eq(Cat(low, Mux(carry, highs[1], highs[0])))
