"""Quantisation error layer by layer: signal-to-quantisation-noise ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.models.golden.ops import input_codes, run_float, run_quantised
from penstock.models.graph.graph import Network, QFc

__all__ = ["LayerError", "layer_errors"]


@dataclass(frozen=True, kw_only=True)
class LayerError:
    """Error of a quantised map against the float one.

    Parameters
    ----------
    name, kind : str
    scale : float
        Of its codes; of logits, the largest of all outputs'.
    zero : int
        Code of 0.
    sqnr : float
        Decibels: ``10 * log10(sum(float**2) / sum((float - quantised)**2))`` over all images;
        infinite without noise.  It includes the errors of the layers before.
    clipped : float
        Share of codes at an end of the range, where clipped values are counted too; 0 for logits.
    """

    name: str
    kind: str
    scale: float
    zero: int
    sqnr: float
    clipped: float


def layer_errors(
    network: Network,
    quantised: Network,
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    *,
    progress: Callable[[str], None] | None = None,
) -> list[LayerError]:
    """Return the error of each layer over images.

    Parameters
    ----------
    network, quantised : Network
        Float, and what `models.quant.quantize.quantise` made of it.
    images : sequence of uint8 arrays (height, width, channels)
        Pixels in the network's channel order, at least one image.
    progress : callable, optional
        Called with a description of each step.
    """
    signal = dict.fromkeys((layer.name for layer in quantised.layers), 0.0)
    noise, clipped, count = dict(signal), dict(signal), dict(signal)
    for number, image in enumerate(images, start=1):
        if progress is not None:
            progress(f"comparing on image {number} of {len(images)}")
        want = run_float(network, image)
        got = run_quantised(quantised, input_codes(quantised.input, image))
        for layer in quantised.layers:
            name, codes = layer.name, got[layer.name]
            real = codes.astype(np.float64) - quantised.zeros.get(name, 0)
            if isinstance(layer, QFc) and not layer.relu:
                real = real * layer.out_scale
            else:
                real = real * quantised.scales[name]
                clipped[name] += float((codes == 255).sum())
            signal[name] += float(np.square(want[name].astype(np.float64)).sum())
            noise[name] += float(np.square(real - want[name]).sum())
            count[name] += codes.size
    rows = []
    for layer in quantised.layers:
        name = layer.name
        scale = quantised.scales.get(name)
        if scale is None:
            assert isinstance(layer, QFc)
            scale = float(layer.out_scale.max())
        ratio = signal[name] / noise[name] if noise[name] else np.inf
        rows.append(
            LayerError(
                name=name,
                kind=type(layer).__name__,
                scale=scale,
                zero=quantised.zeros.get(name, 0),
                sqnr=float(10 * np.log10(ratio)) if ratio > 0 else -np.inf,
                clipped=clipped[name] / max(count[name], 1),
            )
        )
    return rows
