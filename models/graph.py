"""A small graph of layers: float networks and their quantised form.

A network is a list of layers in an order in which every input is computed before its use.  A layer
names its inputs by the names of the layers that make them; the network's own input is called
`INPUT`.  Feature maps are ``(height, width, channels)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Add",
    "AveragePool",
    "Concat",
    "Conv",
    "ConvGeometry",
    "Fc",
    "INPUT",
    "InputSpec",
    "Layer",
    "Lrn",
    "MaxPool",
    "Network",
    "QAdd",
    "QAveragePool",
    "QConv",
    "QFc",
    "QLrn",
    "ceil_pad",
    "infer_shapes",
    "macs",
    "out_shape",
]

INPUT = "input"

Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class ConvGeometry:
    """What a convolution's loops look like.

    Parameters
    ----------
    kernel, stride : (int, int)
        Rows, columns.
    pad : (int, int, int, int)
        Top, left, bottom, right.
    groups : int
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("pad", 0)):
            if min(getattr(self, name)) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)!r}")
        if self.groups < 1:
            raise ValueError(f"groups must be a positive integer, not {self.groups!r}")

    def out_size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the output of a `height` x `width` input.

        Raises
        ------
        ValueError
            If the kernel is larger than the padded input.
        """
        top, left, bottom, right = self.pad
        spans = (height + top + bottom - self.kernel[0], width + left + right - self.kernel[1])
        if min(spans) < 0:
            raise ValueError(
                f"kernel {self.kernel[0]}x{self.kernel[1]} is larger than the padded input "
                f"{height + top + bottom}x{width + left + right}"
            )
        return spans[0] // self.stride[0] + 1, spans[1] // self.stride[1] + 1


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Base of all layers: a name and the names of the inputs."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Conv(Layer):
    """Float convolution with optional ReLU.

    Parameters
    ----------
    weight : float32 array (out_ch, in_ch / groups, kh, kw)
    bias : float32 array (out_ch,)
    """

    geometry: ConvGeometry
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    relu: bool = True


@dataclass(frozen=True, kw_only=True)
class QConv(Layer):
    """Quantised convolution: uint8 in (zero point `in_zero`), uint8 out.

    ``y = requantise(conv(x, weight) + bias)`` with x the raw codes: the input's zero point is
    already folded into `bias`, and so is the output's (`Network.zeros`); padding uses the code
    `in_zero`.  ReLU is the clip at 0 of an output whose zero point is 0.

    Parameters
    ----------
    weight : int8 array (out_ch, kh, kw, in_ch / groups)
    bias : int32 array (out_ch,)
    multiplier, shift : int64 arrays (out_ch,)
    """

    geometry: ConvGeometry
    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    in_zero: int = 0


@dataclass(frozen=True, kw_only=True)
class Lrn(Layer):
    """Local response normalisation across channels, float."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True, kw_only=True)
class QLrn(Lrn):
    """Quantised LRN (see `models.fixed.lrn_table`); window of five only."""

    table: NDArray[np.uint16]
    difference: NDArray[np.uint16]
    shift: int


@dataclass(frozen=True, kw_only=True)
class MaxPool(Layer):
    """Max pooling, the same for float and quantised networks.

    Parameters
    ----------
    kernel, stride : int
    pad : (int, int, int, int)
        Top, left, bottom, right.  Padding never wins.
    """

    kernel: int
    stride: int
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def geometry(self) -> ConvGeometry:
        """The window's loops."""
        return ConvGeometry(
            kernel=(self.kernel, self.kernel), stride=(self.stride, self.stride), pad=self.pad
        )


