"""Some layers of a network as a network of their own, with their weights."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from penstock.models.graph.graph import INPUT, InputSpec, Network, infer_shapes

__all__ = ["cut_out"]


def cut_out(network: Network, names: Collection[str]) -> tuple[Network, str]:
    """Return the layers `names` as a network, and the name of the map that is their input.

    Parameters
    ----------
    network : Network
        Quantised.
    names : collection of str
        Layers that together read one map from outside.

    Returns
    -------
    (Network, str)
        Its input is that map, codes as they are; `INPUT`: the network's own.

    Raises
    ------
    ValueError
        If there is no such layer, or they read several maps.
    """
    layers = [layer for layer in network.layers if layer.name in names]
    missing = sorted(set(names) - {layer.name for layer in layers})
    if missing:
        raise ValueError(f"{network.name} has no layer {', '.join(missing)}")
    inside = {layer.name for layer in layers}
    outside = dict.fromkeys(name for layer in layers for name in layer.inputs if name not in inside)
    if len(outside) != 1:
        raise ValueError(
            f"{', '.join(inside)} reads {len(outside)} maps ({', '.join(outside)}): "
            "only layers with one input can stand alone"
        )
    (source,) = outside
    spec = network.input
    if source != INPUT:
        shape = infer_shapes(network)[source]
        if len(shape) != 3:
            raise ValueError(f"{source} is no map of height, width and channels")
        height, width, channels = shape
        spec = InputSpec(
            shape=(height, width, channels),
            resize=min(height, width),
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
            scale=network.scales.get(source, 1.0),
            zero=network.zeros.get(source, 0),
        )
    moved = tuple(
        replace(layer, inputs=tuple(INPUT if name == source else name for name in layer.inputs))
        for layer in layers
    )
    alone = replace(
        network,
        name=f"{layers[0].name} of {network.name}",
        input=spec,
        layers=moved,
        labels=(),
        scales={name: value for name, value in network.scales.items() if name in inside},
        zeros={name: value for name, value in network.zeros.items() if name in inside},
    )
    return alone, source
