"""What random graphs found in written files (`make fuzz-import`), each in a graph of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from penstock.models.onnx_export.deploy_export import deploy
from penstock.models.onnx_io.importer import load_float_ends
from penstock.models.onnx_io.written_check import check_written
from penstock.models.quant.quantize import quantise
from tests.support.onnx_graphs import Maker


def written(path: Path, channels: int) -> float:
    """Quantise a float file, write it, and return the largest difference from onnxruntime."""
    network, ends = load_float_ends(path, mean=(127.0,) * channels, std=(1.0,) * channels)
    images = np.random.default_rng(0).integers(0, 256, (2, *network.input.shape), np.uint8)
    quantised = quantise(network, list(images))
    check = check_written(deploy(quantised, ends), quantised, ends.spec, path, images[:1])
    assert check.maps > 0
    return check.largest


def test_the_inputs_zero_point_is_part_of_a_sum(tmp_path: Path) -> None:
    maker = Maker([1, 1, 4, 5])
    path = maker.save(tmp_path / "a.onnx", maker.add("Add", "data", "data"))
    assert written(path, 1) <= 1


def test_averages_of_windows_of_padding_only(tmp_path: Path) -> None:
    maker = Maker([1, 3, 4, 5])
    conv = maker.add("Relu", maker.add("Conv", "data", maker.random(4, 3, 3, 3)))
    pads = maker.constant(np.array([0, 0, 2, 1, 0, 0, 1, 3]))
    mean = maker.add("AveragePool", maker.add("Pad", conv, pads), kernel_shape=[2, 2])
    assert written(maker.save(tmp_path / "a.onnx", mean), 3) <= 1
