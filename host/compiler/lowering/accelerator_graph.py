"""The accelerator's graph: for each node, the parts of maps it reads and where it stores its
result.

Concatenations are resolved by placement: their inputs are stored side by side
(`host.program.channel_views`).  A map can be placed in one concatenation only; for any other, and
for the network's input, it is copied.  Max pooling of a concatenation becomes pooling of each part
if that can be fused with the part's own layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from penstock.host.program.channel_views import ChannelView
from penstock.models.graph.graph import INPUT, Concat, Layer, MaxPool, Network, infer_shapes, macs

__all__ = ["Graph", "Node", "build_graph"]


@dataclass(frozen=True)
class Node:
    """One layer of the network, or part of one.

    Parameters
    ----------
    name : str
        Name of the layer, and the part's number.
    layer : Layer
        The layer to compute; `Concat` copies the source.
    sources : tuple of ChannelView
    target : ChannelView
        Where the result is stored.
    covers : tuple of str
        The network's layers that it completes.
    macs : int
    """

    name: str
    layer: Layer
    sources: tuple[ChannelView, ...]
    target: ChannelView
    covers: tuple[str, ...]
    macs: int = 0


@dataclass(frozen=True)
class Graph:
    """The part of a network that the accelerator computes.

    Parameters
    ----------
    nodes : tuple of Node
        In topological order.
    views : dict
        Where each layer's map is stored, by layer name.
    wanted : tuple of ChannelView
        The results: what the rest of the network reads, and what nothing reads.
    """

    nodes: tuple[Node, ...]
    views: dict[str, ChannelView]
    wanted: tuple[ChannelView, ...]


class _Places:
    """Decides where maps are stored."""

    def __init__(self, network: Network, layers: list[Layer]) -> None:
        self.layers = {layer.name: layer for layer in layers}
        self.shapes = infer_shapes(network)
        self.widths: dict[str, tuple[int, ...]] = {INPUT: (self.shapes[INPUT][2],)}
        self.views: dict[str, ChannelView] = {}
        # For each concatenation, the inputs that must be copied: source, destination.
        self.copies: dict[str, list[tuple[str, ChannelView]]] = {}
        for layer in layers:
            if isinstance(layer, Concat):
                joined = [width for name in layer.inputs for width in self.widths[name]]
                self.widths[layer.name] = tuple(joined)
            elif isinstance(layer, MaxPool):
                self.widths[layer.name] = self.widths[layer.inputs[0]]
            else:
                self.widths[layer.name] = (self.shapes[layer.name][2],)
        # Outer concatenations first: their inputs may be concatenations.
        for layer in reversed(layers):
            if isinstance(layer, Concat):
                self._join(layer)
        for name in self.widths:
            if name not in self.views:
                self.views[name] = self._whole(name)

    def _whole(self, name: str) -> ChannelView:
        return ChannelView(name, self.shapes[name][:2], (), self.widths[name])

    def _join(self, layer: Concat) -> None:
        view = self.views.setdefault(layer.name, self._whole(layer.name))
        first = 0
        self.copies[layer.name] = []
        for name in layer.inputs:
            place = view.part(first, len(self.widths[name]))
            first += len(self.widths[name])
            if name == INPUT or name in self.views:
                self.copies[layer.name].append((name, place))
            else:
                self.views[name] = place

    def leaves(self, concat: str) -> list[Layer] | None:
        """Return the layers that store a concatenation's parts; None if any part is copied."""
        if self.copies[concat]:
            return None
        result: list[Layer] = []
        for name in self.layers[concat].inputs:
            layer = self.layers[name]
            inner = self.leaves(name) if isinstance(layer, Concat) else [layer]
            if inner is None:
                return None
            result += inner
        return result


def _pooled_in_parts(places: _Places, layers: list[Layer]) -> dict[str, list[Layer]]:
    """Return the poolings done part by part, each with the layers whose outputs it pools."""
    result: dict[str, list[Layer]] = {}
    pooled = {name for la in layers if isinstance(la, MaxPool) for name in la.inputs}
    taken: set[str] = set()
    for layer in layers:
        if not isinstance(layer, MaxPool) or layer.inputs[0] not in places.copies:
            continue
        leaves = places.leaves(layer.inputs[0])
        if leaves is None or any(isinstance(leaf, MaxPool) for leaf in leaves):
            continue
        names = {leaf.name for leaf in leaves}
        if names & (pooled | taken):
            continue
        taken |= names
        result[layer.name] = leaves
    return result


def build_graph(network: Network, layers: list[Layer]) -> Graph:
    """Return the accelerator's graph of a network's first layers.

    Parameters
    ----------
    network : Network
        Quantised.
    layers : list of Layer
        Those that the accelerator computes, in network order.
    """
    places = _Places(network, layers)
    views = places.views
    counts = macs(network)
    parts = _pooled_in_parts(places, layers)
    nodes: list[Node] = []
    for layer in layers:
        if isinstance(layer, Concat):
            nodes += [
                Node(f"{layer.name} part {index}", layer, (views[name],), place, ())
                for index, (name, place) in enumerate(places.copies[layer.name])
            ]
            _cover(nodes, layer.name, views[layer.name])
            continue
        target = views[layer.name]
        if layer.name not in parts:
            sources = tuple(views[name] for name in layer.inputs)
            count = counts.get(layer.name, 0)
            nodes.append(Node(layer.name, layer, sources, target, (layer.name,), count))
            continue
        first = 0
        for index, leaf in enumerate(parts[layer.name]):
            count = len(places.widths[leaf.name])
            name, part = f"{layer.name} part {index}", target.part(first, count)
            nodes.append(Node(name, layer, (views[leaf.name],), part, ()))
            first += count
        _cover(nodes, layer.name, target)
    done = {layer.name for layer in layers}
    read = {name for layer in network.layers for name in layer.inputs}
    outside = {n for la in network.layers if la.name not in done for n in la.inputs}
    wanted = [view for name, view in views.items() if name in outside or name not in read]
    return Graph(tuple(nodes), views, tuple(wanted))


def _cover(nodes: list[Node], name: str, view: ChannelView) -> None:
    """Make the last node that stores a part of a map cover its layer."""
    index = max(i for i, node in enumerate(nodes) if node.target.overlaps(view))
    nodes[index] = replace(nodes[index], covers=(*nodes[index].covers, name))
