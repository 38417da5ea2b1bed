"""The layers that stay on the CPU: global average pooling and fully connected ones, in exact
integer arithmetic.

The weights stay int8 in memory; `models.golden.ops.exact_matmul` widens a few rows at a time to
float32 and sums at most 514 products before it converts to integers, so BLAS does the work and
every sum is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.ops import global_average, quantised_fc, scores
from penstock.models.graph.graph import Network, QFc, QGlobalAveragePool, infer_shapes

__all__ = ["CpuLayers", "top_classes"]

Codes = NDArray[np.uint8]

# Imported int8 weights may be -128; the bound includes the bias.
_LARGEST_PRODUCT = 255 * 128


class CpuLayers:
    """The layers of a network after those of the accelerator.

    Parameters
    ----------
    network : Network
        Quantised.
    first : str or None
        The first layer to run here; it and all after it must be a chain of `QFc`, optionally after
        one `QGlobalAveragePool`.  None: the network has no such layers.

    Attributes
    ----------
    layers : tuple of QFc and QGlobalAveragePool
    in_shape : (int, int, int)
        Height, width, channels of the first layer's input.

    Raises
    ------
    ValueError
        If there is another kind of layer, or one whose sums may overflow 32 bits.
    """

    def __init__(self, network: Network, first: str | None) -> None:
        names = [layer.name for layer in network.layers]
        start = len(names) if first is None else names.index(first)
        shapes = infer_shapes(network)
        chain: list[QFc | QGlobalAveragePool] = []
        previous = names[start - 1] if start else "input"
        self.in_shape = shapes[previous]
        for index, layer in enumerate(network.layers[start:], start):
            if not isinstance(layer, QFc | QGlobalAveragePool) or layer.inputs != (previous,):
                raise ValueError(
                    f"layer {layer.name}: the CPU runs chains of average pooling and fully "
                    f"connected layers, not {type(layer).__name__} of {', '.join(layer.inputs)}"
                )
            chain.append(layer)
            previous = layer.name
            if isinstance(layer, QGlobalAveragePool):
                continue
            largest = layer.weight.shape[1] * _LARGEST_PRODUCT + int(
                np.abs(layer.bias.astype(np.int64)).max()
            )
            if largest >= 1 << 31:
                raise ValueError(f"layer {layer.name}: its sums may not fit 32 bits")
            if not layer.relu and index != len(names) - 1:
                raise ValueError(f"layer {layer.name}: only the last layer may go without ReLU")
        self.layers: tuple[QFc | QGlobalAveragePool, ...] = tuple(chain)

    def run(self, maps: Codes) -> list[NDArray[Any]]:
        """Return the output of each layer for a batch.

        Parameters
        ----------
        maps : uint8 array (batch, height, width, channels)

        Returns
        -------
        list of arrays (batch, out)
            uint8 codes; int32 logits for a last layer without ReLU.

        Raises
        ------
        ValueError
            If shape or dtype of `maps` are not those of the first layer's input.
        """
        if maps.dtype != np.uint8 or maps.shape[1:] != self.in_shape:
            raise ValueError(
                f"the CPU layers take uint8 maps {self.in_shape}, not {maps.dtype} {maps.shape[1:]}"
            )
        values: NDArray[Any] = maps
        outputs = []
        for layer in self.layers:
            if isinstance(layer, QGlobalAveragePool):
                out = global_average(layer, values)
            else:
                # Channel-major, as Caffe flattens.
                out = quantised_fc(layer, values.transpose(0, 3, 1, 2).reshape(len(maps), -1))
            outputs.append(out)
            values = out[:, None, None]
        return outputs

    def scores(self, last: NDArray[Any]) -> NDArray[np.float64]:
        """Return class probabilities (batch, out) from the last layer's output (batch, out).

        Raises
        ------
        ValueError
            If the network has no layers here.
        """
        if not self.layers:
            raise ValueError("the network has no fully connected or average pooling layers")
        return scores(self.layers[-1], last)


def top_classes(probabilities: NDArray[np.float64], count: int) -> list[int]:
    """Return the indices of the `count` largest values, largest first, ties by index."""
    return [int(i) for i in np.argsort(-probabilities, kind="stable")[:count]]
