"""Which layers of a network may be fused into one hardware layer.

A line is a convolution, or a layer computed as one, followed by LRN and max pooling::

    convolution -> LRN -> max pooling         each part is optional

Lines whose convolutions read the same map with the same window are branches of one chain: the map
is loaded once for all, and their output channels are those of one merged convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penstock.host.compiler.lowering.accelerator_graph import Graph, Node, build_graph
from penstock.host.program.compile_error import CompileError
from penstock.models.graph.graph import (
    Concat,
    ConvGeometry,
    Layer,
    MaxPool,
    Network,
    QAdd,
    QAveragePool,
    QConv,
    QFc,
    QLrn,
    Shape,
    infer_shapes,
    on_cpu,
)

__all__ = ["Chain", "Line", "as_convolution", "chains"]

Line = tuple[Node, ...]

# Layers that the array computes.
_ARRAY = QConv | QAdd | QAveragePool


@dataclass(frozen=True)
class Chain:
    """Layers that may become one hardware layer.

    Parameters
    ----------
    branches : tuple of tuple of Node
        Each node reads the previous one of its branch; the first ones read the same map.
    stored : frozenset of str
        Layers whose maps are also read elsewhere; the last map of a branch is always stored.
    """

    branches: tuple[Line, ...]
    stored: frozenset[str]

    @property
    def nodes(self) -> Line:
        """Of all branches."""
        return tuple(node for line in self.branches for node in line)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The network's layers."""
        return tuple(node.layer for node in self.nodes)

    @property
    def on_array(self) -> bool:
        """Whether its first layer is computed by the array."""
        return isinstance(self.branches[0][0].layer, _ARRAY)

    def reads(self, other: Chain) -> bool:
        """Whether this chain reads a map that `other` stores."""
        return any(
            source.overlaps(node.target)
            for line in self.branches
            for source in line[0].sources
            for node in other.nodes
        )

    def split(self) -> tuple[Chain, Chain] | None:
        """Return the first branch, or layer, and the rest; None if there is only one."""
        if len(self.branches) > 1:
            return Chain(self.branches[:1], self.stored), Chain(self.branches[1:], self.stored)
        (line,) = self.branches
        if len(line) == 1:
            return None
        return Chain((line[:1],), self.stored), Chain((line[1:],), self.stored)


def as_convolution(layer: QFc, source: Shape) -> QConv:
    """Return a fully connected layer with ReLU as a convolution without padding.

    Its window is the whole map of shape `source`; the weights, channel-major in the layer, are
    reordered to the layout of maps.
    """
    height, width, channels = source
    weight = layer.weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    return QConv(
        name=layer.name,
        inputs=layer.inputs,
        geometry=ConvGeometry(kernel=(height, width)),
        weight=np.ascontiguousarray(weight),
        bias=layer.bias,
        multiplier=layer.multiplier,
        shift=layer.shift,
    )


def _array_layers(network: Network, *, fc: bool) -> list[Layer]:
    """All layers before the first one that the CPU runs."""
    layers: list[Layer] = []
    shapes = infer_shapes(network) if fc else {}
    for layer in network.layers:
        if on_cpu(layer):
            if not fc or not isinstance(layer, QFc) or not layer.relu:
                break
            layers.append(as_convolution(layer, shapes[layer.inputs[0]]))
            continue
        if not isinstance(layer, _ARRAY | QLrn | MaxPool | Concat):
            raise CompileError(
                f"layer {layer.name}: the accelerator has no {type(layer).__name__} (only "
                "quantised layers)"
            )
        layers.append(layer)
    if not layers:
        raise CompileError(f"{network.name} has no layers for the accelerator")
    return layers


def _fits_after(layer: Layer, done: Line) -> bool:
    """Whether a layer can join a line."""
    if isinstance(layer, QLrn):
        return isinstance(done[-1].layer, _ARRAY)
    return isinstance(layer, MaxPool) and isinstance(done[-1].layer, _ARRAY | QLrn)


def _lines(graph: Graph, *, trace: bool) -> tuple[list[Line], set[str]]:
    """All lines in order, and the layers inside a line whose maps must be stored."""
    lines: list[Line] = []
    stored: set[str] = set()
    taken: set[int] = set()
    for index, node in enumerate(graph.nodes):
        if index in taken:
            continue
        line = [node]
        while True:
            last = line[-1].target
            readers = [
                (number, other)
                for number, other in enumerate(graph.nodes)
                if any(source.overlaps(last) for source in other.sources)
            ]
            after = [
                (number, other)
                for number, other in readers
                if other.sources == (last,)
                and number not in taken
                and _fits_after(other.layer, tuple(line))
            ]
            if not after:
                break
            number, following = after[0]
            if trace or len(readers) > 1 or any(view.overlaps(last) for view in graph.wanted):
                stored.add(line[-1].layer.name)
            line.append(following)
            taken.add(number)
        lines.append(tuple(line))
    return lines, stored


def _siblings(one: Line, other: Line) -> bool:
    """Whether two lines can be branches of one chain."""
    first, second = one[0], other[0]
    if not isinstance(first.layer, QConv) or not isinstance(second.layer, QConv):
        return False
    return (
        first.sources == second.sources
        and first.layer.geometry == second.layer.geometry
        and first.layer.geometry.groups == 1
        and first.layer.in_zero == second.layer.in_zero
        and not any(isinstance(node.layer, QLrn) for node in one + other)
    )


def _early(found: list[Chain]) -> tuple[Chain, ...]:
    """Move chains without array work to where their source is complete, off the array's path."""
    result: list[Chain] = []
    for chain in found:
        place = len(result)
        if not chain.on_array:
            while place and not chain.reads(result[place - 1]):
                place -= 1
        result.insert(place, chain)
    return tuple(result)


def chains(network: Network, *, trace: bool = False, fc: bool = False) -> tuple[Chain, ...]:
    """Return the chains of all layers before the first one that the CPU runs.

    They are in topological order.

    Parameters
    ----------
    trace : bool
        Store every map.
    fc : bool
        Include fully connected layers with ReLU, as convolutions.

    Raises
    ------
    CompileError
        If the accelerator does not support a layer's kind.
    """
    graph = build_graph(network, _array_layers(network, fc=fc))
    lines, stored = _lines(graph, trace=trace)
    groups: list[list[Line]] = []
    for line in lines:
        group = next((group for group in groups if _siblings(group[0], line)), None)
        if group is None:
            groups.append([line])
        else:
            group.append(line)

    def needed(line: Line) -> int:
        """Number of the first line that reads a line's result."""
        for number, other in enumerate(graph.nodes):
            if other not in line and any(s.overlaps(n.target) for s in other.sources for n in line):
                return number
        return len(graph.nodes)

    # Lines whose results are read first come first, so that these are in memory by then.
    found = []
    for group in groups:
        own = stored & {node.layer.name for line in group for node in line}
        found.append(Chain(tuple(sorted(group, key=needed)), frozenset(own)))
    return _early(found)
