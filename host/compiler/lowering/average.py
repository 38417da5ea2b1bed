"""Average pooling as a convolution: weights, and the requantisation that divides the sum.

The mean of a window is the sum of its values divided by their count.  Requantisation has one factor
for a whole channel, but windows that cross the map's edge hold fewer values.  So the weights are
scaled to a common denominator::

    window of 3, 2 at the last position:   1/3 (a + b + c)    ->   1/6 (2a + 2b + 2c)
                                           1/2 (d + e)        ->   1/6 (3d + 3e)

The first term gives every position the smallest weight.  Positions with a larger weight get the
rest from further terms, whose frame is limited to the rows and columns of those windows.  Weights
of rows and columns multiply.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import gcd

import numpy as np

from penstock.host.program.compile_error import CompileError
from penstock.models.golden.fixed import MULTIPLIER_BITS, requantise
from penstock.models.graph.graph import QAveragePool

__all__ = ["Term", "average_terms"]


@dataclass(frozen=True)
class _Axis:
    """One weight along one axis, rows or columns.

    Parameters
    ----------
    weight : int
    taps : int
        Taps of the window.
    pad : int
        Padding before the map's first row.
    frame : (int, int)
        First row of the frame, and number of rows.
    """

    weight: int
    taps: int
    pad: int
    frame: tuple[int, int]


@dataclass(frozen=True)
class Term:
    """A convolution with one weight, the same for all taps and channels.

    Parameters
    ----------
    weight : int
    kernel, pad : (int, int)
        Rows, columns; top, left.
    frame : (int, int, int, int)
        Top, left, rows, columns of the part of the map that is read.
    """

    weight: int
    kernel: tuple[int, int]
    pad: tuple[int, int]
    frame: tuple[int, int, int, int]


def _axis(size: int, out: int, taps: int, stride: int, pad: int) -> tuple[list[_Axis], int]:
    """Weights along one axis of a map of `size`, and their common denominator."""
    inside = []
    for index in range(out):
        start = index * stride - pad
        inside.append((max(start, 0), min(start + taps, size)))
    counts = [max(high - low, 1) for low, high in inside]
    common = reduce(lambda a, b: a * b // gcd(a, b), counts)
    least = common // max(counts)
    terms = [_Axis(least, taps, pad, (0, size))]
    for index, ((low, high), count) in enumerate(zip(inside, counts, strict=True)):
        more = common // count - least
        if not more or high <= low:
            continue
        # If windows overlap, only single rows belong to one window alone.
        height = count if stride >= count else 1
        for first in range(low, high, height):
            terms.append(_Axis(more, height, index * stride - first, (first, height)))
    return terms, common


def _factor(layer: QAveragePool, common: int) -> tuple[int, int, int]:
    """Bias for the output's zero point, multiplier and shift.

    ``sum * multiplier >> shift`` must round halves up, so the multiplier is rounded up.
    """
    divisor = common << layer.shift
    bias, rest = divmod(layer.out_zero * divisor, layer.multiplier)
    shift = 31
    while layer.multiplier << shift >= divisor << MULTIPLIER_BITS:
        shift -= 1
    factor = (layer.multiplier << shift) // divisor + 1
    if factor >> MULTIPLIER_BITS:
        shift -= 1
        factor = (layer.multiplier << shift) // divisor + 1
    sums = np.arange(-layer.in_zero * common, (255 - layer.in_zero) * common + 1, dtype=np.int64)
    exact = (2 * sums * layer.multiplier + divisor) // (2 * divisor) + layer.out_zero
    got = requantise(sums, np.array(bias), np.array(factor), np.array(shift))
    if rest or not np.array_equal(np.clip(exact, 0, 255), got):
        raise CompileError(
            f"layer {layer.name}: means over {common} values, times {layer.multiplier} / "
            f"2**{layer.shift}, are more than requantisation can round exactly"
        )
    return bias, factor, shift


def average_terms(
    layer: QAveragePool, size: tuple[int, int], out: tuple[int, int]
) -> tuple[list[Term], int, int, int]:
    """Return the convolutions whose sum is an average pooling.

    Parameters
    ----------
    layer : QAveragePool
    size, out : (int, int)
        Rows and columns of its input and its output.

    Returns
    -------
    terms : list of Term
        Values outside the frames are the input's zero point.
    bias, multiplier, shift : int
        Of the requantisation.

    Raises
    ------
    CompileError
        If it cannot be computed exactly; the message names the layer.
    """
    axes = []
    common = 1
    for extent, count, taps, stride, pad in zip(size, out, layer.kernel, layer.stride, layer.pad):
        if layer.count_pad:
            terms, divisor = [_Axis(1, taps, pad, (0, extent))], taps
        else:
            terms, divisor = _axis(extent, count, taps, stride, pad)
        axes.append(terms)
        common *= divisor
    terms2 = [
        Term(
            y.weight * x.weight,
            (y.taps, x.taps),
            (y.pad, x.pad),
            (y.frame[0], x.frame[0], y.frame[1], x.frame[1]),
        )
        for y in axes[0]
        for x in axes[1]
    ]
    if max(term.weight for term in terms2) > 127:
        raise CompileError(
            f"layer {layer.name}: means over counts from edge to edge so different need weights "
            "beyond 127"
        )
    bias, multiplier, shift = _factor(layer, common)
    weights = sum(term.weight * term.kernel[0] * term.kernel[1] for term in terms2)
    return terms2, bias - layer.in_zero * weights, multiplier, shift
