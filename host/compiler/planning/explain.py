"""Text and table rows of the cost model: the candidates, the one chosen, and the reason."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penstock.host.compiler.planning.planner import Choice, plan_network
from penstock.host.compiler.planning.search import Candidate
from penstock.models.golden.ops import quantised_fc
from penstock.models.graph.graph import Network, QFc
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import grouped, percent

__all__ = [
    "CLOCK_MHZ",
    "Explanation",
    "PLACEMENT_COLUMNS",
    "Placement",
    "explain",
    "explain_placements",
    "placement_rows",
    "placements",
]

# Default clock for times of the array, in MHz.
CLOCK_MHZ = 100.0

# Repetitions of a CPU layer; the fastest time counts, as the others were disturbed.
_REPEATS = 3


@dataclass(frozen=True)
class Explanation:
    """Why a layer is done as it is.

    Parameters
    ----------
    layer : str
        Its name, and what it covers.
    columns : tuple of str
        Headings: a star at what was taken, how, cycles, tail, bytes, and the words of the three
        buffers.  `cycles` are the array's, from the first weight block to the last; `tail` is
        POST's time after that, most of which overlaps the next layer's first tiles.
    rows : tuple of tuples of str
        The candidates.  Clearly worse ones have only an estimate (``about``).
    notes : tuple of str
        Sentences.
    """

    layer: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def _candidate(candidate: Candidate, arch: Arch, *, taken: bool) -> tuple[str, ...]:
    sizes = [grouped(words) for words in candidate.plan.buffers(arch)]
    cost = candidate.cost
    if cost is None:
        numbers = (f"about {grouped(candidate.estimate)}", "", "")
    else:
        numbers = (grouped(cost.cycles), grouped(cost.tail), grouped(cost.bytes))
    return ("*" if taken else "", str(candidate.plan), *numbers, *sizes)


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


def explain(choices: Sequence[Choice], arch: Arch) -> list[Explanation]:
    """Return for each layer the candidates with their costs, and why one was chosen."""
    columns = (
        *("", "how", "cycles", "tail", "bytes"),
        *(f"act words of {arch.act_words}", f"psums of {arch.psum_words}"),
        f"out words of {arch.out_words}",
    )
    found = []
    for choice in choices:
        plan = choice.plan
        notes = [f"taken: {_why(choice)}"]
        if choice.refused:
            notes.insert(0, f"not in one layer with what follows: {choice.refused}")
        if choice.apart is not None:
            notes.append(
                f"its parts as layers of their own: {grouped(choice.apart.cycles)} cycles, "
                f"{grouped(choice.apart.bytes)} bytes"
            )
        elif choice.apart_estimate is not None:
            estimate = grouped(choice.apart_estimate)
            notes.append(f"its parts as layers of their own: about {estimate} cycles")
        rows = tuple(
            _candidate(candidate, arch, taken=index == 0)
            for index, candidate in enumerate(choice.candidates)
        )
        title = f"{plan.layer.name}: {' + '.join(plan.layer.covers)}"
        found.append(Explanation(title, columns, rows, tuple(notes)))
    return found


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


PLACEMENT_COLUMNS = ("layer", "cycles", "bytes", "array", "CPU")


def placement_rows(places: Sequence[Placement]) -> list[tuple[str, ...]]:
    """Return a row of `PLACEMENT_COLUMNS` for each placement; the last layers have no array."""
    rows: list[tuple[str, ...]] = []
    for place in places:
        cpu = f"{place.cpu_seconds * 1e3:.2f} ms"
        if place.cycles is None:
            rows.append((place.layer, "", "", "only on the CPU", cpu))
            continue
        array = f"{place.array_seconds * 1e3:.2f} ms"
        rows.append((place.layer, grouped(place.cycles), grouped(place.bytes), array, cpu))
    return rows


def explain_placements(batch: int, mhz: float = CLOCK_MHZ) -> str:
    """Return the sentence above a table of `placement_rows`, for a batch and a clock."""
    images = "an image" if batch == 1 else f"{batch} images"
    return (
        f"fully connected layers, {images}: on the array at {mhz:g} MHz (--fc fpga), or on this "
        "machine's CPU (--fc cpu), which works while the array is at the next images"
    )
