"""Runs a compiled program on the whole core in cocotb, on Verilator or Icarus.

This is slow but independent: buses and memory are cocotbext-axi's, not ours.  The fast way is the
library of `sim.library.build`.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penstock.hw.core.accel import Accel
from penstock.models.spec.arch import Arch
from penstock.sim.bench import runner
from penstock.sim.library.build import verilog
from penstock.sim.library.cxx import Progress

__all__ = ["Simulation", "simulate"]

# Largest arena in bytes: above this, simulation in cocotb is too slow.
LARGEST_ARENA = 16 << 20


@dataclass(frozen=True)
class Simulation:
    """Results of a simulated run.

    Parameters
    ----------
    memory : NDArray[uint8]
        The arena after the run.
    entries : list of dict
        The layer log: a snapshot of `models.spec.regs.LOG_FIELDS` for each layer.
    totals : dict
        The counters at the end.
    """

    memory: NDArray[np.uint8]
    entries: list[dict[str, int]]
    totals: dict[str, int]


def simulate(
    arch: Arch,
    arena: NDArray[np.uint8],
    *,
    desc_offset: int,
    desc_count: int,
    simulator: str = "verilator",
    waves: Path | None = None,
    seed: int = 1,
    limit: int = 1_000_000,
    progress: Progress | None = None,
) -> Simulation:
    """Run the program in `arena` to its end.

    Parameters
    ----------
    arch : Arch
        The core's; small ones only, as a cycle takes 30 to 600 microseconds.
    arena : NDArray[uint8]
        A program's image, with its input in place, shape (arena bytes,).
    desc_offset, desc_count : int
        Offset and number of the descriptors.
    simulator : str
        One of `sim.bench.runner.SIMULATORS`.
    waves : Path or None
        Where to write FST waves.
    seed : int
        Of the stalls on the buses.
    limit : int
        Cycles after which the run fails.
    progress : callable or None
        Called with a description of each step.

    Raises
    ------
    BenchError
        If the run ends in an error or not at all, or writes outside its arena.
    ToolError
        If a tool is missing or fails.
    ValueError
        If there is no such simulator or the arena is too large.
    """
    if len(arena) > LARGEST_ARENA:
        raise ValueError(f"the arena must have at most {LARGEST_ARENA} bytes, not {len(arena)}")
    if simulator not in runner.SIMULATORS:
        known = ", ".join(runner.SIMULATORS)
        raise ValueError(f"simulator must be one of {known}, not {simulator!r}")
    text = verilog(
        lambda: Accel(arch=arch),
        identity=f"Accel {arch.fingerprint:016x}",
        name=runner.TOP,
        zero_memories=runner.needs_zero_memories(simulator),
        progress=progress,
    )
    with tempfile.TemporaryDirectory(prefix="penstock-simulate-") as name:
        folder = Path(name)
        (folder / "arena").write_bytes(arena.tobytes())
        runner.run(
            text,
            "penstock.sim.bench.accel",
            simulator=simulator,
            parameters={
                "arena": str(folder / "arena"),
                "memory": str(folder / "memory"),
                "result": str(folder / "result"),
                "fingerprint": arch.fingerprint,
                "desc_offset": desc_offset,
                "desc_count": desc_count,
                "limit": limit,
            },
            seed=seed,
            waves=waves,
            progress=progress,
        )
        result = json.loads((folder / "result").read_text())
        memory = np.frombuffer((folder / "memory").read_bytes(), np.uint8)
    return Simulation(memory=memory, **result)
