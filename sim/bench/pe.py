"""cocotb: the processing element cycle by cycle, with many changes of its weight.

``bench.run(ProcessingElement(width=20), "penstock.sim.bench.pe", parameters={"width": 20, "count":
2000})``
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from penstock.hw.array.pe import ProcessingElement
from penstock.sim.bench.runner import parameters

__all__ = ["corner_products", "random_control"]

_ACTIVATIONS = (0, 1, 2, 3, 63, 64, 127, 128, 129, 254, 255)
_WEIGHTS = (-128, -127, -1, 0, 1, 127)


@dataclass(frozen=True)
class _Cycle:
    """The inputs of one cycle; `total` is the sum from above for this cycle's activation."""

    act: int
    swap: int = 0
    wgt: int = 0
    shift: int = 0
    total: int = 0


async def check(dut: Any, cycles: Iterable[_Cycle], width: int) -> None:
    """Drive `cycles` and compare every output with its documented value."""
    ports = (dut.i_act, dut.i_swap, dut.i_wgt, dut.i_shift, dut.i_sum)
    for port in ports:
        port.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    # Model of the cell's registers; sums by the cycle in which they are due.
    shadow = weight = act = None
    due: dict[int, int] = {}
    late = ProcessingElement.LATENCY - 1
    # Sums to be added to an activation's product, which is `late` cycles after the activation.
    totals = [0] * late
    for now, cycle in enumerate(cycles):
        totals.append(cycle.total)
        values = (cycle.act, cycle.swap, cycle.wgt, cycle.shift, totals[now])
        for port, value in zip(ports, values, strict=True):
            port.value = value
        await RisingEdge(dut.clk)
        # Sampled before the edge takes effect: outputs are those of the previous cycles.
        if act is not None:
            assert int(dut.o_act.value) == act, f"cycle {now}: o_act is {dut.o_act.value}"
        if shadow is not None:
            got = dut.o_wgt.value.to_signed()
            assert got == shadow, f"cycle {now}: o_wgt is {got}, not {shadow}"
        if now in due:
            got = dut.o_sum.value.to_signed()
            assert got == due[now], f"cycle {now}: o_sum is {got}, not {due[now]}"
        if cycle.swap:
            weight = shadow
        if cycle.shift:
            shadow = cycle.wgt
        act = cycle.act
        if weight is not None:
            due[now + ProcessingElement.LATENCY] = cycle.total + cycle.act * weight
            assert -(1 << width - 1) <= cycle.total + cycle.act * weight < 1 << width - 1


def _totals(width: int) -> Iterator[int]:
    """Sums from above, including extremes to which one product can still be added."""
    room = (1 << width - 1) - 255 * 128 - 1
    while True:
        yield random.choice((0, room, -room, random.randint(-room, room)))


@cocotb.test()
async def corner_products(dut: Any) -> None:
    """All weights with corner activations, all activations with corner weights."""
    width = parameters()["width"]
    totals = _totals(width)
    work: list[tuple[int, tuple[int, ...]]]
    work = [(weight, _ACTIVATIONS) for weight in range(-128, 128)]
    work += [(weight, tuple(range(256))) for weight in _WEIGHTS]
    random.shuffle(work)
    cycles = [_Cycle(act=0, wgt=work[0][0], shift=1)]
    following = [weight for weight, _ in work[1:]] + [0]
    for (_, activations), after in zip(work, following, strict=True):
        # The next weight is shifted into the shadow register while this one is in use.
        place = random.randrange(len(activations))
        for index, act in enumerate(activations):
            shift = index == place
            wgt = after if shift else random.randint(-128, 127)
            cycles.append(
                _Cycle(act=act, swap=index == 0, wgt=wgt, shift=shift, total=next(totals))
            )
    cycles += [_Cycle(act=0)] * ProcessingElement.LATENCY
    await check(dut, cycles, width)


@cocotb.test()
async def random_control(dut: Any) -> None:
    """Shifts and swaps in any order, also both in one cycle."""
    width = parameters()["width"]
    totals = _totals(width)

    def cycle() -> _Cycle:
        return _Cycle(
            act=random.choice((random.randrange(256), 255)),
            swap=random.random() < 0.4,
            wgt=random.randint(-128, 127),
            shift=random.random() < 0.4,
            total=next(totals),
        )

    await check(dut, [cycle() for _ in range(parameters()["count"])], width)
