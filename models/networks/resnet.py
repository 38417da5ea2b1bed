"""ResNet-18 (He et al. 2015, "Deep residual learning") with batch normalisation folded away.

224x224 RGB as torchvision prepares it, a 7x7 stem of stride 2, eight blocks of two 3x3
convolutions whose result is added to what came in, a global average and one fully connected layer.
Where a block halves the map its input goes through a 1x1 convolution of stride 2.

Layers go by torchvision's names: ``layer2.0.conv1``, ``layer2.0.downsample``, ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import INPUT, InputSpec, Network

__all__ = ["CLASSES", "NAME", "SPEC", "build"]

NAME = "resnet18"
CLASSES = 1000

SPEC = InputSpec(
    shape=(224, 224, 3),
    resize=256,
    order="RGB",
    # torchvision's (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225), in pixel units.
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
)

_STAGES = (64, 128, 256, 512)
_BLOCKS = 2


def _block(graph: Builder, name: str, source: str, channels: int, stride: int) -> str:
    last = graph.conv(f"{name}.conv1", source, channels, 3, stride=stride, pad=1)
    last = graph.conv(f"{name}.conv2", last, channels, 3, pad=1, relu=False)
    if graph.shape(source) != graph.shape(last):
        source = graph.conv(f"{name}.downsample", source, channels, 1, stride=stride, relu=False)
    return graph.add(f"{name}.add", last, source)


def build(
    weights: Mapping[str, NDArray[Any]] | None = None,
    *,
    spec: InputSpec = SPEC,
    width: float = 1.0,
    classes: int = CLASSES,
    labels: tuple[str, ...] = (),
    trained: bool = True,
    source: str = "",
) -> Network:
    """Return the float network.

    Parameters
    ----------
    weights : mapping of float arrays, optional
        By the names of `models.graph.builder.Builder`; zeros if not given.
    spec : InputSpec
        Another size of image, or another preparation.
    width : float
        Share of the published number of channels in every convolution, above 0.
    classes : int
    labels, trained, source
        As in `Network`.

    Raises
    ------
    ValueError
        As `Builder`.
    """
    graph = Builder(NAME, spec, weights, width=width)
    last = graph.conv("conv1", INPUT, _STAGES[0], 7, stride=2, pad=3)
    last = graph.max_pool("maxpool", last, 3, 2, pad=1)
    for number, channels in enumerate(_STAGES, start=1):
        for block in range(_BLOCKS):
            stride = 2 if number > 1 and block == 0 else 1
            last = _block(graph, f"layer{number}.{block}", last, channels, stride)
    last = graph.global_average("avgpool", last)
    graph.fc("fc", last, classes, relu=False)
    return graph.network(labels=labels, trained=trained, source=source)
