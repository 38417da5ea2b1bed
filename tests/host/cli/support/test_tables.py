"""Figures of layers from the device's log."""

from __future__ import annotations

import pytest

from penstock.host.cli.support.tables import LayerFigures, figures, layer_table
from penstock.host.devices.device import RunLog
from penstock.host.program.program import LayerInfo
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import LOG_FIELDS


def test_figures() -> None:
    names = [name for name, _ in LOG_FIELDS]
    first = dict(zip(names, (1000, 800, 50, 40, 30, 60, 500, 100), strict=True))
    second = dict(zip(names, (3000, 2700, 60, 50, 40, 70, 900, 300), strict=True))
    total = dict(zip(names, (3100, 2700, 60, 50, 40, 70, 950, 300), strict=True))
    layers = [LayerInfo("a", 12_000, ("a",)), LayerInfo("b", 24_000, ("b", "c"))]
    each, whole = figures(
        layers, [RunLog([first, second], total) for _ in range(2)], get_arch("tiny")
    )
    assert [layer.cycles for layer in each] == [1000, 2000]
    assert each[0].efficiency == 12_000 / (1000 * 16)
    assert each[0].stalls == {"input": 50, "weights": 40, "output": 30, "memory": 60, "idle": 80}
    assert each[1].to_json() == {
        "name": "b",
        "macs": 24_000,
        "cycles": 2000,
        "efficiency": 24_000 / (2000 * 16),
        "stalls": {"input": 10, "weights": 10, "output": 10, "memory": 10, "idle": 70},
        "ddr_read_bytes": 3200,
        "ddr_write_bytes": 1600,
    }
    assert whole.cycles == 3100
    assert whole.macs == 36_000
    # Of a batch all images have the same log, and a share of it.
    logs = [RunLog([first, second], total)] * 5
    batched, whole = figures(layers, logs, get_arch("tiny"), batch=5)
    assert [layer.cycles for layer in batched] == [200, 400]
    assert [layer.efficiency for layer in batched] == [layer.efficiency for layer in each]
    assert whole.cycles == 620
    with pytest.raises(ValueError, match="2 layers, but 1 entries"):
        figures(layers, [RunLog([first], total)], get_arch("tiny"))


def test_a_layer_that_ran_ahead_is_not_above_the_peak() -> None:
    """A layer whose work was done in the cycles of the one before: 246.6 % once."""
    counts = dict.fromkeys((name for name, _ in LOG_FIELDS), 0)
    first = LayerFigures("a", 8000, {**counts, "cycles": 1000, "busy": 900}, 16)
    second = LayerFigures("b", 7200, {**counts, "cycles": 200, "busy": 150}, 16)
    total = LayerFigures("total", 15_200, {**counts, "cycles": 1210, "busy": 1050}, 16)
    assert second.efficiency == 2.25
    parts = [
        {"work": 500, "ahead": 350, "padding": 50},
        {"work": 100, "ahead": 0, "padding": 50},
        {"work": 600, "ahead": 350, "padding": 100},
    ]
    table = layer_table([first, second], total, parts)
    names = [column.name for column in table.columns]
    column = names.index("effic.")
    assert [row[column] for row in table.rows] == ["85.0 %", "50.0 %", "78.5 %"]
    assert [row[names.index("padding")] for row in table.rows] == ["50", "50", "100"]
    plain = layer_table([first, second], total)
    assert "padding" not in [column.name for column in plain.columns]
    assert plain.rows[1][3] == "225.0 %"
