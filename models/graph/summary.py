"""A network as a table: kind, geometry, output and multiply-accumulates of each layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.models.graph.graph import Network, infer_shapes, macs
from penstock.models.spec.number_format import human
from penstock.models.spec.plain_table import PlainTable

__all__ = ["geometry_text", "network_table", "weight_count"]


def geometry_text(layer: Any) -> str:
    """Return kernel, stride, padding and groups as short text; empty if there is no window."""
    geometry = getattr(layer, "geometry", None)
    if geometry is None:
        return ""
    kernel, stride, pad = geometry.kernel, geometry.stride, geometry.pad
    words = [f"{kernel[0]}x{kernel[1]}", f"stride {stride[0]}"]
    if stride[0] != stride[1]:
        words[-1] += f"x{stride[1]}"
    if any(pad):
        words.append(f"pad {pad[0]}" if len(set(pad)) == 1 else f"pad {','.join(map(str, pad))}")
    if geometry.groups > 1:
        words.append(f"{geometry.groups} groups")
    return ", ".join(words)


def weight_count(network: Network) -> int:
    """Return the number of weights of all convolutions and fully connected layers."""
    arrays = [getattr(layer, "weight", None) for layer in network.layers]
    return sum(array.size for array in arrays if isinstance(array, np.ndarray))


def network_table(network: Network) -> PlainTable:
    """Return a row for each layer, in order of execution.

    Raises
    ------
    ValueError
        If a layer does not fit its input.
    """
    shapes, counts = infer_shapes(network), macs(network)
    rows = [
        [
            layer.name,
            type(layer).__name__,
            geometry_text(layer),
            "x".join(map(str, shapes[layer.name])),
            human(counts[layer.name]) if layer.name in counts else "",
        ]
        for layer in network.layers
    ]
    return PlainTable(
        ("layer", "kind", "geometry", "output", "MACs"), rows, words=("kind", "geometry")
    )
