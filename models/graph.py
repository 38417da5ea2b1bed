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
    "Conv",
    "ConvGeometry",
    "Fc",
    "GlobalAveragePool",
    "INPUT",
    "InputSpec",
    "Layer",
    "Lrn",
    "MaxPool",
    "Network",
    "QConv",
    "QFc",
    "QGlobalAveragePool",
    "QLrn",
    "ceil_pad",
    "infer_shapes",
    "macs",
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
    """Quantised convolution: uint8 in (zero point `in_zero`), uint8 out (zero point 0).

    ReLU is the clip at 0.  ``y = requantise(conv(x, weight) + bias)`` with x the raw codes: the
    input's zero point is already folded into `bias`; padding uses the code `in_zero`.

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
class GlobalAveragePool(Layer):
    """The mean of each channel over all positions, float."""


@dataclass(frozen=True, kw_only=True)
class QGlobalAveragePool(GlobalAveragePool):
    """Quantised global average pooling, on the CPU: uint8 in, uint8 out.

    ``code = min(round(sum * gain / positions), 255)``, half to even.

    Parameters
    ----------
    gain : int
        How many steps of the output's scale one of the input's is: means span less than maps do.
    out_scale : float
        The output's scale.
    """

    gain: int
    out_scale: float

    def __post_init__(self) -> None:
        if self.gain < 1:
            raise ValueError(f"gain must be a positive integer, not {self.gain!r}")


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

    With ReLU the output is uint8 as in `QConv`.  The last layer (`relu` false) gives int32 logits,
    ``acc + bias``, whose float value is that times `out_scale` (one for each output).

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
        Quantised networks: activation scale (a power of two) of each feature map by layer name.
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


def _out_shape(layer: Layer, sources: Sequence[Shape]) -> Shape:
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
    if isinstance(layer, MaxPool):
        return (*layer.geometry.out_size(height, width), channels)
    if isinstance(layer, GlobalAveragePool):
        return (1, 1, channels)
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
            shapes[layer.name] = _out_shape(layer, [shapes[name] for name in layer.inputs])
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
