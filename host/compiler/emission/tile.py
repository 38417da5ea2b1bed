"""Cutting a hardware layer into tiles, bands and image groups.

A tile is `cols` output channels.  A band is as many output rows as fit one partial-sum bank, the
activation buffer and the output buffer.  An image group is images of a batch that are computed
together because all their positions fit one bank.  A step is one band of one image group::

    for each image group: for each band: (one step)  for each tile: all its weights, once

Every step streams all the layer's weights.  The order of the tiles in a step does not matter, and
no other loop order would save a byte, since weights are not kept on the chip.
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
    lane_groups : int
        Groups of ``drain_lanes`` columns that DRAIN reads for these channels, one per cycle.
    spans : tuple of (int, int)
        For each segment, the planes it reads: first, end.
    weight_blocks : int
        Weight blocks to stream.
    """

    first: int
    count: int
    lane_groups: int
    spans: tuple[tuple[int, int], ...]
    weight_blocks: int

    def opened(self, arch: Arch) -> int:
        """End of the output planes its drain writes to."""
        return -(-(self.first + self.lane_groups * arch.drain_lanes) // arch.rows)

    def done(self, channels: int, arch: Arch) -> int:
        """End of the output planes that this tile completes, of `channels` in all."""
        end = self.first + self.count
        return -(-end // arch.rows) if end == channels else end // arch.rows


@dataclass(frozen=True)
class Band:
    """Output rows computed together.

    Parameters
    ----------
    first, rows : int
        Rows of the map in the output buffer.
    inputs : tuple of (int, int)
        For each segment, the rows it reads: first, end.
    """

    first: int
    rows: int
    inputs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Step:
    """A band of an image group.

    Parameters
    ----------
    image, images : int
        The first image, and the number of images.
    number : int
        Number of the band.
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
        Of each image; a group of several images has one band.
    plane_ranges : tuple of range
        Planes that pass through the output buffer together: all of them with a convolution or LRN,
        one at a time for pooling alone.
    image_groups : tuple of int
        Number of images in each image group.
    """

    layer: HardwareLayer
    tiles: tuple[Tile, ...]
    bands: tuple[Band, ...]
    plane_ranges: tuple[range, ...]
    image_groups: tuple[int, ...] = (1,)

    @property
    def rows(self) -> list[tuple[int, int]]:
        """First row and number of rows of each band."""
        return [(band.first, band.rows) for band in self.bands]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All bands of all image groups, in order."""
        result = []
        image = 0
        for images in self.image_groups:
            result += [Step(image, images, n, band) for n, band in enumerate(self.bands)]
            image += images
        return tuple(result)

    @property
    def batch(self) -> int:
        """Images in all."""
        return sum(self.image_groups)

    def head(self, count: int) -> Plan:
        """Return the plan of the first `count` image groups alone."""
        return replace(self, image_groups=self.image_groups[:count])

    def positions(self, step: Step) -> int:
        """Output positions of a tile in this step."""
        return step.images * step.band.rows * self.layer.shape[1]

    def where(self, step: Step) -> str:
        """Description of a step: its band, and its images if there are several."""
        if self.batch == 1:
            return f"band {step.number}"
        last = step.image + step.images - 1
        images = f"image {last}" if step.images == 1 else f"images {step.image} to {last}"
        return f"band {step.number}, {images}"

    def input_rows(self, step: Step, number: int) -> tuple[int, int]:
        """First row and end of the rows of segment `number` that a step reads.

        Rows are counted from the first row of the first image.  Image groups are read whole.
        """
        height = self.layer.segments[number].height
        low, high = step.band.inputs[number]
        if step.images > 1:
            low, high = 0, step.images * height
        return step.image * height + low, step.image * height + high

    def input_words(self, step: Step, number: int) -> int:
        """Words in the activation buffer of one plane of segment `number`."""
        low, high = self.input_rows(step, number)
        return (high - low) * self.layer.segments[number].width

    def act_words(self, step: Step) -> int:
        """Words of the activation buffer a step reads."""
        return sum(
            segment.planes * self.input_words(step, number)
            for number, segment in enumerate(self.layer.segments)
        )

    def out_words(self, arch: Arch) -> int:
        """Minimum words of output buffer that the layer needs.

        Raises
        ------
        ValueError
            If a band is too short for the pooling windows of the next one.
        """
        channels = self.layer.shape[2]
        steps = [(tile.opened(arch), tile.done(channels, arch)) for tile in self.tiles]
        # Without a convolution only the first range is tried: the others are no larger.
        steps = steps or [(plane + 1, plane + 1) for plane in self.plane_ranges[0]]
        return OutputPlanes.words_needed(
            self.layer, self.rows, self.plane_ranges[0], steps, max(self.image_groups)
        )

    def buffers(self, arch: Arch) -> tuple[int, int, int]:
        """Words of the activation buffer, positions of a bank, words of the output buffer."""
        first = self.steps[: len(self.bands)]
        positions = max(self.positions(step) for step in first) if self.tiles else 0
        return max(self.act_words(step) for step in first), positions, self.out_words(arch)

    def fits(self, arch: Arch) -> bool:
        """Whether the plan fits all buffers."""
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
        return f"{text}, {max(self.image_groups)} of {self.batch} images together"


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
    """Split `total` into `count` parts that differ by at most 1, larger ones first."""
    return [total // count + (index < total % count) for index in range(count)]
