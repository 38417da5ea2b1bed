"""Cutting a hardware layer in tiles, bands and groups of images.

A tile is `cols` output channels; a band is as many output rows as one bank of partial sums, the
activation buffer and the output buffer can take; a group is images of a batch that are computed
together because a bank has room for all their positions.  A step is one band of one group::

    for each group: for each band: (one step)  for each tile: all its weights, once

Every step streams all the layer's weights.  The order of the tiles in a step does not matter, and
another order of the loops would not save a byte: weights are used as they come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from penstock.host.compiler.emission.output import OutputPlanes
from penstock.host.compiler.lowering.lower import HardwareLayer
from penstock.models.spec.arch import Arch

__all__ = ["Band", "Plan", "Step", "Tile", "balanced", "cut_bands", "cut_tiles"]


@dataclass(frozen=True)
class Tile:
    """Output channels computed together.

    Parameters
    ----------
    first, count : int
        Channels.
    groups : int
        Groups of drain lanes that hold them.
    spans : tuple of (int, int)
        For each segment, first plane and end of the planes it reads.
    blocks : int
        Weight blocks.
    """

    first: int
    count: int
    groups: int
    spans: tuple[tuple[int, int], ...]
    blocks: int

    def opened(self, arch: Arch) -> int:
        """End of the output planes its drain writes to."""
        return -(-(self.first + self.groups * arch.drain_lanes) // arch.rows)

    def done(self, channels: int, arch: Arch) -> int:
        """End of the output planes that are complete with it, of `channels` in all."""
        end = self.first + self.count
        return -(-end // arch.rows) if end == channels else end // arch.rows


@dataclass(frozen=True)
class Band:
    """Rows computed together.

    Parameters
    ----------
    first, rows : int
        Rows of the map in the output buffer.
    inputs : tuple of (int, int)
        For each segment, first row and end of the rows it reads.
    """

    first: int
    rows: int
    inputs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Step:
    """A band of a group of images.

    Parameters
    ----------
    image, images : int
        The first image, and how many.
    number : int
        Of the band.
    band : Band
    """

    image: int
    images: int
    number: int
    band: Band


@dataclass(frozen=True)
class Plan:
    """How a hardware layer is cut.

    Parameters
    ----------
    layer : HardwareLayer
    tiles : tuple of Tile
        Empty without a convolution.
    bands : tuple of Band
        Of each image.  Several images in a group have but one.
    blocks : tuple of range
        Planes that go through the output buffer together: all of them with a convolution or LRN,
        one at a time for pooling alone.
    groups : tuple of int
        Images in each group.
    """

    layer: HardwareLayer
    tiles: tuple[Tile, ...]
    bands: tuple[Band, ...]
    blocks: tuple[range, ...]
    groups: tuple[int, ...] = (1,)

    @property
    def rows(self) -> list[tuple[int, int]]:
        """First row and rows of each band."""
        return [(band.first, band.rows) for band in self.bands]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All bands of all groups, in order."""
        result = []
        image = 0
        for images in self.groups:
            result += [Step(image, images, n, band) for n, band in enumerate(self.bands)]
            image += images
        return tuple(result)

    @property
    def batch(self) -> int:
        """Images in all."""
        return sum(self.groups)

    def head(self, count: int) -> Plan:
        """Return the plan of the first `count` groups alone."""
        return replace(self, groups=self.groups[:count])

    def positions(self, step: Step) -> int:
        """Positions of a tile."""
        return step.images * step.band.rows * self.layer.shape[1]

    def where(self, step: Step) -> str:
        """A step in words: its band, and its images if there are several."""
        if self.batch == 1:
            return f"band {step.number}"
        last = step.image + step.images - 1
        images = f"image {last}" if step.images == 1 else f"images {step.image} to {last}"
        return f"band {step.number}, {images}"

    def input_rows(self, step: Step, number: int) -> tuple[int, int]:
        """First row and end of the rows a step reads of segment `number`.

        Rows are counted from the first image's first.  Images of a group are read whole.
        """
        height = self.layer.segments[number].height
        low, high = step.band.inputs[number]
        if step.images > 1:
            low, high = 0, step.images * height
        return step.image * height + low, step.image * height + high

    def input_words(self, step: Step, number: int) -> int:
        """Words of one plane of segment `number` in the activation buffer."""
        low, high = self.input_rows(step, number)
        return (high - low) * self.layer.segments[number].width

    def act_words(self, step: Step) -> int:
        """Words of the activation buffer a step reads."""
        return sum(
            segment.planes * self.input_words(step, number)
            for number, segment in enumerate(self.layer.segments)
        )

    def out_words(self, arch: Arch) -> int:
        """Words of the output buffer the layer needs at least.

        Raises
        ------
        ValueError
            If a band is too short for the pooling windows of the next one.
        """
        channels = self.layer.shape[2]
        steps = [(tile.opened(arch), tile.done(channels, arch)) for tile in self.tiles]
        # Without a convolution only the first block is tried: the others are no larger.
        steps = steps or [(plane + 1, plane + 1) for plane in self.blocks[0]]
        return OutputPlanes.words_needed(
            self.layer, self.rows, self.blocks[0], steps, max(self.groups)
        )

    def buffers(self, arch: Arch) -> tuple[int, int, int]:
        """Words of the activation buffer, positions of a bank, words of the output buffer."""
        first = self.steps[: len(self.bands)]
        positions = max(self.positions(step) for step in first) if self.tiles else 0
        return max(self.act_words(step) for step in first), positions, self.out_words(arch)

    def fits(self, arch: Arch) -> bool:
        """Whether all buffers can take it."""
        first = self.steps[: len(self.bands)]
        if max(self.act_words(step) for step in first) > arch.act_words:
            return False
        if self.tiles and max(self.positions(step) for step in first) > arch.psum_words:
            return False
        try:
            return self.out_words(arch) <= arch.out_words
        except ValueError:
            return False

    def __str__(self) -> str:
        rows = [str(band.rows) for band in self.bands]
        if len(rows) > 4 and len(set(rows[1:-1])) == 1:
            rows = [rows[0], f"{len(rows) - 2}x{rows[1]}", rows[-1]]
        text = f"{self.layer.lowering}, bands of {'+'.join(rows)} rows"
        if len(self.bands) == 1:
            text = f"{self.layer.lowering}, one band of {rows[0]} rows"
        if self.batch == 1:
            return text
        return f"{text}, {max(self.groups)} of {self.batch} images together"


def cut_tiles(layer: HardwareLayer, arch: Arch) -> tuple[Tile, ...]:
    """Return the tiles of a layer with a convolution."""
    channels = layer.shape[2]
    result = []
    for first in range(0, channels, arch.cols):
        count = min(arch.cols, channels - first)
        spans = tuple(segment.span(first, count) for segment in layer.segments)
        blocks = sum(
            (high - low) * segment.kernel[0] * segment.kernel[1]
            for segment, (low, high) in zip(layer.segments, spans, strict=True)
        )
        result.append(Tile(first, count, -(-count // arch.drain_lanes), spans, blocks))
    return tuple(result)


def cut_bands(layer: HardwareLayer, sizes: list[int]) -> tuple[Band, ...]:
    """Return bands of these many rows."""
    result = []
    first = 0
    for rows in sizes:
        inputs = tuple(segment.input_rows(first, rows) for segment in layer.segments)
        result.append(Band(first, rows, inputs))
        first += rows
    return tuple(result)


def balanced(total: int, count: int) -> list[int]:
    """`total` in `count` parts, larger ones first."""
    return [total // count + (index < total % count) for index in range(count)]
