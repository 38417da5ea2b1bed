"""Layouts of feature maps in device memory.

`Planes` is the hardware's own layout.  A word is ``rows`` consecutive channels at one position, and
every row starts on an 8-byte beat::

    plane 0:  row 0: word(x=0) word(x=1) ... zeros | row 1: ... | ...
    plane 1:  channels rows .. 2 * rows - 1, likewise
    ...

In a batch, each plane holds the rows of image 0, then those of image 1, and so on: one tall map.

`Runs` is for a network's input with few channels, which would leave most of a word empty.  The
``kernel width * channels`` bytes of one input row that one output column reads are contiguous in
the image: a run.  Its whole words form segment A, planes of input rows by output columns; the
remaining bytes, of all kernel rows of one output position together, form segment B, planes of
output rows by output columns::

    A: plane p, row iy, column ox:  run(iy, ox)[p * rows : (p + 1) * rows]
    B: plane p, row oy, column ox:  tails(oy, ox)[p * rows : (p + 1) * rows]
       tails(oy, ox) = run(oy * stride - top + ky, ox)[whole words :] for ky = 0, 1, ...
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.program.channel_views import planes_of, slots_of
from penstock.models.spec.memory import BEAT_BYTES as BEAT

__all__ = ["BEAT", "Planes", "Runs", "part_from_json", "part_to_json"]

Bytes = NDArray[np.uint8]


def _pack_words(words: Bytes, rows: int) -> Bytes:
    """Return ``(height, width, n)`` bytes as planes: ``(planes, height, row bytes)``."""
    height, width, count = words.shape
    planes = -(-count // rows)
    row_bytes = -(-width * rows // BEAT) * BEAT
    padded = np.zeros((height, width, planes * rows), np.uint8)
    padded[..., :count] = words
    out = np.zeros((planes, height, row_bytes), np.uint8)
    split = padded.reshape(height, width, planes, rows).transpose(2, 0, 1, 3)
    out[..., : width * rows] = split.reshape(planes, height, width * rows)
    return out


@dataclass(frozen=True, kw_only=True)
class Planes:
    """A feature map as planes.

    Parameters
    ----------
    offset : int
        First byte, from the start of the arena.
    rows : int
        Channels in a word.
    height, width, channels : int
        Shape of one image.
    images : int
        Number of images, stacked vertically in each plane.
    widths : tuple of int
        Channels of the parts, each of which begins a plane; empty: a single part.
    """

    offset: int
    rows: int
    height: int
    width: int
    channels: int
    images: int = 1
    widths: tuple[int, ...] = ()

    @property
    def planes(self) -> int:
        """Planes: blocks of `rows` channels."""
        return planes_of(self.widths or (self.channels,), self.rows)

    @property
    def row_beats(self) -> int:
        """Beats in one row of one plane."""
        return -(-self.width * self.rows // BEAT)

    @property
    def row_bytes(self) -> int:
        """Bytes in one row of one plane, padding to whole beats included."""
        return self.row_beats * BEAT

    @property
    def plane_bytes(self) -> int:
        """Bytes from one plane to the next."""
        return self.images * self.height * self.row_bytes

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.planes * self.plane_bytes

    def address(self, plane: int, row: int) -> int:
        """Offset of a row's first byte; rows are counted from the first row of image 0."""
        return self.offset + plane * self.plane_bytes + row * self.row_bytes

    def pack(self, image: Bytes) -> bytes:
        """Return the bytes of a ``(height, width, channels)`` map, plane after plane."""
        if len(self.widths) > 1:
            words = np.zeros((self.height, self.width, self.planes * self.rows), np.uint8)
            words[..., slots_of(self.widths, self.rows)] = image
            image = words
        return _pack_words(image, self.rows).tobytes()

    def pieces(self, data: bytes, index: int) -> list[tuple[int, bytes]]:
        """Return the (offset, bytes) pieces that store `pack`'s bytes as image `index`."""
        if self.images == 1:
            return [(self.offset, data)]
        size = self.height * self.row_bytes
        return [
            (self.address(plane, index * self.height), data[plane * size : (plane + 1) * size])
            for plane in range(self.planes)
        ]

    def unpack(self, data: bytes | Bytes, index: int = 0) -> Bytes:
        """Return the ``(height, width, channels)`` map of image `index` in `size` bytes."""
        shape = (self.planes, self.images, self.height, self.row_bytes)
        raw = np.frombuffer(data, np.uint8).reshape(shape)[:, index]
        words = raw[..., : self.width * self.rows]
        split = words.reshape(self.planes, self.height, self.width, self.rows)
        whole = split.transpose(1, 2, 0, 3).reshape(self.height, self.width, -1)
        if len(self.widths) > 1:
            return np.ascontiguousarray(whole[..., slots_of(self.widths, self.rows)])
        return np.ascontiguousarray(whole[..., : self.channels])


