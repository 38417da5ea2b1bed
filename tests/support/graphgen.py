"""Random small quantised networks with branches: maps with two readers, concatenation, addition,
averages.

`random_graph(seed)` gives four to ten layers.  Equal seeds give equal networks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from penstock.models.graph.graph import (
    INPUT,
    Concat,
    ConvGeometry,
    Layer,
    MaxPool,
    Network,
    QAdd,
    QAveragePool,
    Shape,
    out_shape,
)
from tests.support.netgen import make_conv, make_lrn, make_network

__all__ = ["make_add", "random_graph"]

# Most channels of a concatenation.
_MOST = 40


def make_add(rng: np.random.Generator, name: str, first: str, second: str) -> QAdd:
    """Return a sum with random weights whose outputs use the whole range of codes."""
    weight = (int(rng.integers(1, 128)), int(rng.integers(1, 128)))
    shift = int(rng.integers(8, 20))
    multiplier = int(np.clip(2.0**shift / sum(weight), 1, (1 << 17) - 1))
    bias = int(rng.integers(-40, 40)) * sum(weight)
    return QAdd(
        name=name,
        inputs=(first, second),
        weight=weight,
        bias=bias,
        multiplier=multiplier,
        shift=shift,
    )


@dataclass
class _Draw:
    """A random network under construction."""

    rng: np.random.Generator
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def append(self, layer: Layer) -> None:
        """Add a layer, unless it does not fit its inputs."""
        try:
            self.shapes[layer.name] = out_shape(layer, [self.shapes[n] for n in layer.inputs])
        except ValueError:
            return
        self.layers.append(layer)

    def any(self, names: list[str] | None = None) -> str:
        """A random map, preferably a recent one."""
        names = names or list(self.shapes)
        return names[-1 - int(min(self.rng.exponential(1.5), len(names) - 1))]

    def conv(self, name: str) -> None:
        rng, source = self.rng, self.any()
        kernel = int(rng.choice([1, 1, 3, 3, 5]))
        stride = int(rng.choice([1, 1, 1, 2]))
        geometry = ConvGeometry(
            kernel=(kernel, kernel), stride=(stride, stride), pad=(kernel // 2,) * 4
        )
        zero = int(rng.integers(0, 256)) if rng.random() < 0.3 else 0
        channels, out_ch = self.shapes[source][2], int(rng.integers(1, 20))
        self.append(make_conv(rng, name, source, channels, out_ch, geometry, zero))

    def pool(self, name: str) -> None:
        rng, source = self.rng, self.any()
        kernel, stride = int(rng.integers(2, 4)), int(rng.integers(1, 3))
        pad = (1, 1, 1, 1) if rng.random() < 0.6 else (0, 0, 1, 1)
        self.append(MaxPool(name=name, inputs=(source,), kernel=kernel, stride=stride, pad=pad))

    def average(self, name: str) -> None:
        rng, source = self.rng, self.any()
        kernel = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        pad = tuple(int(rng.integers(0, kernel[side % 2])) for side in range(4))
        zero = int(rng.integers(0, 256)) if rng.random() < 0.3 else 0
        self.append(
            QAveragePool(
                name=name,
                inputs=(source,),
                kernel=kernel,
                stride=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
                pad=pad,
                count_pad=bool(rng.random() < 0.3),
                shift=int(rng.integers(0, 2)) if not zero else 0,
                in_zero=zero,
                out_zero=zero,
            )
        )

    def join(self, name: str) -> None:
        size = self.shapes[self.any()][:2]
        names = [n for n, shape in self.shapes.items() if shape[:2] == size]
        chosen = [self.any(names) for _ in range(int(self.rng.integers(2, 5)))]
        while sum(self.shapes[n][2] for n in chosen) > _MOST:
            chosen.pop()
        if chosen:
            self.append(Concat(name=name, inputs=tuple(chosen)))

    def add(self, name: str) -> None:
        first = self.any()
        names = [n for n, shape in self.shapes.items() if shape == self.shapes[first]]
        self.append(make_add(self.rng, name, first, self.any(names)))

    def norm(self, name: str) -> None:
        self.append(make_lrn(self.rng, name, self.any()))


def random_graph(seed: int) -> Network:
    """Return a random network with branches."""
    rng = np.random.default_rng(seed)
    shape: Shape = (
        int(rng.integers(3, 15)),
        int(rng.integers(3, 15)),
        int(rng.integers(1, 14)),
    )
    draw = _Draw(rng, shapes={INPUT: shape})
    draw.conv("conv0")
    kinds = ["conv"] * 5 + ["join"] * 4 + ["pool"] * 2 + ["add"] * 2 + ["average", "norm"]
    for index in range(1, int(rng.integers(4, 11))):
        kind = str(rng.choice(kinds))
        getattr(draw, kind)(f"{kind}{index}")
    return make_network(f"random-graph-{seed}", shape, draw.layers)
