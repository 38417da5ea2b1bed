"""The weight stream: parameters and weights as the WEIGHTS engine reads them.

A tile is its requantisation parameters, then its weight blocks in the order in which CONV consumes
them: for each segment, plane, kernel row and kernel column, one block of ``rows`` words of ``cols``
weights, last array row first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.host.compiler.emission.tile import Tile
from penstock.host.compiler.lowering.lower import HardwareLayer
from penstock.host.compiler.lowering.segment import Segment
from penstock.models.golden.fixed import pack_params
from penstock.models.spec.arch import Arch

__all__ = ["tile_bytes"]


def _blocks(segment: Segment, tile: Tile, span: tuple[int, int], arch: Arch) -> NDArray[np.int8]:
    """Weight blocks (planes, kernel rows, kernel columns, rows, cols) of one segment."""
    out_ch, kernel_h, kernel_w, depth = segment.weight.shape
    per_group = out_ch // segment.groups
    low, high = span
    dense = np.zeros((arch.cols, kernel_h, kernel_w, (high - low) * arch.rows), np.int8)
    end = tile.first + tile.count
    for group in range(tile.first // per_group, (end - 1) // per_group + 1):
        first = max(tile.first, group * per_group)
        last = min(end, (group + 1) * per_group)
        slots = segment.slots[group * depth : (group + 1) * depth] - low * arch.rows
        dense[first - tile.first : last - tile.first, :, :, slots] = segment.weight[first:last]
    split = dense.reshape(arch.cols, kernel_h, kernel_w, high - low, arch.rows)
    return split.transpose(3, 1, 2, 4, 0)[:, :, :, ::-1]


def tile_bytes(layer: HardwareLayer, tile: Tile, arch: Arch) -> bytes:
    """Return parameters and weight blocks of one tile; columns without a channel are zero.

    Raises
    ------
    ValueError
        If a parameter does not fit its field.
    """
    assert layer.params is not None
    channels = slice(tile.first, tile.first + tile.count)
    params = [np.pad(values[channels], (0, arch.cols - tile.count)) for values in layer.params]
    parts = [pack_params(*params)]
    for segment, span in zip(layer.segments, tile.spans, strict=True):
        parts.append(_blocks(segment, tile, span, arch).tobytes())
    return b"".join(parts)
