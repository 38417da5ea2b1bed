"""Networks display themselves in a few lines, whatever the number of weights."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.models.graph.graph import INPUT, QAdd
from penstock.models.graph.layers import ConvGeometry
from penstock.models.graph.summary import geometry_text, network_table, weight_count
from penstock.models.networks.tinynet import tiny_net
from penstock.models.spec.plain_table import PlainTable
from tests.support.netgen import make_classifier, make_conv, rng_of


def test_representations_are_short() -> None:
    network = make_classifier()
    assert repr(network) == str(network)
    layers = len(network.layers)
    assert repr(network).startswith(f"<Network classifier: quantised, {layers} layers, input ")
    assert repr(tiny_net()) == "<Network tiny: float, 9 layers, input 39x39x3>"
    conv = make_conv(rng_of(1), "conv1", INPUT, 3, 8, ConvGeometry(kernel=(3, 3)))
    assert "weight=<int8 8x3x3x3>" in repr(conv)
    assert "name='conv1'" in repr(conv)
    assert all(len(repr(layer)) < 400 for layer in network.layers)


def test_table() -> None:
    network = tiny_net()
    table = network_table(network)
    assert [row[0] for row in table.rows] == [layer.name for layer in network.layers]
    assert table.rows[0] == ["conv1", "Conv", "5x5, stride 2", "18x18x12", "291.6 k"]
    assert table.rows[3][2] == "3x3, stride 1, pad 1, 2 groups"
    html = network._repr_html_()
    assert html.count("<tr>") == len(network.layers) + 1
    assert "Network tiny: float" in html


def test_geometry() -> None:
    conv = make_conv(
        rng_of(1),
        "a",
        INPUT,
        3,
        8,
        ConvGeometry(kernel=(1, 7), stride=(1, 2), pad=(0, 3, 0, 3)),
    )
    assert geometry_text(conv) == "1x7, stride 1x2, pad 0,3,0,3"


def test_sums_have_no_weights() -> None:
    """A QAdd's `weight` is two integers, no array."""
    network = tiny_net()
    weights = sum(np.size(getattr(layer, "weight", ())) for layer in network.layers)
    assert weight_count(network) == weights
    add = QAdd(name="sum", inputs=("a", "b"), weight=(1, 1), bias=0, multiplier=1, shift=0)
    assert geometry_text(add) == ""


def test_plain_table() -> None:
    table = PlainTable(
        ("layer", "cycles", "kind"), [("a<b", "7", "x"), ("total", "1 234", "")], ("kind",), True
    )
    assert str(table) == (
        "layer  cycles  kind\n-------------------\na<b         7  x\n-------------------\n"
        "total   1 234"
    )
    assert "a&lt;b" in table._repr_html_()
    assert table._repr_html_().count("<th ") == 6
    with pytest.raises(ValueError, match="a row must have 1 cells, not 2"):
        PlainTable(("layer",), [("a", "b")])
