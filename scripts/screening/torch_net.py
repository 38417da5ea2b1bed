"""A float graph as a PyTorch module, and back: one definition of a network serves both.

For training, each convolution is followed by a batch normalisation, which `to_network` folds into
its weights.  It also keeps activations so small that local response normalisation, whose alpha is
1e-4, divides them by 1.00: training omits it, which halves the time; the network keeps it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from penstock.models.graph.graph import (
    INPUT,
    AveragePool,
    Concat,
    Conv,
    Fc,
    GlobalAveragePool,
    Layer,
    Lrn,
    MaxPool,
    Network,
)

__all__ = ["TorchNet"]


# Layers without weights.
_FIXED = (Lrn, MaxPool, AveragePool, GlobalAveragePool, Concat)


def _key(name: str) -> str:
    """A layer's name as an identifier for PyTorch."""
    return name.replace("/", "_").replace(".", "_")


class TorchNet(nn.Module):
    """A float network that can be trained.

    Parameters
    ----------
    network : Network
        Float; convolutions, LRN, pooling, concatenation and fully connected layers.  Its weights
        are not used: PyTorch's initial ones are.
    dropout : float
        Share of a fully connected layer's inputs that is dropped in training.

    Raises
    ------
    ValueError
        If the network has a layer of another kind; the message names it.
    """

    def __init__(self, network: Network, *, dropout: float = 0.3) -> None:
        super().__init__()
        self.network = network
        self.dropout = dropout
        self.parts = nn.ModuleDict()
        for layer in network.layers:
            if isinstance(layer, Conv):
                self.parts[_key(layer.name)] = self._conv(layer)
            elif isinstance(layer, Fc):
                outputs, inputs = layer.weight.shape
                self.parts[_key(layer.name)] = nn.Linear(inputs, outputs)
            elif not isinstance(layer, _FIXED):
                kind = type(layer).__name__
                raise ValueError(f"layer {layer.name}: {kind} cannot be trained here")
        spec = network.input
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std).view(1, -1, 1, 1))

    @staticmethod
    def _conv(layer: Conv) -> nn.Sequential:
        outputs, depth = layer.weight.shape[:2]
        geometry = layer.geometry
        conv = nn.Conv2d(
            depth * geometry.groups,
            outputs,
            geometry.kernel,
            stride=geometry.stride,
            padding=geometry.pad[:2],
            groups=geometry.groups,
            bias=False,
        )
        return nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the last layer's values, (n, outputs).

        Parameters
        ----------
        pixels : uint8 tensor (n, channels, height, width)
            In the channel order of the network's input.
        """
        maps: dict[str, Tensor] = {INPUT: (pixels.float() - self.mean) / self.std}
        last = INPUT
        for layer in self.network.layers:
            maps[layer.name] = self._run(layer, [maps[name] for name in layer.inputs])
            last = layer.name
        return maps[last].flatten(1)

    def _run(self, layer: Layer, inputs: list[Tensor]) -> Tensor:
        value = inputs[0]
        if isinstance(layer, Conv):
            value = self.parts[_key(layer.name)](value)
            return functional.relu(value) if layer.relu else value
        if isinstance(layer, Fc):
            value = functional.dropout(value.flatten(1), self.dropout, self.training)
            value = self.parts[_key(layer.name)](value)
            return functional.relu(value) if layer.relu else value
        if isinstance(layer, Lrn):
            return value
        if isinstance(layer, MaxPool):
            top, left, bottom, right = layer.pad
            # Pictures smaller than the network's input end in maps smaller than the last windows.
            kernel = min(layer.kernel, *value.shape[2:])
            if any(layer.pad):
                # The input follows a ReLU, so zero padding is never the maximum.
                value = functional.pad(value, (left, right, top, bottom))
            return functional.max_pool2d(value, kernel, layer.stride)
        if isinstance(layer, GlobalAveragePool):
            return value.mean((2, 3), keepdim=True)
        if isinstance(layer, AveragePool):
            if any(layer.pad):
                raise ValueError(f"layer {layer.name}: average pooling with padding")
            return functional.avg_pool2d(value, layer.kernel, layer.stride)
        return torch.cat(inputs, 1)

    @torch.no_grad()
    def to_network(self, *, source: str) -> Network:
        """Return the network with the current weights, batch normalisation folded in.

        Parameters
        ----------
        source : str
            Origin of the weights, as text.
        """
        layers: list[Layer] = []
        for layer in self.network.layers:
            if isinstance(layer, Conv):
                conv, norm = self.parts[_key(layer.name)]
                gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                weight = conv.weight * gain.view(-1, 1, 1, 1)
                bias = norm.bias - norm.running_mean * gain
                layers.append(replace(layer, weight=_array(weight), bias=_array(bias)))
            elif isinstance(layer, Fc):
                part = self.parts[_key(layer.name)]
                layers.append(replace(layer, weight=_array(part.weight), bias=_array(part.bias)))
            else:
                layers.append(layer)
        return replace(self.network, layers=tuple(layers), trained=True, source=source)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float32)
