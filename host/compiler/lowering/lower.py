"""From chains of layers to hardware layers.

A hardware layer is a fused layer: its intermediates never leave on-chip buffers.  It is a
convolution, then optionally LRN, then optionally max pooling; or LRN or pooling alone; or neither,
which copies a map.  `host.compiler.lowering.chains` finds the layers to fuse, `lowerings` lists the
ways to compute them.

A convolution reads segments.  The plain form is one segment, the planes of its input map.  If the
network's input has so few channels that most of a word would be empty,
`host.program.tensor_layout.Runs` packs the image on the host into full words, as two segments whose
products are summed.  An addition of two maps is a convolution of two segments with one weight per
channel; average pooling is a convolution too (`host.compiler.lowering.average`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.compiler.lowering.average import average_terms
from penstock.host.compiler.lowering.chains import Chain, Line
from penstock.host.compiler.lowering.segment import Segment
from penstock.host.program.channel_views import ChannelView
from penstock.host.program.compile_error import CompileError
from penstock.host.program.tensor_layout import Runs
from penstock.models.graph.graph import (
    INPUT,
    ConvGeometry,
    Layer,
    MaxPool,
    QAdd,
    QAveragePool,
    QConv,
    QLrn,
    Shape,
)
from penstock.models.spec.arch import Arch

__all__ = ["HardwareLayer", "Post", "lowerings"]

MAX_POOL = 3
LRN_SIZE = 5
_ACC_LIMIT = 1 << 31

Params = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
Segments = tuple[Segment, ...]


@dataclass(frozen=True, kw_only=True)
class Post:
    """A feature map that a hardware layer stores.

    Parameters
    ----------
    name : str
        The network's layer that produces it.
    lrn : bool
        Whether LRN comes first.
    pool : MaxPool or None
        The max pooling that comes last.
    target : ChannelView
        Where it is stored.
    planes : range
        Planes of the hardware layer from which it is made.
    """

    name: str
    lrn: bool
    pool: MaxPool | None
    target: ChannelView
    planes: range

    @property
    def shape(self) -> Shape:
        """Rows, columns, channels."""
        return self.target.shape

    @property
    def kernel(self) -> int:
        """Pooling window."""
        return self.pool.kernel if self.pool else 1

    @property
    def stride(self) -> int:
        """Pooling stride."""
        return self.pool.stride if self.pool else 1

    @property
    def pad(self) -> tuple[int, int]:
        """Padding: top, left."""
        return self.pool.pad[:2] if self.pool else (0, 0)

    def cycles(self, arch: Arch) -> int:
        """Estimated cycles of POST for the whole map."""
        rate = max(3, arch.rows // arch.lrn_lanes) if self.lrn else max(1, arch.rows // 8)
        if self.pool is not None and not self.lrn:
            rate = 1
        columns = (self.shape[1] - 1) * self.stride + self.kernel
        return self.shape[0] * columns * self.kernel * rate * len(self.planes)

    def complete_rows(self, rows: int) -> int:
        """Output rows that depend only on input rows before `rows`."""
        count = (rows + self.pad[0] - self.kernel) // self.stride + 1
        return min(max(count, 0), self.shape[0])


@dataclass(frozen=True, kw_only=True)
class HardwareLayer:
    """A fused layer: it reads its input from memory and writes its results to memory.

    Parameters
    ----------
    name : str
    covers : tuple of str
        The network's layers in it, in order.
    macs : int
    least_bytes : int
        Minimum traffic for one image: weights, input and output once, one byte per value, no
        padding, nothing kept on the chip between layers.
    source : ChannelView
        Its input, or the first of several.
    segments : tuple of Segment
        Empty without a convolution.
    params : tuple of int64 arrays (channels,), or None
        With a convolution: bias, multiplier and shift of the requantisation.
    lrn : QLrn or None
    posts : tuple of Post
        Maps to store.
    shape : (int, int, int)
        Of the map in the output buffer: without the rows that no post needs, and including the
        empty channels at the end of a plane if another plane follows.
    runs : Runs or None
        How the input image is packed for this layer; its `offset` is not yet valid.
    """

    name: str
    covers: tuple[str, ...]
    macs: int
    least_bytes: int
    source: ChannelView
    segments: tuple[Segment, ...]
    params: Params | None = field(repr=False)
    lrn: QLrn | None
    posts: tuple[Post, ...]
    shape: Shape
    runs: Runs | None = None

    @property
    def sources(self) -> tuple[ChannelView, ...]:
        """The parts of maps it reads from memory; none if the input is packed in runs."""
        if not self.segments:
            return (self.source,)
        return tuple(segment.view for segment in self.segments if segment.view is not None)

    @property
    def reads_input(self) -> bool:
        """Whether it reads the network's input."""
        return self.runs is not None or any(view.map == INPUT for view in self.sources)

    def post_cycles(self, arch: Arch) -> int:
        """Cycles to normalise, pool and store all maps."""
        return sum(post.cycles(arch) for post in self.posts)

    @property
    def lowering(self) -> str:
        """How the input is read: ``direct``, ``row runs`` or ``no convolution``."""
        if not self.segments:
            return "no convolution"
        return "direct" if self.runs is None else "row runs"


