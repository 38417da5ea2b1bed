"""A simulated netlist against the golden model: small layers of every kind, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from host.compile import compile_network
from host.dev_rtl import RtlDevice
from host.runtime import compare_maps
from models.arch import Arch
from models.ops import run_quantised
from models.scaled import SCALED_LAYERS, scaled_layer

__all__ = ["NetlistError", "check_library"]

_MEMORY = 16 << 20


class NetlistError(RuntimeError):
    """A netlist computes something else than the golden model."""


def check_library(
    library: Path, arch: Arch, *, say: Callable[[str], None] = lambda text: None
) -> str:
    """Run AlexNet's layers, scaled down, and compare every feature map.

    Parameters
    ----------
    library : Path
        A simulation library, of a netlist or of anything else that is a core.
    arch : Arch
        What it was made for.
    say : callable
        Called with what happens now.

    Returns
    -------
    str
        What was compared, in a sentence.

    Raises
    ------
    NetlistError
        At the first difference.
    DeviceError
        If the library is not one for `arch`, or a run fails.
    """
    maps = values = cycles = 0
    with RtlDevice(arch, library=library, memory_bytes=_MEMORY) as device:
        for seed, name in enumerate(SCALED_LAYERS):
            say(f"simulating the netlist: {name} in small")
            network = scaled_layer(name)
            program = compile_network(network, arch, trace=True)
            codes = np.random.default_rng(seed).integers(0, 256, network.input.shape, np.uint8)
            buffer = device.alloc(program.arena_bytes)
            device.write(buffer, program.image)
            for offset, data in program.pack_input(codes):
                device.write(buffer, data, offset)
            log = device.run(program, buffer)
            got = {
                name: program.unpack(name, device.read(buffer, spec.offset, spec.size))
                for name, spec in program.outputs.items()
            }
            device.free(buffer)
            wrong = compare_maps(got, run_quantised(network, codes))
            if wrong:
                raise NetlistError(f"{name} in small: {wrong[0]}")
            maps += len(got)
            values += sum(array.size for array in got.values())
            cycles += log.totals["cycles"]
    return (
        f"{len(SCALED_LAYERS)} small layers, {maps} feature maps with {values} values, "
        f"{cycles} cycles: no difference from the golden model"
    )
