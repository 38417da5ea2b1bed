"""Ideal cycles of the array for a program, from its descriptors alone."""

from __future__ import annotations

from penstock.host.program.program import Program
from penstock.host.timing.latencies import block_cycles
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import Op

__all__ = ["ideal_cycles"]


def ideal_cycles(program: Program, arch: Arch) -> dict[str, int]:
    """Return for each layer the cycles that its weight blocks take in the array.

    A block takes one cycle per position of the tile, but no fewer than shifting in the next block.
    Loading, boundaries between layers, LRN and pooling are not counted.
    """
    cycles = dict.fromkeys((layer.name for layer in program.layers), 0)
    for (op, values), (name, _) in zip(program.descriptors(), program.parts, strict=True):
        if op is Op.CONV:
            blocks = values["n_cb"] * values["n_ky"] * values["n_kx"]
            positions = (values["more_images"] + 1) * values["n_y"] * values["n_x"]
            cycles[name] += blocks * block_cycles(positions, arch)
    return cycles
