"""Graph builder: adds layers in order and infers each shape at once.

Weights go by the names ``<layer>.weight`` and ``<layer>.bias``; without any, zeros that take no
memory are placeholders until `models.networks.seeded` draws some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.data.labels import class_labels
from penstock.models.graph.graph import (
    INPUT,
    Add,
    AveragePool,
    Concat,
    Conv,
    ConvGeometry,
    Fc,
    GlobalAveragePool,
    InputSpec,
    Layer,
    Lrn,
    MaxPool,
    Network,
    Shape,
    ceil_pad,
    infer_shapes,
    out_shape,
)

__all__ = ["Builder"]

Pad = tuple[int, int, int, int]


class Builder:
    """Builds a network.  Each method adds a layer and returns its name.

    Parameters
    ----------
    name : str
    spec : InputSpec
    weights : mapping of float arrays, optional
        Convolutions (out_ch, in_ch / groups, kh, kw), fully connected layers (out, in) with `in`
        channel-major, biases (out,).
    width : float
        Share of the output channels that each convolution gets, above 0; at least one channel is
        left.

    Raises
    ------
    ValueError
        If `width` is no such number.  From any method: if the layer does not fit, or its weights
        are missing or of another shape; the message names network and layer.
    """

    def __init__(
        self,
        name: str,
        spec: InputSpec,
        weights: Mapping[str, NDArray[Any]] | None = None,
        *,
        width: float = 1.0,
    ) -> None:
        if not width > 0:
            raise ValueError(f"width must be a positive number, not {width!r}")
        self.name = name
        self._spec = spec
        self._weights = weights
        self._width = width
        self._layers: list[Layer] = []
        self._shapes: dict[str, Shape] = {INPUT: spec.shape}

    def shape(self, name: str) -> Shape:
        """Return the shape of a map."""
        return self._shapes[name]

    def _append(self, layer: Layer) -> str:
        try:
            shape = out_shape(layer, [self._shapes[source] for source in layer.inputs])
        except ValueError as error:
            raise ValueError(f"{self.name}: layer {layer.name}: {error}") from None
        self._layers.append(layer)
        self._shapes[layer.name] = shape
        return layer.name

    def _array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if self._weights is None:
            return np.broadcast_to(np.float32(0), shape)
        if name not in self._weights:
            raise ValueError(f"{self.name}: weight {name} is missing")
        array = self._weights[name]
        if array.shape != shape:
            raise ValueError(
                f"{self.name}: weight {name} must have shape {shape}, not {array.shape}"
            )
        return np.asarray(array, np.float32)

    def _check(self, name: str, outputs: int) -> None:
        if outputs < 1:
            raise ValueError(
                f"{self.name}: layer {name}: outputs must be a positive integer, not {outputs!r}"
            )

    def conv(
        self,
        name: str,
        source: str,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
        relu: bool = True,
    ) -> str:
        """Add a convolution with a square window; `outputs` is what it has at a width of 1."""
        self._check(name, outputs)
        outputs = max(1, round(outputs * self._width))
        depth = self._shapes[source][2] // groups
        return self._append(
            Conv(
                name=name,
                inputs=(source,),
                geometry=ConvGeometry(
                    kernel=(kernel, kernel), stride=(stride, stride), pad=(pad,) * 4, groups=groups
                ),
                weight=self._array(f"{name}.weight", (outputs, depth, kernel, kernel)),
                bias=self._array(f"{name}.bias", (outputs,)),
                relu=relu,
            )
        )

    def fc(self, name: str, source: str, outputs: int, *, relu: bool = True) -> str:
        """Add a fully connected layer."""
        self._check(name, outputs)
        inputs = int(np.prod(self._shapes[source]))
        weight = self._array(f"{name}.weight", (outputs, inputs))
        bias = self._array(f"{name}.bias", (outputs,))
        return self._append(Fc(name=name, inputs=(source,), weight=weight, bias=bias, relu=relu))

    def lrn(self, name: str, source: str) -> str:
        """Add local response normalisation with the parameters of AlexNet and GoogLeNet."""
        return self._append(Lrn(name=name, inputs=(source,)))

    def _window(self, source: str, kernel: int, stride: int, pad: int, ceil: bool) -> Pad:
        even = (pad,) * 4
        return ceil_pad(self._shapes[source][:2], kernel, stride, even) if ceil else even

    def max_pool(
        self, name: str, source: str, kernel: int, stride: int, *, pad: int = 0, ceil: bool = False
    ) -> str:
        """Add max pooling; with `ceil` the number of windows is rounded up, as Caffe does."""
        window = self._window(source, kernel, stride, pad, ceil)
        return self._append(
            MaxPool(name=name, inputs=(source,), kernel=kernel, stride=stride, pad=window)
        )

    def average_pool(
        self, name: str, source: str, kernel: int, stride: int, *, pad: int = 0, ceil: bool = False
    ) -> str:
        """Add average pooling; windows are cut at the map's edges."""
        return self._append(
            AveragePool(
                name=name,
                inputs=(source,),
                kernel=(kernel, kernel),
                stride=(stride, stride),
                pad=self._window(source, kernel, stride, pad, ceil),
            )
        )

    def global_average(self, name: str, source: str) -> str:
        """Add the mean of each channel over the whole map."""
        return self._append(GlobalAveragePool(name=name, inputs=(source,)))

    def concat(self, name: str, *sources: str) -> str:
        """Concatenate the channels of maps."""
        return self._append(Concat(name=name, inputs=sources))

    def add(self, name: str, first: str, second: str, *, relu: bool = True) -> str:
        """Add two maps."""
        return self._append(Add(name=name, inputs=(first, second), relu=relu))

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every weight and bias by name, in the order of the layers."""
        return {
            f"{layer.name}.{kind}": array.shape
            for layer in self._layers
            if isinstance(layer, Conv | Fc)
            for kind, array in (("weight", layer.weight), ("bias", layer.bias))
        }

    def network(
        self, *, labels: tuple[str, ...] = (), trained: bool = True, source: str = ""
    ) -> Network:
        """Return the network.

        Parameters
        ----------
        labels : tuple of str
            One for each class; `models.data.labels.class_labels` if none are given.
        trained, source
            As in `Network`.
        """
        classes = int(np.prod(self._shapes[self._layers[-1].name]))
        if labels and len(labels) != classes:
            raise ValueError(f"{self.name}: {len(labels)} labels for {classes} classes")
        network = Network(
            name=self.name,
            input=self._spec,
            layers=tuple(self._layers),
            labels=labels or class_labels(classes),
            trained=trained,
            source=source,
        )
        infer_shapes(network)
        return network