def _check_pool(layer: MaxPool) -> None:
    if not 1 <= layer.kernel <= MAX_POOL:
        raise CompileError(
            f"layer {layer.name}: a pooling window of {layer.kernel} does not fit, "
            f"the largest is {MAX_POOL}"
        )
    if not 1 <= layer.stride <= 15:
        raise CompileError(f"layer {layer.name}: a pooling stride of {layer.stride} is not 1 to 15")
    if not all(0 <= pad < layer.kernel for pad in layer.pad):
        raise CompileError(
            f"layer {layer.name}: pooling padding {layer.pad} must be smaller than the window "
            f"of {layer.kernel}"
        )


def _check_lrn(layer: QLrn, arch: Arch) -> None:
    if not arch.lrn_lanes:
        raise CompileError(f"layer {layer.name}: arch {arch.name} has no LRN engine")
    if layer.size != LRN_SIZE:
        raise CompileError(
            f"layer {layer.name}: LRN over {layer.size} channels, the engine has {LRN_SIZE}"
        )


def _check_conv(layer: QConv) -> None:
    # Magnitudes as bytes, which can hold 128: a wider copy of a large layer takes too much memory.
    size = np.abs(layer.weight.reshape(layer.weight.shape[0], -1)).view(np.uint8)
    sums = size.sum(axis=1, dtype=np.int64)
    worst = int((sums * 255 + np.abs(layer.bias.astype(np.int64))).max())
    if worst >= _ACC_LIMIT:
        raise CompileError(
            f"layer {layer.name}: sums of up to {worst} do not fit a 32-bit accumulator"
        )


def _plain(layer: QConv, view: ChannelView, rows: int) -> Segment:
    geometry = layer.geometry
    return Segment(
        form="map",
        view=view,
        height=view.size[0],
        width=view.size[1],
        kernel=geometry.kernel,
        stride=geometry.stride,
        pad=geometry.pad[:2],
        fill=layer.in_zero,
        groups=geometry.groups,
        weight=layer.weight,
        rows=rows,
        slots=view.slots(rows),
    )


def _each_channel(view: ChannelView, weight: int, kernel: tuple[int, int], rows: int) -> Segment:
    """A depthwise segment that multiplies all values of a window by `weight`."""
    return Segment(
        form="map",
        view=view,
        height=view.size[0],
        width=view.size[1],
        kernel=kernel,
        stride=(1, 1),
        pad=(0, 0),
        fill=0,
        groups=view.channels,
        weight=np.full((view.channels, *kernel, 1), weight, np.int8),
        rows=rows,
        slots=view.slots(rows),
    )


