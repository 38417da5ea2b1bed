"""From a network's layers to hardware layers.

A hardware layer is what the accelerator does without a map going to memory in between: a
convolution, then optionally LRN, then optionally max pooling; or LRN or pooling alone.  `chains`
finds them, `lowerings` says in which ways one can be computed.

A convolution reads segments.  The plain form is one segment, the planes of its input map.  The
network's input often has so few channels that most of a word would be empty; `host.layout.Runs`
then packs the image on the host so that words are full, in two segments whose products add up.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from host.cpu import on_cpu
from host.errors import CompileError
from host.layout import BEAT, Runs
from models.arch import Arch
from models.graph import (
    INPUT,
    ConvGeometry,
    Layer,
    MaxPool,
    Network,
    QConv,
    QFc,
    QLrn,
    Shape,
    infer_shapes,
    macs,
)

__all__ = ["Chain", "HardwareLayer", "Post", "Segment", "as_convolution", "chains", "lowerings"]

MAX_POOL = 3
LRN_SIZE = 5
_ACC_LIMIT = 1 << 31


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One input of a convolution: planes of words and the window that walks over them.

    Parameters
    ----------
    form : str
        Where the planes are: ``map`` (the input's map), ``body`` or ``tail`` (of its runs).
    height, width : int
        Rows, and words in a row.
    kernel, stride, pad : (int, int)
        Rows, columns; top, left.
    fill : int
        Value of padded activations.
    groups : int
    weight : int8 array (out_ch, kernel rows, kernel columns, channels of a group)
    rows : int
        Channels in a word.
    """

    form: str
    height: int
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    fill: int
    groups: int
    weight: NDArray[np.int8] = field(repr=False)
    rows: int

    @property
    def planes(self) -> int:
        """Channel blocks."""
        return -(-self.weight.shape[3] * self.groups // self.rows)

    @property
    def row_beats(self) -> int:
        """Beats in one row of one plane, in memory."""
        return -(-self.width * self.rows // BEAT)

    def span(self, first: int, count: int) -> tuple[int, int]:
        """First plane and end of the planes that output channels `first` .. read."""
        depth = self.weight.shape[3]
        per_group = self.weight.shape[0] // self.groups
        low = first // per_group * depth
        high = ((first + count - 1) // per_group + 1) * depth
        return low // self.rows, -(-high // self.rows)

    def some(self, low: int, high: int) -> str:
        """Planes `low` to `high`, the end, in words."""
        text = f"plane {low}" if high == low + 1 else f"planes {low} to {high - 1}"
        return text if self.form == "map" else f"{text} of the {self.form}"

    def input_rows(self, first: int, count: int) -> tuple[int, int]:
        """First row and end of the input rows that output rows `first` .. read, at least one."""
        low = first * self.stride[0] - self.pad[0]
        high = low + (count - 1) * self.stride[0] + self.kernel[0]
        low = min(max(low, 0), self.height - 1)
        return low, max(min(high, self.height), low + 1)


@dataclass(frozen=True, kw_only=True)
class Post:
    """A feature map that a hardware layer stores.

    Parameters
    ----------
    name : str
        Of the network's layer that makes it.
    lrn : bool
        Normalise first.
    pool : MaxPool or None
        Pool last.
    shape : (int, int, int)
    """

    name: str
    lrn: bool
    pool: MaxPool | None
    shape: Shape

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

    def complete_rows(self, rows: int) -> int:
        """Output rows that need no input row from `rows` on."""
        count = (rows + self.pad[0] - self.kernel) // self.stride + 1
        return min(max(count, 0), self.shape[0])


@dataclass(frozen=True, kw_only=True)
class HardwareLayer:
    """Work between one trip through memory and the next.

    Parameters
    ----------
    name : str
    covers : tuple of str
        The network's layers in it, in order.
    macs : int
    source : str
        The map it reads.
    segments : tuple of Segment
        Empty without a convolution.
    conv : QConv or None
    lrn : QLrn or None
    posts : tuple of Post
        Maps to store; the last one is the layer's result.
    shape : (int, int, int)
        Of what the output buffer gets: rows that no post needs are left out.
    runs : Runs or None
        How the input image is packed for this layer; `offset` is not yet meant.
    """

    name: str
    covers: tuple[str, ...]
    macs: int
    source: str
    segments: tuple[Segment, ...]
    conv: QConv | None
    lrn: QLrn | None
    posts: tuple[Post, ...]
    shape: Shape
    runs: Runs | None = None

    @property
    def lowering(self) -> str:
        """How the input is read, in a word."""
        if not self.segments:
            return "no convolution"
        return "direct" if self.runs is None else "row runs"


@dataclass(frozen=True)
class Chain:
    """Layers that may become one hardware layer.

    Parameters
    ----------
    layers : tuple of Layer
        Each reads the one before.
    stored : frozenset of str
        Maps that something else reads too; the last one is always stored.
    """

    layers: tuple[Layer, ...]
    stored: frozenset[str]

    def split(self) -> tuple[Chain, Chain] | None:
        """Return the first layer and the rest, or None if there is but one."""
        if len(self.layers) == 1:
            return None
        return Chain(self.layers[:1], self.stored), Chain(self.layers[1:], self.stored)


def _fits_after(layer: Layer, done: list[Layer]) -> bool:
    """Whether a layer can join a chain."""
    if isinstance(layer, QLrn):
        return isinstance(done[-1], QConv)
    return isinstance(layer, MaxPool) and not isinstance(done[-1], MaxPool)


def as_convolution(layer: QFc, source: Shape) -> QConv:
    """Return the convolution without padding that a fully connected layer with ReLU is.

    Its window is the whole map of `source`'s shape; weights, channel-major in the layer, are put in
    the order of maps.
    """
    height, width, channels = source
    weight = layer.weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
    return QConv(
        name=layer.name,
        inputs=layer.inputs,
        geometry=ConvGeometry(kernel=(height, width)),
        weight=np.ascontiguousarray(weight),
        bias=layer.bias,
        multiplier=layer.multiplier,
        shift=layer.shift,
    )


def chains(network: Network, *, trace: bool = False, fc: bool = False) -> tuple[Chain, ...]:
    """Return the chains of all layers before the first that the CPU runs, in order.

    Parameters
    ----------
    trace : bool
        Store every map.
    fc : bool
        Go on through fully connected layers with ReLU, which become convolutions.

    Raises
    ------
    CompileError
        If a layer is of a kind the accelerator does not have.
    """
    layers: list[Layer] = []
    shapes = infer_shapes(network) if fc else {}
    for layer in network.layers:
        if on_cpu(layer):
            if not fc or not isinstance(layer, QFc) or not layer.relu:
                break
            layers.append(as_convolution(layer, shapes[layer.inputs[0]]))
            continue
        if not isinstance(layer, QConv | QLrn | MaxPool):
            raise CompileError(
                f"layer {layer.name}: the accelerator has no {type(layer).__name__} "
                "(only quantised convolution, LRN and max pooling)"
            )
        layers.append(layer)
    if not layers:
        raise CompileError(f"{network.name} has no layers for the accelerator")
    names = {layer.name for layer in layers}
    readers: dict[str, list[Layer]] = {}
    for layer in network.layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    result = []
    taken: set[str] = set()
    for layer in layers:
        if layer.name in taken:
            continue
        chain = [layer]
        stored = set()
        while True:
            after = [
                reader
                for reader in readers.get(chain[-1].name, [])
                if reader.name in names and _fits_after(reader, chain)
            ]
            if not after:
                break
            if trace or len(readers[chain[-1].name]) > 1:
                stored.add(chain[-1].name)
            chain.append(after[0])
        taken.update(part.name for part in chain)
        result.append(Chain(tuple(chain), frozenset(stored)))
    return tuple(result)


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
    # Magnitudes as bytes, which hold 128 too: a wider copy of a large layer takes too much memory.
    size = np.abs(layer.weight.reshape(layer.weight.shape[0], -1)).view(np.uint8)
    sums = size.sum(axis=1, dtype=np.int64)
    worst = int((sums * 255 + np.abs(layer.bias.astype(np.int64))).max())
    if worst >= _ACC_LIMIT:
        raise CompileError(
            f"layer {layer.name}: sums of up to {worst} do not fit a 32-bit accumulator"
        )


def _plain(layer: QConv, source: Shape, rows: int) -> Segment:
    geometry = layer.geometry
    return Segment(
        form="map",
        height=source[0],
        width=source[1],
        kernel=geometry.kernel,
        stride=geometry.stride,
        pad=geometry.pad[:2],
        fill=layer.in_zero,
        groups=geometry.groups,
        weight=layer.weight,
        rows=rows,
    )


def _packed(
    layer: QConv, source: Shape, out: tuple[int, int], rows: int
) -> tuple[tuple[Segment, ...], Runs]:
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
            )
        )
    return tuple(segments), runs


def _cost(segments: tuple[Segment, ...], shape: Shape, arch: Arch) -> int:
    """Cycles of a convolution, roughly: what the array or the bus takes, whichever is more."""
    tiles = -(-shape[2] // arch.cols)
    blocks = sum(s.planes * s.kernel[0] * s.kernel[1] for s in segments)
    beats = sum(s.planes * s.height * s.row_beats for s in segments)
    return max(tiles * blocks * shape[0] * shape[1], beats)


def lowerings(chain: Chain, network: Network, arch: Arch) -> list[HardwareLayer]:
    """Return the ways to compute a chain in one hardware layer, the best first.

    Raises
    ------
    CompileError
        If the hardware cannot do one of its layers at all.
    """
    shapes = infer_shapes(network)
    first, last = chain.layers[0], chain.layers[-1]
    conv = first if isinstance(first, QConv) else None
    lrn: QLrn | None = None
    posts = []
    for layer in chain.layers:
        if isinstance(layer, QLrn):
            _check_lrn(layer, arch)
            lrn = layer
        elif isinstance(layer, MaxPool):
            _check_pool(layer)
        elif isinstance(layer, QConv):
            _check_conv(layer)
        if layer is last or layer.name in chain.stored:
            pool = layer if isinstance(layer, MaxPool) else None
            posts.append(
                Post(name=layer.name, lrn=lrn is not None, pool=pool, shape=shapes[layer.name])
            )
    source = shapes[first.inputs[0]]
    full = shapes[first.name] if conv else source
    needed = max((p.shape[0] - 1) * p.stride - p.pad[0] + p.kernel for p in posts)
    base = HardwareLayer(
        name=first.name,
        covers=tuple(layer.name for layer in chain.layers),
        macs=sum(macs(network).get(layer.name, 0) for layer in chain.layers),
        source=first.inputs[0],
        segments=(),
        conv=conv,
        lrn=lrn,
        posts=tuple(posts),
        shape=(min(full[0], needed), full[1], full[2]),
    )
    if conv is None:
        return [base]
    plain = replace(base, segments=(_plain(conv, source, arch.rows),))
    if base.source != INPUT or conv.geometry.groups != 1:
        return [plain]
    segments, runs = _packed(conv, source, full[:2], arch.rows)
    packed = replace(base, segments=segments, runs=runs)
    return sorted((plain, packed), key=lambda layer: _cost(layer.segments, base.shape, arch))
