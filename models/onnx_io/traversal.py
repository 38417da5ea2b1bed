"""Traversal of an ONNX graph: node by node, tensors become maps of layers.

Kinds of nodes are handlers, functions of the traversal, the node and its attributes;
`models.onnx_io.float_nodes` has those of float networks and `models.onnx_io.quantised_nodes` those
of quantised ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from penstock.models.graph.graph import (
    INPUT,
    Add,
    Concat,
    Conv,
    Fc,
    Layer,
    MaxPool,
    Shape,
    out_shape,
)
from penstock.models.onnx_io.fold import fold
from penstock.models.onnx_io.read import Graph
from penstock.models.onnx_io.values import NO_PAD, Unsupported, Value, layer_name

__all__ = ["Handler", "Traversal"]

Array = NDArray[Any]

# Values in one feature map.
_LARGEST_MAP = 1 << 27


class Traversal:
    """The layers built so far, and the state of the traversal.

    Parameters
    ----------
    graph : Graph
    handlers : mapping
        Handler of each supported node type.

    Members
    -------
    layers : dict of Layer
        By name, in order of computation.
    values : dict of Value
        By tensor name.
    gain, offset : float arrays (channels,)
        Arithmetic on the input by nodes before all layers: ``x * gain + offset``.
    unseen : set of str
        Layers whose maps are in no tensor: a ReLU that the file has further down.
    """

    def __init__(self, graph: Graph, handlers: Mapping[str, Handler]) -> None:
        self.graph = graph
        self.constants: dict[str, Array] = dict(graph.constants)
        channels, height, width = graph.shape
        self.layers: dict[str, Layer] = {}
        self.values = {
            graph.input: Value(layer=INPUT, shape=graph.shape, sole=graph.uses[graph.input] == 1)
        }
        self.gain = np.ones(channels)
        self.offset = np.zeros(channels)
        self.unseen: set[str] = set()
        self._handlers = handlers
        self._shapes: dict[str, Shape | None] = {INPUT: (height, width, channels)}
        self._sources: dict[str, list[Value]] = {}
        self._weighted = 0

    def run(self) -> Value:
        """Visit all nodes and return the value of the graph's output.

        Raises
        ------
        ValueError
            If nodes are not supported; one line lists them all with name and reason.
        """
        problems = []
        for node in self.graph.nodes:
            try:
                self._take(node)
            except Unsupported as error:
                problems.append(f"{node.op_type} {node.name or node.output[0]} ({error})")
            except (AttributeError, IndexError, KeyError, OverflowError, TypeError) as error:
                text = " ".join(str(error).split())
                problems.append(f"{node.op_type} {node.name or node.output[0]} (malformed: {text})")
            except ValueError as error:
                # Errors that layers and arrays raise for invalid values.
                text = " ".join(str(error).split())
                problems.append(f"{node.op_type} {node.name or node.output[0]} ({text})")
            for name in node.output:
                if name and name not in self.constants:
                    self.values.setdefault(name, Value(layer="", shape=None))
        if problems:
            raise ValueError(f"{self.graph.path}: unsupported: {'; '.join(problems)}")
        if self.graph.output in self.constants:
            raise ValueError(f"{self.graph.path}: its output does not depend on its input")
        value = self.values[self.graph.output]
        if value.pad != NO_PAD:
            raise ValueError(
                f"{self.graph.path}: unsupported: Pad at the end: only ahead of Conv or a pool"
            )
        return value

    def _take(self, node: Any) -> None:
        known = node.domain in ("", "ai.onnx", "com.microsoft")
        inputs = [self.constants.get(name) for name in node.input]
        if known and all(a is not None for a, name in zip(inputs, node.input) if name):
            value = fold(node, inputs, self.graph.opset)
            if value is not None:
                self.constants[node.output[0]] = value
                return
        handler = self._handlers.get(node.op_type) if known else None
        if handler is None:
            raise Unsupported("no such layer here")
        ended = [self.values[name].ended for name in node.input if name in self.values]
        if any(ended) and node.op_type != "Identity":
            raise Unsupported(f"comes after {next(filter(None, ended))}")
        handler(self, node, {a.name: helper.get_attribute_value(a) for a in node.attribute})

    def value(
        self, node: Any, index: int = 0, *, padded: bool = False, reshaped: bool = False
    ) -> Value:
        """Return an input of a node that is not a constant.

        `padded` allows padding ahead of the node, `reshaped` a map whose channels, rows and columns
        are not those of the layer that made it.
        """
        name = node.input[index] if index < len(node.input) else ""
        if name not in self.values:
            raise Unsupported("its input is a constant" if name else "an input is missing")
        value = self.values[name]
        if value.pad != NO_PAD and not padded:
            raise Unsupported("padding ahead of it")
        made = self._shapes.get(value.layer)
        if not reshaped and made is not None and value.shape is not None and len(value.shape) == 3:
            outward = (made[2], made[0], made[1])
            if value.shape != outward:
                raise Unsupported(f"a map of {_size(outward)} reshaped to {_size(value.shape)}")
        return value

    def alias(self, node: Any, value: Value, **changes: Any) -> None:
        """Make a node's output an alias of its input's value, with `changes`."""
        sole = value.sole and self.graph.uses[node.output[0]] <= 1
        self.values[node.output[0]] = replace(value, sole=sole, **changes)

    def constant(self, node: Any, index: int, what: str) -> Array:
        """Return a constant input of a node."""
        name = node.input[index] if index < len(node.input) else ""
        if name not in self.constants:
            raise Unsupported(f"its {what} must be a constant")
        return self.constants[name]

    def weights(self, node: Any, index: int, what: str, dims: int) -> NDArray[np.float32]:
        """Return a constant input that must be floats of `dims` dimensions."""
        array = self.constant(node, index, what)
        if array.dtype.kind != "f" or array.ndim != dims:
            raise Unsupported(
                f"its {what} must be {dims}-D floats, not {array.ndim}-D {array.dtype}"
            )
        return array.astype(np.float32, copy=False)

    def name(self, kind: str, *, weighted: bool = False) -> str:
        """Return the name of a new layer; layers with weights are counted."""
        self._weighted += weighted
        return layer_name(kind, self._weighted, self.layers)

    def append(self, node: Any, layer: Layer, *sources: Value, flat: bool = False) -> None:
        """Add a layer whose map is the node's output."""
        shapes = [self._shapes.get(source.layer) for source in sources]
        shape = None
        if all(known is not None for known in shapes):
            shape = out_shape(layer, [known for known in shapes if known is not None])
            if int(np.prod(shape)) > _LARGEST_MAP:
                raise Unsupported(f"a map of {'x'.join(map(str, shape))} is too large")
        self.layers[layer.name] = layer
        self._shapes[layer.name] = shape
        self._sources[layer.name] = list(sources)
        outward: tuple[int, ...] | None = None
        if shape is not None:
            outward = (shape[2],) if flat else (shape[2], shape[0], shape[1])
        self.values[node.output[0]] = Value(
            layer=layer.name, shape=outward, sole=self.graph.uses[node.output[0]] == 1
        )

    def located(self) -> dict[str, str]:
        """Return the tensor that holds a layer's map as it is now, by layer name, `INPUT` too."""
        tensors = {}
        for name, value in self.values.items():
            if value.layer and value.pad == NO_PAD and not value.ended:
                # Batch normalisation and ReLU change the layer before them: the last tensor counts.
                tensors[value.layer] = name
        return {layer: name for layer, name in tensors.items() if layer not in self.unseen}

    def spatial(self, name: str) -> bool:
        """Whether a layer's map has more than one position."""
        shape = self._shapes.get(name)
        return shape is not None and shape[:2] != (1, 1)

    def rectified(self, name: str) -> bool:
        """Whether a layer's map is never negative."""
        layer = self.layers.get(name)
        if isinstance(layer, Conv | Fc | Add):
            return layer.relu
        sources = self._sources.get(name, [])
        return bool(sources) and all(self.rectified(source.layer) for source in sources)

    def rectify(self, value: Value) -> None:
        """Fuse a ReLU into the layers that produce a value.

        The maximum of rectified values is the rectified maximum, and joined maps may be rectified
        one by one.
        """
        if self.rectified(value.layer) or not value.layer:
            return
        if not value.sole:
            raise Unsupported("what it rectifies is read by other nodes too")
        layer = self.layers.get(value.layer)
        if isinstance(layer, Conv | Fc | Add):
            self.layers[layer.name] = replace(layer, relu=True)
        elif isinstance(layer, MaxPool | Concat):
            for source in self._sources[layer.name]:
                if not self.rectified(source.layer):
                    self.unseen.add(source.layer)
                self.rectify(source)
        else:
            raise Unsupported("it does not follow Conv, Gemm, MatMul or Add")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


# The first argument is the traversal, of the class that the handler is for.
Handler = Callable[[Any, Any, dict[str, Any]], None]
