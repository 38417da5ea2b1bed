"""The two stages as graphs: AlexNet's convolutions flag, a narrow GoogLeNet decides."""

from __future__ import annotations

from dataclasses import replace

from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import INPUT, InputSpec, Network
from penstock.models.networks import alexnet, googlenet

__all__ = ["LABELS", "STAGES", "stage"]

LABELS = ("pass", "code")

STAGES = ("coarse", "fine")

# Share of the published number of channels: enough for two classes, and 1.5 MB of weights.
_FINE_WIDTH = 0.5

# Channels of the coarse stage's last convolution, of 1x1.
_SIGNS = 64

_GREY = (128.0, 128.0, 128.0)
_SPREAD = (64.0, 64.0, 64.0)


def _spec(size: int) -> InputSpec:
    return InputSpec(shape=(size, size, 3), resize=size, fit="pad", mean=_GREY, std=_SPREAD)


def _coarse() -> Network:
    graph = Builder("screen-coarse", _spec(227))
    last = INPUT
    for stage in alexnet.BVLC.stages:
        last = stage.add_to(graph, last)
    last = graph.conv("conv6", last, _SIGNS, 1)
    last = graph.global_average("average", last)
    graph.fc("fc7", last, len(LABELS), relu=False)
    return graph.network(labels=LABELS)


def stage(name: str) -> Network:
    """Return a stage's float network, without weights.

    Raises
    ------
    ValueError
        If there is no such stage.
    """
    if name not in STAGES:
        raise ValueError(f"stage must be one of {STAGES}, not {name!r}")
    if name == "coarse":
        return _coarse()
    fine = googlenet.build(spec=_spec(224), width=_FINE_WIDTH, classes=len(LABELS), labels=LABELS)
    return replace(fine, name="screen-fine")
