"""One layer of a network alone: cut out with its weights, its real input, and its result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import predict
from penstock.host.inputs.catalog import sample_input
from penstock.host.program.program import Program
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.cut import cut_out
from penstock.models.graph.graph import INPUT, Network
from penstock.models.spec.arch import Arch

__all__ = ["SingleLayer", "single_layer"]


@dataclass(frozen=True)
class SingleLayer:
    """A hardware layer as a program of its own.

    Parameters
    ----------
    network : Network
        The layers it does.
    program : Program
        With every map stored.
    codes : NDArray[uint8]
        Its input, shape (height, width, channels): the map of a photograph.
    golden : dict
        The maps it must make, by layer.
    cycles : int
        Predicted.
    """

    network: Network
    program: Program
    codes: NDArray[np.uint8]
    golden: dict[str, NDArray[np.uint8]]
    cycles: int


def single_layer(network: Network, name: str, arch: Arch) -> SingleLayer:
    """Return the hardware layer that does the layer `name` of a network.

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
    program = compile_network(alone, arch, trace=True)
    cycles = sum(layer.cycles for layer in predict(program, arch))
    return SingleLayer(alone, program, codes, run_quantised(alone, codes), cycles)
