"""The benchmark: networks on the simulated accelerator, compared with SCALE-Sim, the ideal and
others.

One run measures everything on the same shapes and returns plain data; `host.report.benchmark_page`
formats it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import DeviceError
from penstock.host.inputs.catalog import load_network, sample_input
from penstock.host.report.published import PUBLISHED
from penstock.host.report.scalesim import VERSION, ScaleSim, shapes
from penstock.host.runtime.session import Session
from penstock.host.timing.cycle_breakdown import cycle_breakdown
from penstock.host.timing.estimate import ideal_cycles
from penstock.host.timing.latencies import BEAT, MEMORY
from penstock.models.graph.graph import Network
from penstock.models.spec.arch import Arch, get_arch

__all__ = ["ARCHES", "COMPARED", "MODELS", "measure"]

# Networks to measure, by the names of `host.inputs.catalog`.
MODELS = ("alexnet",)

# Arrays to measure them on; the first one is also modelled by SCALE-Sim.
ARCHES = ("lab", "8x8", "12x32")
COMPARED = ARCHES[0]

Say = Callable[[str], None]


def _run(network: Network, arch: Arch, say: Say) -> dict[str, Any]:
    """Measure a network on the simulated accelerator."""
    where = f"{network.name} on {arch.rows}x{arch.cols}"
    say(f"{where}: compiling")
    begin = time.perf_counter()
    program = compile_network(network, arch)
    compiled = time.perf_counter() - begin
    ideal = ideal_cycles(program, arch)
    _, codes = sample_input(network)
    with (
        open_device("rtl", arch, progress=lambda text: say(f"{where}: {text}")) as device,
        Session(network, program, device, top=1, check=True) as session,
    ):
        say(f"{where}: running")
        (result,) = session.run([codes])
    if result.mismatches:
        raise DeviceError(f"{where}: {result.mismatches[0]}")
    log = result.log
    layers = []
    steps = log.steps()
    for info, step, parts in zip(program.layers, steps, cycle_breakdown(program, steps, arch)):
        layers.append(
            {
                "name": info.name,
                "covers": list(info.covers),
                "macs": info.macs,
                "cycles": step["cycles"],
                "efficiency": info.macs / (step["cycles"] * arch.macs_per_cycle),
                "ideal_cycles": ideal[info.name],
                "causes": parts,
                "bytes": (step["read_beats"] + step["write_beats"]) * BEAT,
                "least_bytes": info.least_bytes,
            }
        )
    macs = sum(info.macs for info in program.layers)
    cycles = log.totals["cycles"]
    return {
        "model": network.name,
        "arch": arch.name,
        "rows": arch.rows,
        "cols": arch.cols,
        "layers": layers,
        "totals": {
            "macs": macs,
            "cycles": cycles,
            "efficiency": macs / (cycles * arch.macs_per_cycle),
            "ideal_cycles": sum(ideal.values()),
            "bytes": (log.totals["read_beats"] + log.totals["write_beats"]) * BEAT,
            "least_bytes": sum(info.least_bytes for info in program.layers),
        },
        "seconds": {"compile": compiled, "simulation": log.seconds},
    }


def _compare(network: Network, run: dict[str, Any], scale: ScaleSim, arch: Arch) -> dict[str, Any]:
    """SCALE-Sim's cycles of the layers of a run."""
    known = shapes(network)
    cycles = scale.cycles([shape for shape, _ in known.values()], arch)
    layers = []
    for layer in run["layers"]:
        took = sum(cycles[known[n][0]] * known[n][1] for n in layer["covers"] if n in known)
        if took:
            share = layer["macs"] / (took * arch.macs_per_cycle)
            layers.append({"name": layer["name"], "cycles": took, "efficiency": share})
    total = sum(layer["cycles"] for layer in layers)
    share = run["totals"]["macs"] / (total * arch.macs_per_cycle)
    totals = {"cycles": total, "efficiency": share}
    return {"model": network.name, "arch": arch.name, "layers": layers, "totals": totals}


def measure(models: Sequence[str], scale: ScaleSim | None, say: Say) -> dict[str, Any]:
    """Run the benchmark.

    Parameters
    ----------
    models : sequence of str
        By the names of `host.inputs.catalog`.
    scale : ScaleSim or None
        None: leave it out.
    say : callable
        Called with a description of each step.

    Returns
    -------
    dict
        Plain data, ready for JSON.

    Raises
    ------
    DeviceError
        If the simulation fails or gives another answer than the golden model.
    ScaleSimError
        If SCALE-Sim fails.
    ValueError
        If there is no such model.
    """
    runs, compared = [], []
    for model in models:
        say(f"{model}: reading the network")
        network = load_network(model)
        for name in ARCHES:
            arch = get_arch(name)
            run = _run(network, arch, say)
            runs.append(run)
            if scale is not None and name == COMPARED:
                compared.append(_compare(network, run, scale, arch))
    return {
        "memory": {"bytes_per_cycle": BEAT, **asdict(MEMORY)},
        "runs": runs,
        "scalesim": None if scale is None else {"version": VERSION, "runs": compared},
        "published": [asdict(row) for row in PUBLISHED],
    }
