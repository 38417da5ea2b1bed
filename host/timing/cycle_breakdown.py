"""Cycle breakdown of a layer: each cycle has exactly one cause.

A layer's cycles end when its last byte is in memory; by then the array already computes the next
layer.  CONVs run in program order, so the busy cycles counted up to a moment tell which layer the
array has reached and how many useful multiply-accumulates it has done.  The remaining busy cycles
are padding: rows and columns of the array without a weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from penstock.host.program.program import Program
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["CAUSES", "LOSSES", "busy_cycles", "cycle_breakdown"]

# Causes in the order in which tables and plots show them, with their descriptions.
CAUSES = {
    "work": "multiply-accumulates of the layer",
    "ahead": "multiply-accumulates of the layers after",
    "padding": "rows and columns of the array without weights",
    "input": "waits for input",
    "weights": "waits for weights",
    "output": "waits for a free partial-sum bank",
    "idle": "nothing to compute: start, last drain and post",
}
LOSSES = tuple(name for name in CAUSES if name not in ("work", "ahead"))


def busy_cycles(program: Program) -> list[int]:
    """Return for each layer the words that its CONVs send into the array, one per cycle."""
    cycles = dict.fromkeys((layer.name for layer in program.layers), 0)
    for (op, v), (layer, _) in zip(program.descriptors(), program.parts, strict=True):
        if op is Op.CONV:
            positions = (v["more_images"] + 1) * v["n_y"] * v["n_x"]
            cycles[layer] += v["n_cb"] * v["n_ky"] * v["n_kx"] * positions
    return list(cycles.values())


def cycle_breakdown(
    program: Program, steps: Sequence[Mapping[str, int]], arch: Arch
) -> list[dict[str, int]]:
    """Return the cycle breakdown of each layer, in cycles per image.

    Parameters
    ----------
    program : Program
    steps : sequence of mappings
        Counters of each layer per image, by the names of `models.spec.regs.LOG_FIELDS`.

    Returns
    -------
    list of dict
        Cycles, by the names in `CAUSES`; their sum is the layer's `cycles`.

    Raises
    ------
    ValueError
        If there is not exactly one step per layer.
    """
    if len(steps) != len(program.layers):
        raise ValueError(f"{len(program.layers)} layers, but {len(steps)} steps")
    peak = arch.macs_per_cycle * program.batch
    ends = np.cumsum([0, *busy_cycles(program)]) / program.batch
    asked = np.cumsum([0, *(layer.macs for layer in program.layers)]) / peak
    result = []
    moment = 0
    for index, step in enumerate(steps):
        busy = step["busy"]
        # Progress of the array: words so far, and the useful part of them.
        own_end = max(min(moment + busy, ends[index + 1]), moment)
        before, own, all_ = np.interp([moment, own_end, moment + busy], ends, asked)
        work = min(round(float(own - before)), busy)
        ahead = min(round(float(all_ - own)), busy - work)
        waits = {name: step[f"stall_{name}"] for name in ("input", "weights", "output")}
        idle = step["cycles"] - busy - sum(waits.values())
        padding = busy - work - ahead
        result.append({"work": work, "ahead": ahead, "padding": padding, **waits, "idle": idle})
        moment += busy
    return result
