"""Which feature maps share a scale, which are never negative, and their histograms.

Pooling keeps its input's codes and concatenation places them side by side: all maps that such
layers join have one scale and one zero point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.ops import run_float
from penstock.models.graph.graph import (
    INPUT,
    Add,
    AveragePool,
    Concat,
    Conv,
    Fc,
    GlobalAveragePool,
    Lrn,
    MaxPool,
    Network,
)
from penstock.models.quant.calibrate import Calibration, Histogram

__all__ = ["collect", "group_methods", "rectified_maps", "scale_groups"]

_PASSING = MaxPool | AveragePool | Concat


def scale_groups(network: Network) -> dict[str, str]:
    """Return the group of each feature map by layer name, `INPUT` included.

    A group has the name of its first map.
    """
    group = {INPUT: INPUT}
    for layer in network.layers:
        group[layer.name] = layer.name
        if not isinstance(layer, _PASSING):
            continue
        joined = {group[name] for name in (layer.name, *layer.inputs)}
        first = next(name for name in group if group[name] in joined)
        first = group[first]
        group = {name: first if root in joined else root for name, root in group.items()}
    return group


def rectified_maps(network: Network) -> set[str]:
    """Return the names of the maps that are never negative by their construction."""
    names: set[str] = set()
    for layer in network.layers:
        if isinstance(layer, Conv | Fc | Add):
            if layer.relu:
                names.add(layer.name)
        elif isinstance(layer, _PASSING | GlobalAveragePool | Lrn) and names.issuperset(
            layer.inputs
        ):
            names.add(layer.name)
    return names


def group_methods(network: Network, calibration: Calibration) -> dict[str, str]:
    """Return the method of each group by its name.

    Raises
    ------
    ValueError
        If a layer with a method of its own does not exist, or two of a group differ.
    """
    group = scale_groups(network)
    methods: dict[str, str] = {}
    for name, method in calibration.layers.items():
        if name not in group:
            network.layer(name)
        if methods.setdefault(group[name], method) != method:
            raise ValueError(
                f"layer {name}: shares its scale with {group[name]}, whose method is "
                f"{methods[group[name]]}, not {method}"
            )
    return {root: methods.get(root, calibration.method) for root in set(group.values())}


def collect(
    network: Network,
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    *,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Histogram]:
    """Run a float network on images and return the histogram of each group by its name.

    Raises
    ------
    ValueError
        If an activation is not finite; the message names the layer.
    """
    group = scale_groups(network)
    histograms = {root: Histogram() for root in group.values()}
    for number, image in enumerate(images, start=1):
        if progress is not None:
            progress(f"calibrating on image {number} of {len(images)}")
        maps = run_float(network, image)
        for layer in network.layers:
            if isinstance(layer, _PASSING):
                continue
            try:
                histograms[group[layer.name]].add(maps[layer.name])
            except ValueError as error:
                raise ValueError(f"layer {layer.name}: {error}") from None
    return histograms