def _same(channels: int, *values: int) -> Params:
    """Requantisation parameters that are the same for all channels."""
    bias, multiplier, shift = (np.full(channels, value, np.int64) for value in values)
    return bias, multiplier, shift


def _parameters(layer: QConv) -> Params:
    bias, multiplier, shift = (
        np.asarray(values, np.int64) for values in (layer.bias, layer.multiplier, layer.shift)
    )
    return bias, multiplier, shift


def _average(
    layer: QAveragePool, view: ChannelView, out: Shape, rows: int
) -> tuple[Segments, Params]:
    terms, *params = average_terms(layer, view.size, out[:2])
    segments = tuple(
        replace(
            _each_channel(view, term.weight, term.kernel, rows),
            stride=layer.stride,
            pad=term.pad,
            fill=layer.in_zero,
            frame=term.frame,
        )
        for term in terms
    )
    return segments, _same(view.channels, *params)


def _side_by_side(layers: list[QConv], rows: int) -> tuple[QConv, list[range]]:
    """Merge several convolutions into one; also return the output planes of each.

    Each begins a plane; the empty channels in between have no weights.
    """
    if len(layers) == 1:
        return layers[0], [range(-(-layers[0].weight.shape[0] // rows))]
    counts = [layer.weight.shape[0] for layer in layers]
    padded = [-(-count // rows) * rows for count in counts[:-1]] + counts[-1:]
    arrays: dict[str, Any] = {}
    for name in ("weight", "bias", "multiplier", "shift"):
        parts = []
        for layer, count, size in zip(layers, counts, padded, strict=True):
            values = getattr(layer, name)
            parts.append(np.pad(values, [(0, size - count)] + [(0, 0)] * (values.ndim - 1)))
        arrays[name] = np.concatenate(parts)
    planes = []
    first = 0
    for count in counts:
        end = first - (-count // rows)
        planes.append(range(first, end))
        first = end
    return replace(layers[0], **arrays), planes


def _packed(layer: QConv, source: Shape, out: tuple[int, int], rows: int) -> tuple[Segments, Runs]:
    """Segments of a convolution whose input is packed in runs, and that packing."""
    geometry: ConvGeometry = layer.geometry
    runs = Runs(
        offset=0,
        rows=rows,
        height=source[0],
        width=source[1],
        channels=source[2],
        kernel=geometry.kernel,
        stride=geometry.stride,
        pad=geometry.pad[:2],
        fill=layer.in_zero,
        out=out,
    )
    out_ch = layer.weight.shape[0]
    weight = layer.weight.reshape(out_ch, geometry.kernel[0], -1)
    split = runs.whole * rows
    segments = []
    if runs.whole:
        segments.append(
            Segment(
                form="body",
                height=source[0],
                width=out[1],
                kernel=(geometry.kernel[0], 1),
                stride=(geometry.stride[0], 1),
                pad=(geometry.pad[0], 0),
                fill=layer.in_zero,
                groups=1,
                weight=weight[:, :, None, :split],
                rows=rows,
                slots=np.arange(split),
            )
        )
    if runs.tail:
        segments.append(
            Segment(
                form="tail",
                height=out[0],
                width=out[1],
                kernel=(1, 1),
                stride=(1, 1),
                pad=(0, 0),
                fill=0,
                groups=1,
                weight=weight[:, :, split:].reshape(out_ch, 1, 1, -1),
                rows=rows,
                slots=np.arange(runs.tail),
            )
        )
    return tuple(segments), runs


def _cost(segments: Segments, shape: Shape, arch: Arch) -> int:
    """Estimate a convolution's cycles: the maximum of array and bus."""
    tiles = -(-shape[2] // arch.cols)
    blocks = sum(s.planes * s.kernel[0] * s.kernel[1] for s in segments)
    beats = sum(s.planes * s.height * s.row_beats for s in segments)
    return max(tiles * blocks * shape[0] * shape[1], beats)


def _posts(line: Line, stored: frozenset[str], planes: range) -> list[Post]:
    """The maps that a line stores."""
    posts = []
    for node in line:
        if node is line[-1] or node.layer.name in stored:
            posts.append(
                Post(
                    name=node.layer.name,
                    lrn=any(isinstance(part.layer, QLrn) for part in line[: line.index(node) + 1]),
                    pool=node.layer if isinstance(node.layer, MaxPool) else None,
                    target=node.target,
                    planes=planes,
                )
            )
    return posts


def _check(layer: Layer, arch: Arch) -> None:
    if isinstance(layer, QLrn):
        _check_lrn(layer, arch)
    elif isinstance(layer, MaxPool):
        _check_pool(layer)
    elif isinstance(layer, QConv):
        _check_conv(layer)


def _least_bytes(chain: Chain, posts: list[Post]) -> int:
    weights = sum(node.macs // (node.target.size[0] * node.target.size[1]) for node in chain.nodes)
    views = [*set(chain.branches[0][0].sources), *(post.target for post in posts)]
    return weights + sum(view.size[0] * view.size[1] * view.channels for view in views)


def lowerings(chain: Chain, arch: Arch) -> list[HardwareLayer]:
    """Return the ways to compute a chain as one hardware layer, best first.

    Raises
    ------
    CompileError
        If the hardware cannot compute one of its layers.
    """
    rows = arch.rows
    for layer in chain.layers:
        _check(layer, arch)
    node = chain.branches[0][0]
    first, source, target = node.layer, node.sources[0], node.target
    lrn = next((layer for layer in chain.layers if isinstance(layer, QLrn)), None)
    # Without a convolution, planes keep the layout of the map.
    filled = source.filled(rows)
    full: Shape = (*source.size, (len(filled) - 1) * rows + filled[-1])
    planes = [range(len(filled))]
    segments: Segments = ()
    params: Params | None = None
    conv: QConv | None = None
    if isinstance(first, QConv):
        convs = [line[0].layer for line in chain.branches]
        conv, planes = _side_by_side([c for c in convs if isinstance(c, QConv)], rows)
        segments = (_plain(conv, source, rows),)
        params = _parameters(conv)
        full = (*target.size, conv.weight.shape[0])
    elif isinstance(first, QAdd):
        segments = tuple(
            _each_channel(view, weight, (1, 1), rows)
            for view, weight in zip(node.sources, first.weight, strict=True)
        )
        params = _same(source.channels, first.bias, first.multiplier, first.shift)
    elif isinstance(first, QAveragePool):
        segments, params = _average(first, source, target.shape, rows)
    elif lrn is not None and not source.dense(rows):
        # Channels must be contiguous: an identity convolution packs them.
        segments = (_each_channel(source, 1, (1, 1), rows),)
        params = _same(source.channels, 0, 1, 0)
    if segments and conv is None:
        full = (*target.size, source.channels)
        planes = [range(-(-source.channels // rows))]
    posts = [
        post
        for line, part in zip(chain.branches, planes, strict=True)
        for post in _posts(line, chain.stored, part)
    ]
    needed = max((p.shape[0] - 1) * p.stride - p.pad[0] + p.kernel for p in posts)
    base = HardwareLayer(
        name=node.name,
        covers=tuple(name for part in chain.nodes for name in part.covers),
        macs=sum(part.macs for part in chain.nodes),
        least_bytes=_least_bytes(chain, posts),
        source=source,
        segments=segments,
        params=params,
        lrn=lrn,
        posts=tuple(posts),
        shape=(min(full[0], needed), full[1], full[2]),
    )
    if conv is None or source.map != INPUT or conv.geometry.groups != 1:
        return [base]
    segments, runs = _packed(conv, source.shape, full[:2], rows)
    packed = replace(base, segments=segments, runs=runs)
    return sorted((base, packed), key=lambda layer: _cost(layer.segments, base.shape, arch))
