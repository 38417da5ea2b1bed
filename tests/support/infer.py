"""One inference on a device; shared by the tests of all back ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.device import Buffer, Device
from penstock.host.program.program import Program
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import Network

__all__ = ["check_maps", "infer", "infer_batch", "load", "write_images"]

Maps = dict[str, NDArray[np.uint8]]


def load(device: Device, program: Program, seed: int = 0) -> Buffer:
    """Write a program to device memory, and random bytes elsewhere."""
    buffer = device.alloc(program.arena_bytes)
    rng = np.random.default_rng(seed)
    device.write(buffer, rng.integers(0, 256, program.arena_bytes, np.uint8))
    device.write(buffer, program.image)
    return buffer


def write_images(
    device: Device, program: Program, buffer: Buffer, images: Sequence[NDArray[np.uint8]]
) -> None:
    """Put the first images of a batch where the program in `buffer` reads them."""
    for index, codes in enumerate(images):
        for offset, data in program.pack_input(codes, index):
            device.write(buffer, data, offset)


def infer_batch(
    device: Device, program: Program, buffer: Buffer, images: Sequence[NDArray[np.uint8]]
) -> list[Maps]:
    """Run a program that is in `buffer` on a batch; return all maps it keeps of each image."""
    write_images(device, program, buffer, images)
    log = device.run(program, buffer)
    assert len(log.entries) == len(program.layers)
    found: list[Maps] = [{} for _ in images]
    for name, spec in program.outputs.items():
        data = device.read(buffer, spec.offset, spec.size)
        for index, maps in enumerate(found):
            maps[name] = program.unpack(name, data, index)
    return found


def infer(device: Device, program: Program, buffer: Buffer, codes: NDArray[np.uint8]) -> Maps:
    """Run a program that is in `buffer` on one image; return all maps it keeps."""
    (maps,) = infer_batch(device, program, buffer, [codes])
    return maps


def check_maps(maps: Maps, network: Network, codes: NDArray[np.uint8]) -> None:
    """Compare maps with the golden model."""
    golden = run_quantised(network, codes)
    for name, values in maps.items():
        wrong = np.argwhere(values != golden[name])
        assert not len(wrong), (
            f"{network.name}: {name} differs at {tuple(wrong[0])} and {len(wrong) - 1} more: "
            f"{values[tuple(wrong[0])]}, expected {golden[name][tuple(wrong[0])]}"
        )