def ceil_pad(
    shape: tuple[int, int], kernel: int, stride: int, pad: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> tuple[int, int, int, int]:
    """Return the padding with which a window reaches the last rows and columns of a map.

    Caffe's pooling and ONNX's with `ceil_mode` round the number of windows up; padding at the end
    does the same.  A window that would begin in the padding is left out.

    Parameters
    ----------
    shape : (int, int)
        Rows, columns of the map.
    kernel, stride : int
    pad : (int, int, int, int)
        Top, left, bottom, right; bottom and right become larger where need be.
    """
    ends = []
    for size, before, after in zip(shape, pad[:2], pad[2:]):
        count = -(-(size + before + after - kernel) // stride) + 1
        if (count - 1) * stride >= size + before:
            count -= 1
        ends.append(max(after, (count - 1) * stride + kernel - size - before))
    return pad[0], pad[1], ends[0], ends[1]


@dataclass(frozen=True, kw_only=True)
class AveragePool(Layer):
    """Average pooling, float: the mean of a window's values.

    Parameters
    ----------
    kernel, stride : (int, int)
        Rows, columns.
    pad : (int, int, int, int)
        Top, left, bottom, right.
    count_pad : bool
        Whether padding counts, as zeros; otherwise the mean is over what lies inside the map.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    count_pad: bool = False

    @property
    def geometry(self) -> ConvGeometry:
        """The window's loops."""
        return ConvGeometry(kernel=self.kernel, stride=self.stride, pad=self.pad)


@dataclass(frozen=True, kw_only=True)
class QAveragePool(AveragePool):
    """Quantised average pooling, uint8 to uint8.

    ``y = clip(floor(sum(x - in_zero) * multiplier / (count * 2**shift) + 1/2) + out_zero, 0, 255)``
    exactly: halves go up, whatever the count, so that ``sum * m >> s`` with the next larger ``m``
    is right in hardware.
    """

    multiplier: int = 1
    shift: int = 0
    in_zero: int = 0
    out_zero: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.multiplier < 1 << 17:
            raise ValueError(f"multiplier must be 1 to 131071, not {self.multiplier!r}")
        if not 0 <= self.shift <= 31:
            raise ValueError(f"shift must be 0 to 31, not {self.shift!r}")


@dataclass(frozen=True, kw_only=True)
class Concat(Layer):
    """The inputs' channels one after the other; the same for float and quantised networks.

    In quantised networks all inputs and the output share scale and zero point: nothing is
    computed.
    """


@dataclass(frozen=True, kw_only=True)
class Add(Layer):
    """Float sum of two maps of one shape with optional ReLU."""

    relu: bool = True


@dataclass(frozen=True, kw_only=True)
class QAdd(Layer):
    """Quantised sum of two maps of one shape, uint8 to uint8.

    ``y = requantise(a * weight[0] + b * weight[1] + bias)``: what a 1x1 convolution over both
    inputs' channels with diagonal weights computes.  Zero points are folded into `bias`; ReLU is
    the clip at 0 of an output whose zero point is 0.

    Parameters
    ----------
    weight : (int, int)
        1 to 127.
    bias, multiplier, shift : int
        Of all channels.
    """

    weight: tuple[int, int]
    bias: int
    multiplier: int
    shift: int

    def __post_init__(self) -> None:
        if len(self.weight) != 2 or not all(1 <= value <= 127 for value in self.weight):
            raise ValueError(f"weight must be two integers of 1 to 127, not {self.weight!r}")


@dataclass(frozen=True, kw_only=True)
class Fc(Layer):
    """Float fully connected layer; its input is flattened channel-major (C, H, W) as in Caffe.

    Parameters
    ----------
    weight : float32 array (out, in)
    bias : float32 array (out,)
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    relu: bool = True


@dataclass(frozen=True, kw_only=True)
class QFc(Layer):
    """Quantised fully connected layer, on the CPU.

    With `relu` the output is uint8 as in `QConv`.  The last layer (`relu` false) gives int32
    logits, ``acc + bias``, whose float value is that times `out_scale` (one for each output).

    Parameters
    ----------
    weight : int8 array (out, in)
    bias : int32 array (out,)
    multiplier, shift : int64 arrays (out,)
    out_scale : float64 array (out,)
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    out_scale: NDArray[np.float64]
    relu: bool = True


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What a network expects of an image, and how pixels become codes.

    ``code = clip(rint((pixel - mean) / std / scale) + zero, 0, 255)`` for each channel.

    Parameters
    ----------
    shape : (int, int, int)
        Height, width, channels.
    resize : int
        The shorter side is scaled to this before the centre crop to `shape`.
    order : str
        ``"RGB"`` or ``"BGR"``: channel order (``"L"`` for one channel).
    mean, std : tuple of float
        One for each channel, in pixel units (0 to 255).
    scale : float
        Quantisation step of the input; 1.0 until quantised.
    zero : int
        Code of the value 0.
    """

    shape: Shape
    resize: int
    order: str = "RGB"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: float = 1.0
    zero: int = 0


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network: float if it holds `Conv`, quantised if it holds `QConv`.

    Parameters
    ----------
    scales : dict
        Quantised networks: activation scale of each feature map by layer name; a power of two if
        `models.quantize` chose it.
    zeros : dict
        Code of the value 0 in the feature maps where it is not 0, by layer name.
    trained : bool
        False when the weights are random: the labels mean nothing then.
    labels : tuple of str
        One for each output of the last layer.
    source : str
        Where the weights come from, in words.
    """

    name: str
    input: InputSpec
    layers: tuple[Layer, ...]
    labels: tuple[str, ...] = ()
    trained: bool = False
    source: str = ""
    scales: dict[str, float] = field(default_factory=dict)
    zeros: dict[str, int] = field(default_factory=dict)

    def layer(self, name: str) -> Layer:
        """Return the layer called `name`.

        Raises
        ------
        ValueError
            If there is none; the message lists those there are.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f"{self.name} has no layer {name!r}; it has {known}")


def _weight_channels(layer: Layer) -> tuple[int, int]:
    """(out_ch, in_ch per group) of a convolution."""
    if isinstance(layer, QConv):
        return layer.weight.shape[0], layer.weight.shape[3]
    assert isinstance(layer, Conv)
    return layer.weight.shape[0], layer.weight.shape[1]


def out_shape(layer: Layer, sources: Sequence[Shape]) -> Shape:
    """Return the shape of a layer's map from those of its inputs.

    Raises
    ------
    ValueError
        If the layer does not fit its inputs.
    """
    if len(sources) != 1 and not (sources and isinstance(layer, Concat | Add | QAdd)):
        raise ValueError(f"a {type(layer).__name__} has one input, not {len(sources)}")
    height, width, channels = sources[0]
    if isinstance(layer, Conv | QConv):
        out_ch, per_group = _weight_channels(layer)
        groups = layer.geometry.groups
        if per_group * groups != channels or out_ch % groups:
            raise ValueError(
                f"weights for {per_group * groups} input and {out_ch} output channels in {groups} "
                f"groups do not fit an input of {channels} channels"
            )
        return (*layer.geometry.out_size(height, width), out_ch)
    if isinstance(layer, MaxPool | AveragePool):
        return (*layer.geometry.out_size(height, width), channels)
    if isinstance(layer, Concat):
        if any(source[:2] != (height, width) for source in sources):
            sizes = ", ".join(f"{source[0]}x{source[1]}" for source in sources)
            raise ValueError(f"maps of different sizes cannot be joined: {sizes}")
        return height, width, sum(source[2] for source in sources)
    if isinstance(layer, Add | QAdd):
        if len(sources) != 2 or sources[0] != sources[1]:
            shown = ", ".join("x".join(map(str, source)) for source in sources)
            raise ValueError(f"only two maps of one shape can be added, not {shown}")
        return sources[0]
    if isinstance(layer, Fc | QFc):
        if layer.weight.shape[1] != height * width * channels:
            raise ValueError(
                f"weights for {layer.weight.shape[1]} inputs do not fit {height}x{width}x{channels}"
            )
        return (1, 1, layer.weight.shape[0])
    return height, width, channels


def infer_shapes(network: Network) -> dict[str, Shape]:
    """Return the shape of every feature map by layer name, `INPUT` included.

    Raises
    ------
    ValueError
        If a layer does not fit its input; the message names the layer.
    """
    shapes: dict[str, Shape] = {INPUT: network.input.shape}
    for layer in network.layers:
        if layer.name in shapes:
            raise ValueError(f"layer {layer.name}: there are two of this name")
        try:
            shapes[layer.name] = out_shape(layer, [shapes[name] for name in layer.inputs])
        except KeyError as error:
            raise ValueError(f"layer {layer.name}: no layer called {error.args[0]!r}") from None
        except ValueError as error:
            raise ValueError(f"layer {layer.name}: {error}") from None
    return shapes


def macs(network: Network) -> dict[str, int]:
    """Return the multiply-accumulates of each convolution and fully connected layer by name."""
    shapes = infer_shapes(network)
    counts: dict[str, int] = {}
    for layer in network.layers:
        weight: Any = getattr(layer, "weight", None)
        if weight is None:
            continue
        height, width, _ = shapes[layer.name]
        counts[layer.name] = int(height * width * weight.size)
    return counts