@dataclass(frozen=True, kw_only=True)
class Runs:
    """An input image cut in the runs one convolution reads.

    Parameters
    ----------
    offset : int
        First byte of segment A, from the start of the arena; segment B follows at `tail_offset`.
    rows : int
        Channels in a word.
    height, width, channels : int
        Of the image.
    kernel, stride : (int, int)
        Rows, columns.
    pad : (int, int)
        Top, left.
    fill : int
        Code of padded values.
    out : (int, int)
        Output rows, columns of the convolution.
    images : int
        How many there are; see `Planes`.
    """

    offset: int
    rows: int
    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    fill: int
    out: tuple[int, int]
    images: int = 1

    @property
    def run(self) -> int:
        """Bytes one output column needs of one input row."""
        return self.kernel[1] * self.channels

    @property
    def whole(self) -> int:
        """Words of a run in segment A, 0 if there is no segment A."""
        return self.run // self.rows

    @property
    def tail(self) -> int:
        """Bytes one output position has in segment B, 0 if there is no segment B."""
        return self.kernel[0] * (self.run % self.rows)

    @property
    def body_planes(self) -> Planes:
        """Segment A."""
        return Planes(
            offset=self.offset,
            rows=self.rows,
            height=self.height,
            width=self.out[1],
            channels=self.whole * self.rows,
            images=self.images,
        )

    @property
    def tail_planes(self) -> Planes:
        """Segment B."""
        return Planes(
            offset=self.offset + self.body_planes.size,
            rows=self.rows,
            height=self.out[0],
            width=self.out[1],
            channels=self.tail,
            images=self.images,
        )

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.body_planes.size + self.tail_planes.size

    def pack(self, image: Bytes) -> bytes:
        """Return the bytes of a ``(height, width, channels)`` image."""
        (kernel_h, kernel_w), (stride_h, stride_w), (top, left) = self.kernel, self.stride, self.pad
        out_h, out_w = self.out
        # Rows above and below only matter to segment B; segment A takes its own slice.
        need_h = max(top + self.height, (out_h - 1) * stride_h + kernel_h)
        need_w = max(left + self.width, (out_w - 1) * stride_w + kernel_w)
        padded = np.full((need_h, need_w, self.channels), self.fill, np.uint8)
        padded[top : top + self.height, left : left + self.width] = image
        flat = padded.reshape(need_h, -1)
        windows = np.lib.stride_tricks.sliding_window_view(flat, self.run, axis=1)
        runs = windows[:, :: stride_w * self.channels][:, :out_w]
        split = self.whole * self.rows
        parts = []
        if self.whole:
            body = runs[top : top + self.height, :, :split]
            parts.append(_pack_words(body, self.rows).tobytes())
        if self.tail:
            rows = np.arange(out_h)[:, None] * stride_h + np.arange(kernel_h)
            tails = runs[:, :, split:][rows].transpose(0, 2, 1, 3)
            parts.append(_pack_words(tails.reshape(out_h, out_w, -1), self.rows).tobytes())
        return b"".join(parts)

    def pieces(self, data: bytes, index: int) -> list[tuple[int, bytes]]:
        """Return the (offset, bytes) pieces that store `pack`'s bytes as image `index`."""
        if self.images == 1:
            return [(self.offset, data)]
        split = self.body_planes.size // self.images
        return [
            *self.body_planes.pieces(data[:split], index),
            *self.tail_planes.pieces(data[split:], index),
        ]


Part = Planes | Runs
_KINDS = {"planes": Planes, "runs": Runs}


def part_to_json(part: Part) -> dict[str, Any]:
    """Return a description that `part_from_json` reads."""
    kind = next(name for name, made in _KINDS.items() if isinstance(part, made))
    return {"kind": kind, **asdict(part)}


def part_from_json(values: dict[str, Any]) -> Part:
    """Return the layout that `part_to_json` described.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the description is not one.
    """
    fields = dict(values)
    made = _KINDS[fields.pop("kind")]
    for name, value in fields.items():
        if isinstance(value, list | tuple):
            fields[name] = tuple(int(item) for item in value)
        else:
            fields[name] = int(value)
    part: Part = made(**fields)
    return part
