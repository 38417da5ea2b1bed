"""Post-training static quantisation: float network and calibration images in, U8S8 network out.

Every feature map gets a power-of-two scale chosen from its values on the calibration images
(`models.quant.calibrate`); maps that pooling or concatenation join share one
(`models.quant.scales`).  Weights follow (`models.quant.rows`).  Such a network gives the same bits
here, on the hardware and in onnxruntime.

The input: if the first layers have no padding, the codes are the raw pixels, and mean and standard
deviation are folded into weights and biases.  Padding needs one code for all channels that means 0
after normalisation; with padding, therefore, ``pixel - mean`` is encoded with a zero point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.fixed import lrn_table
from penstock.models.graph.graph import (
    INPUT,
    Add,
    AveragePool,
    Concat,
    Conv,
    Fc,
    GlobalAveragePool,
    InputSpec,
    Layer,
    Lrn,
    MaxPool,
    Network,
    QAdd,
    QAveragePool,
    QConv,
    QFc,
    QGlobalAveragePool,
    QLrn,
    Shape,
    infer_shapes,
)
from penstock.models.quant.calibrate import Calibration, Encoding, Histogram, choose, zero_point
from penstock.models.quant.rows import MAX_MULTIPLIER, hidden, largest, logits, multipliers
from penstock.models.quant.scales import collect, group_methods, rectified_maps, scale_groups

__all__ = ["quantise"]

Array = NDArray[Any]

# The weights of a `QAdd` are powers of two below 128: its inputs' scales differ by at most this.
_ADD_RATIO = 64

# Most rounds of raising scales; a sound network settles in two or three.
_ROUNDS = 100


@dataclass(frozen=True)
class _Codes:
    """How a feature map is encoded: ``value = (code - zero[channel]) * scale / std[channel]``."""

    scale: float
    zero: NDArray[np.float64]
    std: NDArray[np.float64]

    @property
    def common(self) -> int:
        """The zero point, where all channels share it: the code of padding, for example."""
        return int(self.zero[0])

    @property
    def plain(self) -> bool:
        """Whether all channels are encoded alike."""
        return bool((self.zero == self.zero[0]).all() and (self.std == 1).all())


def _matrix(layer: Conv | Fc, codes: _Codes, shape: Shape) -> tuple[Array, Array]:
    """Weights as rows in the order of `QConv` or `QFc`, and the zero point of each column."""
    if isinstance(layer, Fc):
        positions = shape[0] * shape[1]
        weight: Array = layer.weight
        if (codes.std != 1).any():
            weight = weight / np.repeat(codes.std, positions).astype(np.float32)
        return weight, np.repeat(codes.zero, positions)
    out_ch, depth, height, width = layer.weight.shape
    groups = layer.geometry.groups
    zeros = codes.zero.reshape(groups, depth)
    stds = codes.std.reshape(groups, depth)
    if groups > 1 and ((zeros != zeros[0]).any() or (stds != stds[0]).any()):
        raise ValueError(f"layer {layer.name}: a grouped first layer needs equal channel means")
    weight = layer.weight.transpose(0, 2, 3, 1) / stds[0].astype(np.float32)
    return np.ascontiguousarray(weight).reshape(out_ch, -1), np.tile(zeros[0], height * width)


def _conv(layer: Conv, codes: _Codes, shape: Shape, out: Encoding) -> QConv:
    out_ch, depth, height, width = layer.weight.shape
    weight, zero = _matrix(layer, codes, shape)
    arrays = hidden(layer.name, weight, layer.bias, codes.scale, zero, out.scale, out.zero)
    arrays["weight"] = arrays["weight"].reshape(out_ch, height, width, depth)
    return QConv(
        name=layer.name,
        inputs=layer.inputs,
        geometry=layer.geometry,
        in_zero=codes.common if any(layer.geometry.pad) else 0,
        **arrays,
    )


def _fc(layer: Fc, codes: _Codes, shape: Shape, out: Encoding | None) -> QFc:
    weight, zero = _matrix(layer, codes, shape)
    if out is None:
        arrays = logits(layer.name, weight, layer.bias, codes.scale, zero)
        return QFc(name=layer.name, inputs=layer.inputs, relu=False, **arrays)
    arrays = hidden(layer.name, weight, layer.bias, codes.scale, zero, out.scale, out.zero)
    arrays["out_scale"] = np.full(len(layer.bias), out.scale)
    return QFc(name=layer.name, inputs=layer.inputs, relu=True, **arrays)


def _add(layer: Add, first: _Codes, second: _Codes, out: Encoding) -> QAdd:
    if not (first.plain and second.plain):
        raise ValueError(f"layer {layer.name}: the input, normalised by channel, cannot be added")
    unit = min(first.scale, second.scale)
    weight = int(first.scale / unit), int(second.scale / unit)
    exponent = int(np.log2(unit / out.scale))
    multiplier, shift = 1 << max(exponent, 0), max(-exponent, 0)
    # A zero point of the output comes with a scale no finer than `unit`: the shift is exact.
    bias = (out.zero << shift) - first.common * weight[0] - second.common * weight[1]
    return QAdd(
        name=layer.name,
        inputs=layer.inputs,
        weight=weight,
        bias=bias,
        multiplier=multiplier,
        shift=shift,
    )


def _average(layer: AveragePool, codes: _Codes) -> QAveragePool:
    if layer.count_pad and any(layer.pad) and not codes.plain:
        raise ValueError(f"layer {layer.name}: the mean of the padded input is not supported")
    zero = codes.common if codes.plain else 0
    values = {entry.name: getattr(layer, entry.name) for entry in fields(AveragePool)}
    return QAveragePool(**values, in_zero=zero, out_zero=zero)


def _global(layer: GlobalAveragePool, codes: _Codes, out: Encoding) -> QGlobalAveragePool:
    if not codes.plain:
        raise ValueError(f"layer {layer.name}: the mean of the input is not supported")
    gain = codes.scale / out.scale
    if gain < 1:
        raise ValueError(f"layer {layer.name}: joined with maps of a coarser scale than its input")
    return QGlobalAveragePool(
        name=layer.name, inputs=layer.inputs, gain=int(gain), out_scale=out.scale
    )


def _lrn(layer: Lrn, codes: _Codes, out_scale: float) -> QLrn:
    if layer.size != 5:
        raise ValueError(f"layer {layer.name}: LRN needs a window of 5, not {layer.size!r}")
    if codes.zero.any():
        raise ValueError(f"layer {layer.name}: LRN of the input is not supported")
    settings: dict[str, Any] = {name: getattr(layer, name) for name in ("alpha", "beta", "k")}
    try:
        table, difference, shift = lrn_table(
            in_scale=codes.scale, out_scale=out_scale, size=5, **settings
        )
    except ValueError as error:
        raise ValueError(f"layer {layer.name}: {error}") from None
    return QLrn(
        name=layer.name,
        inputs=layer.inputs,
        size=5,
        table=table,
        difference=difference,
        shift=shift,
        **settings,
    )


def _encode_input(network: Network) -> tuple[InputSpec, _Codes]:
    """How the input is encoded."""
    spec = network.input
    channels = spec.shape[2]
    mean = np.array(spec.mean, np.float64)
    std = np.array(spec.std, np.float64)
    if mean.shape != (channels,) or std.shape != (channels,) or not (std > 0).all():
        raise ValueError(
            f"{network.name}: an input of {channels} channels needs as many means and positive "
            f"standard deviations, not {spec.mean!r} and {spec.std!r}"
        )
    plain = replace(spec, std=(1.0,) * channels)
    readers = [layer for layer in network.layers if INPUT in layer.inputs]
    if all(
        isinstance(layer, Fc) or (isinstance(layer, Conv) and not any(layer.geometry.pad))
        for layer in readers
    ):
        return replace(plain, mean=(0.0,) * channels), _Codes(1.0, mean, std)
    # The codes of all pixels of all channels must fit: means that are far apart cost one bit.
    scale = 1.0 if float(np.rint(mean.max() - mean.min())) == 0 else 2.0
    zero = float(np.clip(np.rint(mean.max() / scale), 0, 255))
    spec = replace(plain, scale=scale, zero=int(zero))
    return spec, _Codes(scale, np.full(channels, zero), std)


def _check(network: Network) -> None:
    """Refuse layers without a quantised form before any work starts."""
    problems = []
    group, rectified = scale_groups(network), rectified_maps(network)
    for layer in network.layers:
        known = isinstance(
            layer, Add | AveragePool | Concat | Conv | Fc | GlobalAveragePool | Lrn | MaxPool
        )
        if not known or isinstance(layer, QAveragePool | QGlobalAveragePool | QLrn):
            problems.append(f"{layer.name} ({type(layer).__name__} is not a float layer)")
        elif isinstance(layer, Conv | Fc) and not (
            np.isfinite(layer.weight).all() and np.isfinite(layer.bias).all()
        ):
            problems.append(f"{layer.name} (weights that are not finite)")
        elif isinstance(layer, Lrn) and not rectified.issuperset(layer.inputs):
            problems.append(f"{layer.name} (LRN of values that may be negative)")
        elif isinstance(layer, Concat):
            if group[layer.name] == INPUT:
                problems.append(f"{layer.name} (the network's input cannot be joined with maps)")
            elif len({name in rectified for name in layer.inputs}) > 1:
                problems.append(f"{layer.name} (maps with and without ReLU cannot be joined)")
    if problems:
        raise ValueError(f"{network.name} cannot be quantised: {'; '.join(problems)}")


class _Scales:
    """The encodings of all groups of maps, made as coarse as the layers between them require.

    Parameters
    ----------
    network : Network
        Float.
    source : _Codes
        Encoding of the input.
    histograms, methods
        Of each group by its name.
    """

    def __init__(
        self,
        network: Network,
        source: _Codes,
        histograms: dict[str, Histogram],
        methods: dict[str, str],
        percentile: float,
    ) -> None:
        self._network = network
        self._group = scale_groups(network)
        self._source = source
        self._ranges = histograms
        self._shapes = infer_shapes(network)
        self._encodings = {
            root: choose(histogram, methods[root], percentile)
            for root, histogram in histograms.items()
            if root != INPUT
        }
        self._settle()

    def codes(self, name: str) -> _Codes:
        """Return the encoding of a map."""
        channels = self._shapes[name][2]
        if self._group[name] == INPUT:
            # There may be pooling in between: its channels are the input's.
            return self._source
        encoding = self._encodings[self._group[name]]
        zero = np.full(channels, encoding.zero, np.float64)
        return _Codes(encoding.scale, zero, np.ones(channels))

    def encoding(self, name: str) -> Encoding:
        """Return the encoding of a map that a layer computes."""
        return self._encodings[self._group[name]]

    def _coarser(self, name: str, least: float) -> bool:
        """Raise the scale of a map to `least`, a power of two; return whether it was finer."""
        root = self._group[name]
        if root == INPUT or self._encodings[root].scale >= least:
            return False
        ranges = self._ranges[root]
        self._encodings[root] = Encoding(least, zero_point(ranges.least, ranges.most))
        return True

    def _settle(self) -> None:
        magnitudes = {
            layer.name: largest(
                _matrix(layer, self.codes(layer.inputs[0]), self._shapes[layer.inputs[0]])[0]
            )
            for layer in self._network.layers
            if isinstance(layer, Conv | Fc)
        }
        for _ in range(_ROUNDS):
            changed = [self._fit(layer, magnitudes) for layer in self._network.layers]
            if not any(changed):
                return
        raise ValueError(f"{self._network.name} cannot be quantised: its scales grow without end")

    def _fit(self, layer: Layer, magnitudes: dict[str, NDArray[np.float64]]) -> bool:
        """Reconcile the scales of a layer's maps; return whether one changed."""
        if isinstance(layer, Conv | Fc):
            scale = self.codes(layer.inputs[0]).scale
            least = self.codes(layer.name).scale
            while multipliers(magnitudes[layer.name], scale, least)[0].max() > MAX_MULTIPLIER:
                least *= 2
            return self._coarser(layer.name, least)
        if isinstance(layer, Add):
            scales = [self.codes(name).scale for name in layer.inputs]
            changed = [self._coarser(name, max(scales) / _ADD_RATIO) for name in layer.inputs]
            if self.encoding(layer.name).zero:
                changed.append(self._coarser(layer.name, min(scales)))
            return any(changed)
        if isinstance(layer, GlobalAveragePool):
            source, wanted = self.codes(layer.inputs[0]), self.encoding(layer.name)
            # A mean never needs a coarser scale than its map; the zero point is kept.
            if not source.plain or (wanted.scale <= source.scale and not source.common):
                return False
            kept = Encoding(source.scale, source.common)
            self._encodings[self._group[layer.name]] = kept
            return kept != wanted
        return False


