"""Float networks as ONNX: the same network in onnxruntime and in the importer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from penstock.models.golden.ops import normalise, run_float
from penstock.models.networks.lenet import build_cifar10_quick
from penstock.models.networks.seeded import seeded
from penstock.models.onnx_export.float_export import export_float
from penstock.models.onnx_io.importer import load_float
from penstock.models.quant.quantize import quantise
from tests.support.branchnet import branch_images, branch_net


def test_the_same_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (2, 32, 32, 3), np.uint8)
    for network, image in (
        (branch_net(), branch_images()[0]),
        (seeded(build_cifar10_quick(), small), small[0]),
    ):
        last = network.layers[-1].name
        wanted = run_float(network, image)[last].ravel()
        model = export_float(network)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        values = normalise(network.input, image).transpose(2, 0, 1)[None]
        got = session.run(None, {"input": values})[0].ravel()
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
        path = tmp_path / "net.onnx"
        onnx.save(model, path)
        back = load_float(path)
        assert back.input.mean == network.input.mean
        assert back.input.order == network.input.order
        np.testing.assert_allclose(
            run_float(back, image)[back.layers[-1].name].ravel(), wanted, rtol=1e-4, atol=1e-4
        )


def test_a_quantised_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a float layer"):
        export_float(quantise(branch_net(), branch_images()))
