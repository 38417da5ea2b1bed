"""Text and table rows of the cost model: the candidates, the one chosen, and the reason."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from penstock.host.compiler.planning.cost import LayerCost, arch_of, predict
from penstock.host.compiler.planning.planner import Choice, plan_network
from penstock.host.compiler.planning.search import Candidate
from penstock.host.program.program import Program
from penstock.models.golden.ops import quantised_fc
from penstock.models.graph.graph import Network, QFc
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import grouped, percent

__all__ = [
    "CLOCK_MHZ",
    "COST_COLUMNS",
    "Placement",
    "cost_rows",
    "explain",
    "explain_placements",
    "placements",
]

COST_COLUMNS = (
    "layer",
    "cycles",
    "effic.",
    "input",
    "weights",
    "output",
    "read",
    "written",
    "act words",
    "psums",
    "out words",
)

# Default clock for times of the array, in MHz.
CLOCK_MHZ = 100.0

# Repetitions of a CPU layer; the fastest time counts, as the others were disturbed.
_REPEATS = 3


def cost_rows(program: Program) -> list[tuple[str, ...]]:
    """Return a row of `COST_COLUMNS` for each layer of a program, and one of totals.

    ``input``, ``weights`` and ``output`` are stall cycles of the array by cause; ``read`` and
    ``written`` are bytes.

    Returns
    -------
    list of tuple of str
        Empty if the program's arch is not a known one.
    """
    arch = arch_of(program)
    if arch is None:
        return []
    costs = predict(program, arch)
    rows = [_row(cost, arch) for cost in costs]
    total = LayerCost(
        name="total",
        macs=sum(cost.macs for cost in costs),
        cycles=sum(cost.cycles for cost in costs),
        busy=sum(cost.busy for cost in costs),
        stalls={name: sum(cost.stalls[name] for cost in costs) for name in costs[0].stalls},
        read_bytes=sum(cost.read_bytes for cost in costs),
        write_bytes=sum(cost.write_bytes for cost in costs),
        choice="",
        buffers=(0, 0, 0),
    )
    return [*rows, _row(total, arch)]


def _row(cost: LayerCost, arch: Arch) -> tuple[str, ...]:
    return (
        cost.name,
        grouped(cost.cycles),
        percent(cost.efficiency(arch)) if cost.macs else "",
        *(grouped(cost.stalls[name]) for name in ("input", "weights", "output")),
        grouped(cost.read_bytes),
        grouped(cost.write_bytes),
        *(grouped(words) if words else "" for words in cost.buffers),
    )


def _candidate(candidate: Candidate, arch: Arch, *, taken: bool) -> str:
    act, psum, out = candidate.plan.buffers(arch)
    sizes = f"{act}/{arch.act_words} {psum}/{arch.psum_words} {out}/{arch.out_words}"
    mark = "*" if taken else " "
    cost = candidate.cost
    if cost is None:
        numbers = f"{'about':>6}{grouped(candidate.estimate):>12}{'':>22}"
    else:
        numbers = f"{grouped(cost.cycles):>18}{grouped(cost.tail):>9}{grouped(cost.bytes):>13}"
    return f"  {mark} {candidate.plan!s:<58} {numbers}   {sizes}"


def _why(choice: Choice) -> str:
    """The reason for the choice."""
    best = choice.candidates[0]
    others = [c for c in choice.candidates[1:] if c.cost is not None]
    if not choice.candidates[1:]:
        return "nothing else fits"
    if best.cost is None or not others:
        return "the others cannot save cycles, and move as many bytes or more"
    fewest = min(candidate.cycles for candidate in (best, *others))
    if best.cycles == fewest:
        return "the fewest cycles"
    share = best.cycles / fewest - 1
    return f"the fewest bytes of those close to the fewest cycles ({percent(share, 2)} more)"


def explain(choices: list[Choice], arch: Arch) -> str:
    """Return for each layer the candidates with their costs, and why one was chosen.

    `cycles` are the array's, from the first weight block to the last; `tail` is POST's time after
    that, most of which overlaps the next layer's first tiles.  Clearly worse candidates have only
    an estimate (``about``).
    """
    lines = []
    for choice in choices:
        plan = choice.plan
        lines.append(f"{plan.layer.name}: {' + '.join(plan.layer.covers)}")
        if choice.refused:
            lines.append(f"    not in one layer with what follows: {choice.refused}")
        head = f"{'cycles':>18}{'tail':>9}{'bytes':>13}"
        lines.append(f"    {'':<58} {head}   act psum out words")
        lines += [
            _candidate(candidate, arch, taken=index == 0)
            for index, candidate in enumerate(choice.candidates)
        ]
        lines.append(f"    taken: {_why(choice)}")
        if choice.apart is not None:
            lines.append(
                f"    its parts as layers of their own: {grouped(choice.apart.cycles)} "
                f"cycles, {grouped(choice.apart.bytes)} bytes"
            )
        elif choice.apart_estimate is not None:
            lines.append(
                f"    its parts as layers of their own: about {choice.apart_estimate:.0f} cycles"
            )
        lines.append("")
    return "\n".join(lines)


@dataclass(frozen=True)
class Placement:
    """The cost of a fully connected layer on the array and on the CPU, for a whole batch.

    Parameters
    ----------
    layer : str
    cycles : int or None
        On the array, on its own; None if it cannot run there: the last layer, whose logits are not
        requantised, and layers after one that only the CPU runs.
    bytes : int
        Moved by the array.
    array_seconds, cpu_seconds : float
        At the clock given; measured on the machine this runs on.
    """

    layer: str
    cycles: int | None
    bytes: int
    array_seconds: float
    cpu_seconds: float


def placements(
    network: Network, arch: Arch, *, batch: int, mhz: float = CLOCK_MHZ
) -> list[Placement]:
    """Return the cost of each fully connected layer on the array and on the CPU.

    Parameters
    ----------
    network : Network
        Quantised.
    batch : int
        Images of one run.
    mhz : float
        Clock of the array.

    Returns
    -------
    list of Placement
        In network order.

    Raises
    ------
    ValueError
        If the clock is not positive.
    CompileError
        If the network does not fit the arch.
    """
    if not mhz > 0:
        raise ValueError(f"mhz must be positive, not {mhz!r}")
    if not any(isinstance(layer, QFc) for layer in network.layers):
        return []
    choices = plan_network(network, arch, batch=batch, fc=True)
    costs = {choice.plan.layer.name: choice.candidates[0].cost for choice in choices}
    result = []
    for layer in network.layers:
        if not isinstance(layer, QFc):
            continue
        cost = costs.get(layer.name)
        cycles = round(cost.cycles + cost.tail) if cost else None
        result.append(
            Placement(
                layer.name,
                cycles,
                round(cost.bytes) if cost else 0,
                (cycles or 0) / (mhz * 1e6),
                _cpu_seconds(layer, batch),
            )
        )
    return result


def _cpu_seconds(layer: QFc, batch: int) -> float:
    """Seconds that this machine's CPU takes for a layer."""
    codes = np.zeros((batch, layer.weight.shape[1]), np.uint8)
    seconds = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        quantised_fc(layer, codes)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def explain_placements(places: list[Placement], batch: int, mhz: float = CLOCK_MHZ) -> str:
    """Return a table of `placements` for a batch of so many images and a clock."""
    images = "an image" if batch == 1 else f"{batch} images"
    lines = [
        f"fully connected layers, {images}: on the array at {mhz:g} MHz (--fc fpga), or on this",
        "machine's CPU (--fc cpu), which works while the array is at the next images",
        f"    {'':<12}{'cycles':>12}{'bytes':>14}{'array':>12}{'CPU':>12}",
    ]
    for place in places:
        cpu = f"{place.cpu_seconds * 1e3:.2f} ms"
        if place.cycles is None:
            lines.append(f"    {place.layer:<12}{'only on the CPU':>38}{cpu:>12}")
            continue
        array = f"{place.array_seconds * 1e3:.2f} ms"
        lines.append(
            f"    {place.layer:<12}{grouped(place.cycles):>12}{grouped(place.bytes):>14}"
            f"{array:>12}{cpu:>12}"
        )
    return "\n".join([*lines, ""])