def quantise(
    network: Network,
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    *,
    calibration: Calibration | None = None,
    progress: Callable[[str], None] | None = None,
) -> Network:
    """Return the quantised form of a float network.

    Parameters
    ----------
    network : Network
        Float, of `Conv`, `Lrn` with a window of 5, `MaxPool`, `AveragePool`, `GlobalAveragePool`,
        `Concat`, `Add` and `Fc`.
    images : sequence of uint8 arrays (height, width, channels)
        Calibration: pixels in the network's channel order and shape, at least one image.
    calibration : Calibration, optional
        How scales are chosen.
    progress : callable, optional
        Called with a description of each step: each image, then each layer.

    Returns
    -------
    Network
        Of `QConv`, `QLrn`, `MaxPool`, `QAveragePool`, `QGlobalAveragePool`, `Concat`, `QAdd` and
        `QFc`; `scales` has every feature map but the logits.

    Raises
    ------
    ValueError
        If there are no images or they do not fit, or a layer has no quantised form; the message
        names the layer.
    """
    if not len(images) or np.ndim(images[0]) != 3:
        shape = np.shape(images) if isinstance(images, np.ndarray) else len(images)
        raise ValueError(f"calibration needs images (n, height, width, channels), not {shape}")
    settings = calibration or Calibration()
    methods = group_methods(network, settings)
    _check(network)
    shapes = infer_shapes(network)
    spec, source = _encode_input(network)
    histograms = collect(network, images, progress=progress)
    scales = _Scales(network, source, histograms, methods, settings.percentile)
    last = network.layers[-1]
    layers: list[Layer] = []
    for layer in network.layers:
        if progress is not None:
            progress(f"quantising {layer.name}")
        codes = [scales.codes(name) for name in layer.inputs]
        shape = shapes[layer.inputs[0]]
        if isinstance(layer, Conv):
            layers.append(_conv(layer, codes[0], shape, scales.encoding(layer.name)))
        elif isinstance(layer, Fc):
            final = layer is last and not layer.relu
            out = None if final else scales.encoding(layer.name)
            layers.append(_fc(layer, codes[0], shape, out))
        elif isinstance(layer, Add):
            layers.append(_add(layer, codes[0], codes[1], scales.encoding(layer.name)))
        elif isinstance(layer, AveragePool):
            layers.append(_average(layer, codes[0]))
        elif isinstance(layer, GlobalAveragePool):
            layers.append(_global(layer, codes[0], scales.encoding(layer.name)))
        elif isinstance(layer, Lrn):
            layers.append(_lrn(layer, codes[0], scales.encoding(layer.name).scale))
        else:
            layers.append(layer)
    known = {name: scales.codes(name) for name in shapes}
    if isinstance(last, Fc) and not last.relu:
        del known[last.name]
    return replace(
        network,
        input=spec,
        layers=tuple(layers),
        scales={name: codes.scale for name, codes in known.items()},
        zeros={
            name: codes.common
            for name, codes in known.items()
            if codes.common and name != INPUT and codes.plain
        },
    )
