"""Extracts one layer of a network with its weights and its real input."""

from __future__ import annotations

from penstock.host.apps.layer_check import LayerCase
from penstock.host.compiler.compile import compile_network
from penstock.host.inputs.catalog import sample_input
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.cut import cut_out
from penstock.models.graph.graph import INPUT, Network
from penstock.models.spec.arch import Arch

__all__ = ["single_layer"]


def single_layer(network: Network, name: str, arch: Arch) -> LayerCase:
    """Return the hardware layer that computes the layer `name`, with the input from a photograph.

    Raises
    ------
    ValueError
        If there is no such layer on the accelerator, or it reads several maps.
    CompileError
        If the network does not fit the arch.
    """
    whole = compile_network(network, arch)
    found = [layer.covers for layer in whole.layers if name in layer.covers]
    if not found:
        known = ", ".join(layer for info in whole.layers for layer in info.covers)
        raise ValueError(f"layer must be one of {known} (those on the accelerator), not {name!r}")
    alone, source = cut_out(network, found[0])
    _, image = sample_input(network)
    codes = image if source == INPUT else run_quantised(network, image, stop=source)[source]
    return LayerCase(name, alone, compile_network(alone, arch, trace=True), codes, 0)
