"""Quantised constants of ONNX graphs: integers with scales and zero points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.onnx_io.values import Unsupported

__all__ = ["Weights", "integer_weights"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Weights:
    """A quantised constant: integers less their zero point, and a scale for each channel.

    `axis` is the one along which the scales are, if there is more than one.
    """

    values: Array
    scale: Array
    axis: int = 0

    @property
    def real(self) -> NDArray[np.float64]:
        """The numbers that the integers stand for."""
        scale = _along(self.scale.astype(np.float64), self.values.ndim, self.axis)
        return np.asarray(self.values * scale)

    def by_output(self, axis: int) -> Weights:
        """Return the weights with `axis`, that of the outputs, in front.

        Raises
        ------
        Unsupported
            If the scales are along another one.
        """
        if self.scale.size > 1 and self.axis != axis:
            raise Unsupported(f"weights' scales along axis {self.axis}, not along the outputs")
        return Weights(np.moveaxis(self.values, axis, 0), self.scale)


def _along(array: Array, dims: int, axis: int) -> Array:
    """A vector for broadcasting along one axis of many."""
    return array.reshape([-1 if i == axis else 1 for i in range(dims)])


def integer_weights(values: Array, scale: Array, zeros: Array | None, axis: int = 0) -> Weights:
    """Return quantised constants, their zero points taken off; several are along `axis`."""
    if values.dtype not in (np.int8, np.uint8, np.int32):
        raise Unsupported(f"weights of {values.dtype}")
    wide = values.astype(np.int64)
    for what, array in (("scales", scale), ("zero points", zeros)):
        if array is None or array.size == 1:
            continue
        if not -values.ndim <= axis < values.ndim or array.size != values.shape[axis]:
            raise Unsupported(
                f"{array.size} {what} along axis {axis} of weights "
                f"{'x'.join(map(str, values.shape))}"
            )
    if values.ndim:
        axis %= values.ndim
    if zeros is not None:
        wide = wide - _along(zeros.astype(np.int64).reshape(-1), values.ndim, axis)
    return Weights(wide, scale.astype(np.float32).reshape(-1), axis)
