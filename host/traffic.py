"""The least a network's layers can move: what every schedule is measured against."""

from __future__ import annotations

from host.program import Program
from models.graph import Network, QConv, QFc, infer_shapes

__all__ = ["least_bytes"]


def least_bytes(network: Network, program: Program) -> dict[str, int]:
    """Return the bytes each hardware layer moves at least for one image.

    Its weights once, its input once, its output once, a byte for each value, no padding, nothing
    kept on the chip from one layer to the next.

    Parameters
    ----------
    network : Network
        Quantised.
    program : Program
        Compiled from it.

    Returns
    -------
    dict
        Bytes by the names of the hardware layers.
    """
    shapes = infer_shapes(network)
    layers = {layer.name: layer for layer in network.layers}
    found = {}
    for info in program.layers:
        covered = [layers[name] for name in info.covers]
        weights = sum(layer.weight.size for layer in covered if isinstance(layer, QConv | QFc))
        maps = 0
        for name in (covered[0].inputs[0], covered[-1].name):
            size = 1
            for extent in shapes[name]:
                size *= extent
            maps += size
        found[info.name] = weights + maps
    return found
