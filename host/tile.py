"""Cutting a hardware layer in tiles and bands.

A tile is `cols` output channels; a band is as many output rows as one bank of partial sums, the
activation buffer and the output buffer can take.  Every band streams all the layer's weights again,
so few bands are good; but the first tile cannot begin before its input is loaded, and the next band
should be loading while one is computed.  `plan` weighs this by a simple count of cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

from host.errors import CompileError
from host.lower import HardwareLayer
from host.output import OutputPlanes
from models.arch import Arch
from models.graph import INPUT

__all__ = ["BLOCK_OVERHEAD", "Band", "Plan", "Tile", "block_cycles", "plan"]

# Cycles beyond two array heights below which the next weight block is not in place yet.
BLOCK_OVERHEAD = 3

# Cycles that a tile and a post cost beyond their work: descriptors, pipelines, memory latency.
_TILE_OVERHEAD = 16
_POST_OVERHEAD = 100

# How many more bands than the fewest possible are considered.
_MORE_BANDS = 8

# The most rows of a first band that is shorter than the others.
_SHORT_BAND = 8


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
class Plan:
    """How a hardware layer is cut.

    Parameters
    ----------
    layer : HardwareLayer
    tiles : tuple of Tile
        Empty without a convolution.
    bands : tuple of Band
    blocks : tuple of range
        Planes that go through the output buffer together: all of them with a convolution or LRN,
        one at a time for pooling alone.
    """

    layer: HardwareLayer
    tiles: tuple[Tile, ...]
    bands: tuple[Band, ...]
    blocks: tuple[range, ...]

    @property
    def rows(self) -> list[tuple[int, int]]:
        """First row and rows of each band."""
        return [(band.first, band.rows) for band in self.bands]


def block_cycles(positions: int, arch: Arch) -> int:
    """Cycles the array needs for one weight block of a tile of `positions`."""
    return max(positions, 2 * arch.rows + BLOCK_OVERHEAD)


def _tiles(layer: HardwareLayer, arch: Arch) -> tuple[Tile, ...]:
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


def _bands(layer: HardwareLayer, sizes: list[int]) -> tuple[Band, ...]:
    result = []
    first = 0
    for rows in sizes:
        inputs = tuple(segment.input_rows(first, rows) for segment in layer.segments)
        result.append(Band(first, rows, inputs))
        first += rows
    return tuple(result)


def _balanced(total: int, count: int) -> list[int]:
    """`total` in `count` parts, larger ones first."""
    return [total // count + (index < total % count) for index in range(count)]


def _act_words(layer: HardwareLayer, band: Band) -> int:
    """Words of the activation buffer a band reads."""
    return sum(
        segment.planes * (high - low) * segment.width
        for segment, (low, high) in zip(layer.segments, band.inputs, strict=True)
    )


def _load_beats(layer: HardwareLayer, band: Band) -> list[tuple[int, int]]:
    """Beats to load and weight blocks to compute of each plane, in order of use."""
    return [
        ((high - low) * segment.row_beats, segment.kernel[0] * segment.kernel[1])
        for segment, (low, high) in zip(layer.segments, band.inputs, strict=True)
        for _ in range(segment.planes)
    ]


def _post_cycles(layer: HardwareLayer, arch: Arch) -> int:
    """Cycles to normalise, pool and store all maps of a layer."""
    pixels = 0
    for post in layer.posts:
        rate = max(3, arch.rows // arch.lrn_lanes) if post.lrn else 1
        columns = (post.shape[1] - 1) * post.stride + post.kernel
        pixels += post.shape[0] * columns * post.kernel * rate
    return pixels * -(-layer.shape[2] // arch.rows)


def _cycles(
    layer: HardwareLayer, tiles: tuple[Tile, ...], bands: tuple[Band, ...], arch: Arch
) -> int:
    """Cycles a convolution takes, roughly."""
    blocks = sum(tile.blocks for tile in tiles)
    weights = len(tiles) * arch.params_bytes // 8 + blocks * arch.block_bytes // 8
    words = [_act_words(layer, band) for band in bands]
    beats = [sum(load for load, _ in _load_beats(layer, band)) for band in bands]
    stored = sum(
        -(-post.shape[2] // arch.rows) * post.shape[0] * arch.row_beats(post.shape[1])
        for post in layer.posts
    )
    planes = -(-layer.shape[2] // arch.rows)
    posts = _post_cycles(layer, arch)
    total = 0
    for index, band in enumerate(bands):
        cycles = block_cycles(band.rows * layer.shape[1], arch)
        bus = weights + stored * band.rows // layer.shape[0]
        if index + 1 < len(bands):
            if words[index] + words[index + 1] <= arch.act_words:
                bus += beats[index + 1]
            else:
                total += beats[index + 1]
        array = blocks * cycles + len(tiles) * _TILE_OVERHEAD
        post = posts * band.rows // layer.shape[0] + planes * _POST_OVERHEAD
        total += max(array, bus, post)
        if index == 0 and layer.source == INPUT:
            # Nothing hides the first loads: the first tile waits for plane after plane.
            loaded = computed = 0
            for load, count in _load_beats(layer, band):
                loaded += load
                computed = max(computed, loaded) + count * cycles
            total += computed - sum(count for _, count in _load_beats(layer, band)) * cycles
    return total


def _conv_steps(layer: HardwareLayer, tiles: tuple[Tile, ...], arch: Arch) -> list[tuple[int, int]]:
    """End of the planes each tile's drain writes to, and of those it completes."""
    steps = []
    for tile in tiles:
        opened = -(-(tile.first + tile.groups * arch.drain_lanes) // arch.rows)
        end = tile.first + tile.count
        done = -(-end // arch.rows) if end == layer.shape[2] else end // arch.rows
        steps.append((opened, done))
    return steps


def _candidates(layer: HardwareLayer, most_rows: int) -> list[list[int]]:
    """Ways to cut the rows in bands of at most `most_rows`."""
    height = layer.shape[0]
    fewest = -(-height // most_rows)
    counts = range(fewest, min(height, fewest + _MORE_BANDS) + 1)
    result = [_balanced(height, count) for count in counts]
    if layer.source == INPUT:
        # A short first band lets the array begin early.
        for first in range(1, min(most_rows, height - 1, _SHORT_BAND) + 1):
            rest = -(-(height - first) // most_rows)
            result += [
                [first, *_balanced(height - first, count)]
                for count in range(rest, min(height - first, rest + _MORE_BANDS) + 1)
            ]
    count = max(2 * (fewest + _MORE_BANDS), 1)
    while count < height:
        result.append(_balanced(height, count))
        count *= 2
    result.append([1] * height)
    return result


def _fits(plan: Plan, steps: list[tuple[int, int]], arch: Arch) -> bool:
    """Whether both buffers can take a plan."""
    if any(_act_words(plan.layer, band) > arch.act_words for band in plan.bands):
        return False
    try:
        need = max(
            OutputPlanes.words_needed(plan.layer, plan.rows, planes, steps)
            for planes in plan.blocks
        )
    except ValueError:
        return False
    return need <= arch.out_words


def _refuse(layer: HardwareLayer, arch: Arch) -> CompileError:
    """The reason why nothing fits: what the shortest band needs."""
    width = layer.shape[1]
    kernel = max(post.kernel for post in layer.posts)
    rows = min(max(kernel - 1, 1), layer.shape[0])
    planes = -(-layer.shape[2] // arch.rows)
    name = f"layer {layer.name}"
    if layer.segments:
        if width * rows > arch.psum_words:
            what = f"a row of {width} outputs" if rows == 1 else f"{rows} rows of {width} outputs"
            return CompileError(
                f"{name}: {what}: {width * rows} partial sums needed, "
                f"arch {arch.name} has {arch.psum_words}"
            )
        words = max(_act_words(layer, band) for band in _bands(layer, [1] * layer.shape[0]))
        if words > arch.act_words:
            return CompileError(
                f"{name}: the input of one output row needs {words} words of activation buffer, "
                f"arch {arch.name} has {arch.act_words}"
            )
    if not layer.segments and layer.lrn is None:
        planes = 1
    bands = 1 if rows == layer.shape[0] else 2
    words = planes * rows * width * bands if bands > 1 else min(planes, 3) * rows * width
    return CompileError(
        f"{name}: bands of {rows} rows of {width} words in {planes} planes need about {words} "
        f"words of output buffer, arch {arch.name} has {arch.out_words}"
    )


def plan(layer: HardwareLayer, arch: Arch) -> Plan:
    """Return the best way found to cut a hardware layer.

    Raises
    ------
    CompileError
        If no way fits the buffers.
    """
    height, width, channels = layer.shape
    planes = -(-channels // arch.rows)
    tiles = _tiles(layer, arch) if layer.conv else ()
    most_rows = arch.psum_words // width if layer.conv else arch.out_words // width
    if most_rows < 1:
        raise _refuse(layer, arch)
    whole = layer.conv is not None or layer.lrn is not None
    blocks = (range(planes),) if whole else tuple(range(p, p + 1) for p in range(planes))
    made = [
        Plan(layer, tiles, _bands(layer, sizes), blocks)
        for sizes in _candidates(layer, min(most_rows, height))
    ]
    if layer.conv:
        steps = _conv_steps(layer, tiles, arch)
        made.sort(key=lambda candidate: _cycles(layer, tiles, candidate.bands, arch))
    else:
        # Only the first block is tried: the others are no larger.
        steps = [(plane + 1, plane + 1) for plane in blocks[0]]
    for candidate in made:
        if _fits(Plan(layer, tiles, candidate.bands, blocks[:1]), steps, arch):
            return candidate
    raise _refuse(layer, arch)
