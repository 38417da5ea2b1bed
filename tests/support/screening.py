"""A small screening model for tests: it detects bright red, then bright green."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from penstock.models.graph import store
from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import INPUT, InputSpec, Network
from penstock.models.quant.quantize import quantise

__all__ = ["bright_net", "paint", "write_model"]

SPEC = InputSpec(shape=(12, 12, 3), resize=12, fit="pad", mean=(128.0,) * 3, std=(64.0,) * 3)


def bright_net(name: str, channel: int, *, window: int = 2) -> Network:
    """Return a quantised network whose second class means that a channel is bright.

    It pools over `window`, of which the accelerator has 3 at most.
    """
    values = (12 // window) ** 2
    kernel = np.zeros((4, 3, 1, 1), np.float32)
    kernel[0, channel] = 1
    weights = {
        "conv1.weight": kernel,
        "conv1.bias": np.zeros(4, np.float32),
        "fc2.weight": np.zeros((2, 4 * values), np.float32),
        "fc2.bias": np.array([4, 0], np.float32),
    }
    weights["fc2.weight"][1, :values] = 7.2 / values
    graph = Builder(name, SPEC, weights)
    last = graph.conv("conv1", INPUT, 4, 1)
    last = graph.max_pool("pool1", last, window, window)
    graph.fc("fc2", last, 2, relu=False)
    images = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3), np.uint8)
    return quantise(graph.network(labels=("dark", "bright")), images)


def write_model(folder: Path) -> Path:
    """Write the model and its networks into a folder; return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    store.save(bright_net("red", 0), folder / "red.net")
    store.save(bright_net("green", 1), folder / "green.net")
    path = folder / "model.json"
    entries = {
        "coarse": {"network": "red.net", "threshold": 0.4},
        "fine": {"network": "green.net", "threshold": 0.6},
    }
    path.write_text(json.dumps(entries))
    return path


def paint(path: Path, colour: tuple[int, int, int]) -> Path:
    """Write an image of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 12), colour).save(path)
    return path
