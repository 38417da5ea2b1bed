"""Quantised ONNX files in place of float ones: they run, and import unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from penstock.models.golden.ops import input_codes, normalise, run_quantised
from penstock.models.graph.graph import INPUT, GlobalAveragePool, Lrn, Network, QFc
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.onnx_export.deploy_export import Ends, deploy
from penstock.models.onnx_io.importer import load_float, load_float_ends, load_quantised
from penstock.models.quant.quantize import quantise
from tests.support.branchnet import branch_images, branch_net
from tests.support.onnx_graphs import Maker


def exact(network: Network) -> Network:
    """Return a network without LRN, the one kind of layer whose codes onnxruntime may not match."""
    behind = {layer.name: layer.inputs[0] for layer in network.layers if isinstance(layer, Lrn)}
    layers = (
        replace(layer, inputs=tuple(behind.get(name, name) for name in layer.inputs))
        for layer in network.layers
        if layer.name not in behind
    )
    return replace(network, layers=tuple(layers))


def headless() -> Network:
    """Return a network that ends in a mean."""
    network = branch_net()
    mean = GlobalAveragePool(name="mean", inputs=("sum1",))
    names = [layer.name for layer in network.layers]
    kept = network.layers[: names.index("sum1") + 1]
    return replace(network, layers=(*kept, mean))


def scores(path: Path, data: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: data})[0])


@pytest.mark.parametrize("ended", ["", "Softmax"])
@pytest.mark.parametrize(
    ("make", "images"),
    [(branch_net, branch_images), (headless, branch_images), (tiny_net, tiny_images)],
)
def test_deployed_files(
    tmp_path: Path,
    make: Callable[[], Network],
    images: Callable[..., np.ndarray],
    ended: str,
) -> None:
    floating = exact(replace(make(), input=replace(make().input, std=(50.0, 60.0, 70.0))))
    network = quantise(floating, images())
    path = tmp_path / "net.onnx"
    ends = Ends(input="data", output="prob", spec=floating.input, ended=ended)
    onnx.save(deploy(network, ends), path)

    pixels = images(count=2, seed=5)
    batch = np.stack([normalise(floating.input, image).transpose(2, 0, 1) for image in pixels])
    got = scores(path, np.ascontiguousarray(batch)).reshape(2, -1)
    last = network.layers[-1]
    read, _ = load_quantised(path)
    assert read.input.shape == network.input.shape
    assert (read.input.order, read.input.resize) == (network.input.order, network.input.resize)
    for image, row in zip(pixels, got, strict=True):
        codes = input_codes(network.input, image)
        np.testing.assert_array_equal(input_codes(read.input, image), codes)
        maps, again = run_quantised(network, codes), run_quantised(read, codes)
        real = maps[last.name].reshape(-1).astype(np.float64)
        steps = last.out_scale if isinstance(last, QFc) else network.scales[last.name]
        want = (real - network.zeros.get(last.name, 0)) * steps
        if ended:
            want = np.exp(want - want.max())
            want /= want.sum()
        np.testing.assert_allclose(row, want, rtol=1e-4, atol=1e-6)
        # Every layer gives the same codes; its name may differ, and unused layers are removed.
        needed = [layer for layer in network.layers if layer.name not in ("whole", "signed")]
        for first, second in zip(needed, read.layers, strict=True):
            np.testing.assert_array_equal(again[second.name], maps[first.name], err_msg=first.name)


def test_the_files_ends_are_kept(tmp_path: Path) -> None:
    maker = Maker([1, 3, 39, 39])
    shifted = maker.add("Sub", "data", maker.constant(np.float32(0.5)))
    conv = maker.add("Relu", maker.add("Conv", shifted, maker.random(4, 3, 3, 3)))
    flat = maker.add("Flatten", conv)
    gemm = maker.add("Gemm", flat, maker.random(6, 4 * 37 * 37), transB=1)
    path = maker.save(tmp_path / "float.onnx", maker.add("Softmax", gemm))
    network, ends = load_float_ends(path, order="RGB", mean=(0.0,) * 3, std=(255.0,) * 3)
    assert (ends.input, ends.output, ends.ended) == ("data", "t5", "Softmax")
    # Operations of the graph on its input are not part of the tensor's preprocessing.
    assert ends.spec.mean == (0.0, 0.0, 0.0)
    assert network.input.mean == (127.5, 127.5, 127.5)
    quantised = quantise(network, tiny_images())
    onnx.save(deploy(quantised, ends), tmp_path / "quantised.onnx")
    image = tiny_images(seed=3)[0]
    data = (image.transpose(2, 0, 1)[None] / 255).astype(np.float32)
    want, got = scores(path, data), scores(tmp_path / "quantised.onnx", data)
    assert got.shape == want.shape
    assert np.abs(got - want).max() < 0.15
    assert load_float(path).layers[0].name == "conv1"


def test_names_that_clash(tmp_path: Path) -> None:
    network = quantise(tiny_net(), tiny_images())
    for ends in (Ends(input=INPUT, spec=network.input), Ends(output="fc5", spec=network.input)):
        with pytest.raises(ValueError, match="a layer is called as the input or output is"):
            deploy(network, ends)


def test_damaged_metadata(tmp_path: Path) -> None:
    network = quantise(tiny_net(), tiny_images())
    model = deploy(network, Ends(spec=tiny_net().input))
    model.metadata_props[0].value = "{}"
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"its metadata penstock\.input is damaged"):
        load_quantised(tmp_path / "a.onnx")
