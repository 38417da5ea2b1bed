"""The weight-stationary systolic array, with the skew at its edges.

::

             wgt 0   wgt 1   wgt 2        one word of `cols` weights shifts the shadow chains
               |       |       |          (column c is delayed by c cycles)
    act 0 -> [PE] -> [PE] -> [PE]
               |       |       |
    act 1 -> [PE] -> [PE] -> [PE]         row r is delayed by r cycles
               |       |       |
             sum 0   sum 1   sum 2        column c comes c cycles after column 0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from amaranth import Cat, Module, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.array.pe import ProcessingElement, sum_width

__all__ = ["ArrayMaker", "SystolicArray", "array_signature"]

# Called with the keywords `rows` and `cols`; gives an array with the interface of `SystolicArray`.
ArrayMaker = Callable[..., Any]


def array_signature(*, rows: int, cols: int) -> wiring.Signature:
    """Signature of an array of any make; its members are described at `SystolicArray`."""
    return wiring.Signature(
        {
            "act": In(8).array(rows),
            "swap": In(1),
            "wgt": In(signed(8)).array(cols),
            "shift": In(1),
            "sums": Out(signed(sum_width(rows))).array(cols),
        }
    )


def _skewed(m: Module, lanes: Sequence[Value]) -> list[Value]:
    """Return `lanes`, equally wide, lane i delayed by i cycles.

    A stage holds the lanes that go on, the last one in the low bits: it is the stage before without
    its top lane.  Simulators are faster at few wide registers than at many of a byte.
    """
    result = [lanes[0]]
    width = len(lanes[0])
    rest: Value = Cat(*reversed(lanes[1:]))
    while len(rest):
        stage = Signal(len(rest), name="stage", reset_less=True)
        m.d.sync += stage.eq(rest)
        result.append(stage[-width:])
        rest = stage[:-width]
    return result


def _delayed(m: Module, bit: Value, count: int, *, name: str) -> Value:
    """Return `count` bits, bit i being `bit` as it was i cycles ago."""
    history = Signal(max(1, count - 1), name=name)
    m.d.sync += history.eq(Cat(bit, history))
    return Cat(bit, history)[:count]


class SystolicArray(wiring.Component):
    """`rows` x `cols` processing elements.

    The array never stalls: sums of invalid words are not stored.

    Parameters
    ----------
    rows, cols : int

    Members
    -------
    act : In(8) array of `rows`
        One activation word each cycle.
    swap : In(1)
        This word is the first one for the weight block in the shadow registers.
    wgt : In(signed(8)) array of `cols`
        One row of a weight block; the block's last row is shifted in first.
    shift : In(1)
        Shift the shadow chains down by one row, `wgt` going in at the top.
    sums : Out(signed(sum_width(rows))) array of `cols`
        Column c's sum of the word that came ``latency + c // group`` cycles earlier.

    Attributes
    ----------
    latency : int
        Cycles from a word to column 0's sum.
    group : int
        Columns whose sums come in the same cycle.
    swap_hold : int
        Cycles from `swap` on, its own included, in which the shadow chains must not be shifted.
    """

    group = 1

    def __init__(self, *, rows: int, cols: int) -> None:
        for name, value in (("rows", rows), ("cols", cols)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        self.rows = rows
        self.cols = cols
        self.width = sum_width(rows)
        self.latency = rows - 1 + ProcessingElement.LATENCY
        self.swap_hold = rows - 1
        super().__init__(array_signature(rows=rows, cols=cols))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        acts = _skewed(m, list(self.act))
        weights = _skewed(m, list(self.wgt))
        # The wavefront: all cells of an antidiagonal swap in the same cycle.
        swaps = _delayed(m, self.swap, self.rows + self.cols - 1, name="swaps")
        shifts = _delayed(m, self.shift, self.cols, name="shifts")

        above: list[ProcessingElement | None] = [None] * self.cols
        for r in range(self.rows):
            left: ProcessingElement | None = None
            for c in range(self.cols):
                pe = ProcessingElement(width=self.width)
                m.submodules[f"pe_{r}_{c}"] = pe
                over = above[c]
                m.d.comb += [
                    pe.i_act.eq(acts[r] if left is None else left.o_act),
                    pe.i_swap.eq(swaps[r + c]),
                    pe.i_wgt.eq(weights[c] if over is None else over.o_wgt),
                    pe.i_sum.eq(0 if over is None else over.o_sum),
                    pe.i_shift.eq(shifts[c]),
                ]
                above[c] = left = pe
        for c, bottom in enumerate(above):
            assert bottom is not None
            m.d.comb += self.sums[c].eq(bottom.o_sum)
        return m
