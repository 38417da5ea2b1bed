"""Shared by readers of ONNX graphs: tensors as maps of layers, windows, and names of layers."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.models.graph.graph import ConvGeometry, ceil_pad
from penstock.models.quant.calibrate import Encoding

__all__ = ["NO_PAD", "Pad", "Unsupported", "Value", "layer_name", "reshaped", "window"]

Pad = tuple[int, int, int, int]

NO_PAD: Pad = (0, 0, 0, 0)


class Unsupported(Exception):
    """Why a node has no counterpart here."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """A tensor that is the map of a layer, perhaps under another name or shape.

    Parameters
    ----------
    layer : str
        The layer whose map this is; empty after a node that is not supported.
    shape : tuple or None
        (channels, height, width), or (features,) once flat; None where it is not known.
    sole : bool
        Nothing else reads the map or another name of it.
    pad : (int, int, int, int)
        Padding ahead of the next layer, top, left, bottom, right; not part of `shape`.
    fill : float
        What that padding holds.
    ended : str
        The node after which no layer may come, such as Softmax.
    encoding : Encoding or None
        Quantised graphs: what the numbers mean, where a node has said so; None for bare codes.
    """

    layer: str
    shape: tuple[int, ...] | None
    sole: bool = True
    pad: Pad = NO_PAD
    fill: float = 0.0
    ended: str = ""
    encoding: Encoding | None = None


def layer_name(kind: str, number: int | str, taken: Container[str]) -> str:
    """Return ``conv1``; ``conv1b``, ``conv1c`` and so on if that is taken."""
    base = name = f"{kind}{number}"
    count = 1
    while name in taken:
        name = f"{base}{chr(ord('a') + count)}" if count < 26 else f"{base}_{count}"
        count += 1
    return name


def _same(size: int, kernel: int, stride: int, upper: bool) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    small = total // 2
    return (small, total - small) if upper else (total - small, small)


def _windows(
    size: tuple[int, ...], kernel: tuple[int, ...], strides: list[int], pads: list[int]
) -> list[int]:
    """How many windows there are in each direction."""
    return [(size[i] + pads[i] + pads[i + 2] - kernel[i]) // strides[i] for i in (0, 1)]


def window(
    attributes: dict[str, Any], kernel: tuple[int, ...], value: Value, *, ceil: bool = False
) -> ConvGeometry:
    """Return the loops of a convolution or pooling node.

    Parameters
    ----------
    attributes : dict
        Of the node.
    kernel : tuple
        Rows, columns.
    value : Value
        Its input; its padding is added.
    ceil : bool
        Whether `ceil_mode` counts.

    Raises
    ------
    Unsupported
        If there is no such window here.
    """
    if len(kernel) != 2 or min(kernel) < 1:
        raise Unsupported(f"{len(kernel)}-D windows" if len(kernel) != 2 else "an empty window")
    if any(step != 1 for step in attributes.get("dilations", [])):
        raise Unsupported(f"dilations {list(attributes['dilations'])}")
    strides = [int(step) for step in attributes.get("strides", [1, 1])]
    pads = [int(size) for size in attributes.get("pads", [0] * 4)]
    if len(strides) != 2 or min(strides) < 1 or len(pads) != 4 or min(pads) < 0:
        raise Unsupported(f"strides {strides} with pads {pads}")
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    size = None if value.shape is None else value.shape[1:]
    if size is not None:
        if len(size) != 2:
            raise Unsupported("its input is flat")
        # Padding by a node of its own is part of the map, whatever the window makes of its edges.
        size = tuple(size[i] + value.pad[i] + value.pad[i + 2] for i in (0, 1))
    if auto in ("SAME_UPPER", "SAME_LOWER") and size is not None:
        ends = [_same(size[i], kernel[i], strides[i], auto == "SAME_UPPER") for i in (0, 1)]
        pads = [ends[0][0], ends[1][0], ends[0][1], ends[1][1]]
    elif auto == "VALID":
        pads = [0] * 4
    elif auto not in ("NOTSET", ""):
        raise Unsupported(f"auto_pad {auto}")
    if ceil and attributes.get("ceil_mode", 0) and size is not None:
        up = list(pads)
        for axis in (0, 1):
            ends_ = (pads[axis],) * 2 + (pads[axis + 2],) * 2
            up[axis + 2] = ceil_pad((size[axis],) * 2, kernel[axis], strides[axis], ends_)[2]
        if auto not in ("NOTSET", "") and _windows(size, kernel, strides, up) != _windows(
            size, kernel, strides, pads
        ):
            raise Unsupported(f"ceil_mode with auto_pad {auto}, which make different sizes")
        pads = up
    pad = [own + earlier for own, earlier in zip(pads, value.pad)]
    return ConvGeometry(
        kernel=(kernel[0], kernel[1]),
        stride=(strides[0], strides[1]),
        pad=(pad[0], pad[1], pad[2], pad[3]),
        groups=int(attributes.get("group", 1)),
    )


def reshaped(shape: tuple[int, ...], target: list[int]) -> tuple[int, ...]:
    """Return what a map of one image becomes when reshaped, without the batch.

    Raises
    ------
    Unsupported
        If that is neither a vector nor the map itself.
    """
    full = (1, *shape)
    sizes = [full[i] if size == 0 and i < len(full) else size for i, size in enumerate(target)]
    count = int(np.prod(full))
    if sizes.count(-1) == 1:
        rest = int(np.prod([size for size in sizes if size != -1]))
        sizes[sizes.index(-1)] = count // rest if rest else 0
    if sizes in ([1, count], [1, count, 1, 1]) or tuple(sizes) == full:
        return tuple(sizes[1:])
    raise Unsupported(f"to {target}: only to a vector")
