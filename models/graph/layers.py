"""The kinds of layers, float and quantised, and what each computes.

Feature maps are ``(height, width, channels)``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Add",
    "AveragePool",
    "Concat",
    "Conv",
    "ConvGeometry",
    "Fc",
    "GlobalAveragePool",
    "INPUT",
    "Layer",
    "Lrn",
    "MaxPool",
    "QAdd",
    "QAveragePool",
    "QConv",
    "QFc",
    "QGlobalAveragePool",
    "QLrn",
    "Shape",
    "ceil_pad",
]

INPUT = "input"

Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class ConvGeometry:
    """Geometry of a convolution or pooling window.

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


def _short(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {'x'.join(map(str, value.shape))}>"
    return repr(value)


@dataclass(frozen=True, kw_only=True, repr=False)
class Layer:
    """Base of all layers: a name and the names of the inputs."""

    name: str
    inputs: tuple[str, ...]

    def __repr__(self) -> str:
        """All fields; of an array only type and shape, as AlexNet has 61 million weights."""
        shown = ", ".join(f"{f.name}={_short(getattr(self, f.name))}" for f in fields(self))
        return f"{type(self).__name__}({shown})"


@dataclass(frozen=True, kw_only=True, repr=False)
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


@dataclass(frozen=True, kw_only=True, repr=False)
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


@dataclass(frozen=True, kw_only=True, repr=False)
class Lrn(Layer):
    """Local response normalisation across channels, float."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True, kw_only=True, repr=False)
class QLrn(Lrn):
    """Quantised LRN (see `models.golden.fixed.lrn_table`); window of five only."""

    table: NDArray[np.uint16]
    difference: NDArray[np.uint16]
    shift: int


@dataclass(frozen=True, kw_only=True, repr=False)
class MaxPool(Layer):
    """Max pooling, the same for float and quantised networks.

    Parameters
    ----------
    kernel, stride : int
    pad : (int, int, int, int)
        Top, left, bottom, right.  Padding is never the maximum; a window of padding only gives 0.
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


@dataclass(frozen=True, kw_only=True, repr=False)
class AveragePool(Layer):
    """Average pooling, float: the mean of a window's values.

    Parameters
    ----------
    kernel, stride : (int, int)
        Rows, columns.
    pad : (int, int, int, int)
        Top, left, bottom, right.
    count_pad : bool
        Whether padding counts, as zeros; otherwise the mean is over the positions inside the map.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int, int, int] = (0, 0, 0, 0)
    count_pad: bool = False

    @property
    def geometry(self) -> ConvGeometry:
        """The window's loops."""
        return ConvGeometry(kernel=self.kernel, stride=self.stride, pad=self.pad)


@dataclass(frozen=True, kw_only=True, repr=False)
class QAveragePool(AveragePool):
    """Quantised average pooling, uint8 to uint8.

    ``y = clip(floor(sum(x - in_zero) * multiplier / (count * 2**shift) + 1/2) + out_zero, 0, 255)``
    exactly: halves are rounded up for every count, so that ``sum * m >> s`` with the next larger
    ``m`` is exact in hardware.
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


@dataclass(frozen=True, kw_only=True, repr=False)
class Concat(Layer):
    """Concatenation of the inputs' channels; the same for float and quantised networks.

    In quantised networks all inputs and the output share scale and zero point, so codes are copied.
    """


@dataclass(frozen=True, kw_only=True, repr=False)
class Add(Layer):
    """Float sum of two maps of one shape with optional ReLU."""

    relu: bool = True


@dataclass(frozen=True, kw_only=True, repr=False)
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


@dataclass(frozen=True, kw_only=True, repr=False)
class GlobalAveragePool(Layer):
    """The mean of each channel over all positions, float."""


@dataclass(frozen=True, kw_only=True, repr=False)
class QGlobalAveragePool(GlobalAveragePool):
    """Quantised global average pooling, on the CPU: uint8 in, uint8 out.

    ``code = clip(floor(sum(x - in_zero) * gain / count + 1/2) + out_zero, 0, 255)`` exactly, count
    being the positions times ``2**shift``: halves are rounded up, as in `QAveragePool`.

    Parameters
    ----------
    gain, shift : int
        ``gain / 2**shift`` is the input's scale divided by the output's, which is finer: means have
        a smaller range than maps.
    in_zero, out_zero : int
        Codes of 0.
    out_scale : float
        The output's scale.
    """

    gain: int
    shift: int = 0
    in_zero: int = 0
    out_zero: int = 0
    out_scale: float

    def __post_init__(self) -> None:
        if self.gain < 1:
            raise ValueError(f"gain must be a positive integer, not {self.gain!r}")
        if not 0 <= self.shift <= 31:
            raise ValueError(f"shift must be 0 to 31, not {self.shift!r}")


@dataclass(frozen=True, kw_only=True, repr=False)
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


@dataclass(frozen=True, kw_only=True, repr=False)
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
