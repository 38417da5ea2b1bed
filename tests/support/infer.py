"""One inference on a device; shared by the tests of all back ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.device import Buffer, Device
from penstock.host.program.program import Program
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import Network

__all__ = ["check_maps", "infer", "load"]


def load(device: Device, program: Program, seed: int = 0) -> Buffer:
    """Write a program to device memory, and random bytes elsewhere."""
    buffer = device.alloc(program.arena_bytes)
    rng = np.random.default_rng(seed)
    device.write(buffer, rng.integers(0, 256, program.arena_bytes, np.uint8))
    device.write(buffer, program.image)
    return buffer


def infer(
    device: Device, program: Program, buffer: Buffer, codes: NDArray[np.uint8]
) -> dict[str, NDArray[np.uint8]]:
    """Run a program that is in `buffer`; return all maps it keeps."""
    for offset, data in program.pack_input(codes):
        device.write(buffer, data, offset)
    device.run(program, buffer)
    return {
        name: program.unpack(name, device.read(buffer, spec.offset, spec.size))
        for name, spec in program.outputs.items()
    }


def check_maps(
    maps: dict[str, NDArray[np.uint8]], network: Network, codes: NDArray[np.uint8]
) -> None:
    """Compare maps with the golden model."""
    golden = run_quantised(network, codes)
    for name, values in maps.items():
        wrong = np.argwhere(values != golden[name])
        assert not len(wrong), (
            f"{network.name}: {name} differs at {tuple(wrong[0])} and {len(wrong) - 1} more: "
            f"{values[tuple(wrong[0])]}, expected {golden[name][tuple(wrong[0])]}"
        )
