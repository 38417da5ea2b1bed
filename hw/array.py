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

from collections.abc import Callable
from typing import Any

from amaranth import Module, Signal, signed
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.pe import ProcessingElement, sum_width

__all__ = ["ArrayMaker", "SystolicArray"]

# Called with the keywords `rows` and `cols`; gives an array with the interface of `SystolicArray`.
ArrayMaker = Callable[..., Any]


def _delay(m: Module, value: Value, cycles: int, *, name: str, reset_less: bool) -> Value:
    for cycle in range(cycles):
        stage = Signal.like(value, name=f"{name}_{cycle}", reset_less=reset_less)
        m.d.sync += stage.eq(value)
        value = stage
    return value


class SystolicArray(wiring.Component):
    """`rows` x `cols` processing elements.

    Nothing in the array stalls: words that mean nothing give sums nobody stores.

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
        super().__init__(
            {
                "act": In(8).array(rows),
                "swap": In(1),
                "wgt": In(signed(8)).array(cols),
                "shift": In(1),
                "sums": Out(signed(self.width)).array(cols),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        acts = [
            _delay(m, self.act[r], r, name=f"act_{r}", reset_less=True) for r in range(self.rows)
        ]
        # The wavefront: all cells of an antidiagonal swap in the same cycle.
        swaps: list[Value] = [self.swap]
        for d in range(1, self.rows + self.cols - 1):
            swaps.append(_delay(m, swaps[-1], 1, name=f"swap_{d}", reset_less=False))
        weights = [
            _delay(m, self.wgt[c], c, name=f"wgt_{c}", reset_less=True) for c in range(self.cols)
        ]
        shifts: list[Value] = [self.shift]
        for c in range(1, self.cols):
            shifts.append(_delay(m, shifts[-1], 1, name=f"shift_{c}", reset_less=False))

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
