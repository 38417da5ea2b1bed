"""`simulate --model`: one layer of any network on the simulated core."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from penstock.host.apps.single_layer import single_layer
from penstock.host.inputs.catalog import load_network, sample_input
from penstock.host.waves.wave_layout import layout
from penstock.models.golden.ops import run_quantised
from penstock.models.spec.arch import get_arch
from tests.support.commands import Run, refused


def test_the_layer_alone_is_the_layer_inside() -> None:
    network = load_network("tiny")
    whole = run_quantised(network, sample_input(network)[1])
    alone = single_layer(network, "conv2", get_arch("tiny"))
    assert {"conv2"} <= set(alone.golden)
    for name, values in alone.golden.items():
        np.testing.assert_array_equal(values, whole[name])


@pytest.mark.parametrize("layer", ["conv2"])
def test_a_layer_with_waves(penstock: Run, tmp_path: Path, layer: str) -> None:
    waves = tmp_path / "waves.fst"
    outcome = penstock(
        *("simulate", "--model", "tiny", "--layer", layer, "--arch", "tiny", "--waves", waves)
    )
    assert outcome.status == 0, outcome.err
    assert "bit-exact with the golden model: yes" in outcome.out
    assert waves.stat().st_size > 10_000
    assert f"gtkwave {waves} {waves.with_suffix('.gtkw')}" in outcome.out
    assert waves.with_suffix(".gtkw").read_text() == layout(waves)
    predicted = re.search(r"predicted: (\d+) cycles", outcome.out)
    total = re.search(r"^ *total +\S+ [kM] +([\d ]+?)  ", outcome.out, re.M)
    assert predicted
    assert total
    assert int(predicted[1]) == pytest.approx(int(total[1].replace(" ", "")), rel=0.05)


def test_refusals(penstock: Run) -> None:
    refused(penstock("simulate"), "either LAYER", "--model and --layer")
    refused(penstock("simulate", "conv1", "--model", "tiny", "--layer", "conv1"), "either LAYER")
    refused(penstock("simulate", "--model", "tiny"), "--layer")
    refused(penstock("simulate", "conv1", "--waves", "waves.gtkw"), "--waves", ".gtkw")
    refused(penstock("simulate", "--model", "nosuch", "--layer", "conv1"), "'nosuch'")
    refused(
        penstock("simulate", "--model", "tiny", "--layer", "conv9", "--arch", "tiny"),
        "conv1",
        "'conv9'",
    )
