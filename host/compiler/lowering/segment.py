"""One input of a convolution: planes of words, and the window that scans them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penstock.host.program.channel_views import ChannelView
from penstock.host.program.tensor_layout import BEAT

__all__ = ["Segment"]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One input of a convolution.

    Parameters
    ----------
    form : str
        Where the planes are: ``map`` (`view`), ``body`` or ``tail`` (of the runs).
    view : ChannelView or None
        The parts of a map that it reads.
    height, width : int
        Rows, and words per row.
    kernel, stride, pad : (int, int)
        Rows, columns; top, left: where the first window begins, negative inside the map.
    fill : int
        Value of activations outside the map or the frame.
    groups : int
        Convolution groups.
    weight : int8 array (out_ch, kernel rows, kernel columns, channels of a group)
    rows : int
        Channels in a word.
    slots : int64 array (channels,)
        Position of each channel, in bytes of the planes' words.
    frame : (int, int, int, int) or None
        Top, left, rows, columns of the part of the map that is read; None: all of it.
    """

    form: str
    view: ChannelView | None = None
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    fill: int
    groups: int
    weight: NDArray[np.int8] = field(repr=False)
    rows: int
    slots: NDArray[np.int64] = field(repr=False)
    frame: tuple[int, int, int, int] | None = None

    @property
    def planes(self) -> int:
        """Planes: blocks of `rows` channels."""
        return int(self.slots[-1]) // self.rows + 1

    @property
    def row_beats(self) -> int:
        """Beats in one row of one plane, in memory."""
        return -(-self.width * self.rows // BEAT)

    @property
    def seen(self) -> tuple[int, int, int, int]:
        """Top, left, rows, columns of the part of the map that is read."""
        return self.frame or (0, 0, self.height, self.width)

    def span(self, first: int, count: int) -> tuple[int, int]:
        """First plane and end of the planes that `count` output channels from `first` read."""
        depth = self.weight.shape[3]
        per_group = self.weight.shape[0] // self.groups
        low = first // per_group * depth
        high = ((first + count - 1) // per_group + 1) * depth
        return int(self.slots[low]) // self.rows, int(self.slots[high - 1]) // self.rows + 1

    def some(self, low: int, high: int) -> str:
        """Description of the planes from `low` to before `high`."""
        text = f"plane {low}" if high == low + 1 else f"planes {low} to {high - 1}"
        return text if self.form == "map" else f"{text} of the {self.form}"

    def input_rows(self, first: int, count: int) -> tuple[int, int]:
        """First row and end of the input rows of `count` output rows from `first`; at least one."""
        top, _, rows, _ = self.seen
        low = first * self.stride[0] - self.pad[0]
        high = low + (count - 1) * self.stride[0] + self.kernel[0]
        low = min(max(low, top), top + rows - 1)
        return low, max(min(high, top + rows), low + 1)
