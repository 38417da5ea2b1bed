"""Figures of layers from the device's log."""

from __future__ import annotations

import pytest

from penstock.host.cli.support.tables import figures, human
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


def test_human() -> None:
    assert [human(n, "B") for n in (7, 999, 1500, 105_415_200, 2.5e12)] == [
        "7 B",
        "999 B",
        "1.5 kB",
        "105.4 MB",
        "2500.0 GB",
    ]
    assert human(12) == "12"
