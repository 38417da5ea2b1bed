"""SCALE-Sim: input from our networks, its output, and its failures."""

from __future__ import annotations

import configparser
import stat
from pathlib import Path

import numpy as np
import pytest

from penstock.host.report import scalesim
from penstock.host.report.scalesim import ScaleSim, ScaleSimError, Shape, config, shapes, topology
from penstock.models.graph.graph import INPUT, ConvGeometry
from penstock.models.spec.arch import get_arch
from tests.support.netgen import full_size_network, make_conv, make_network

ALEXNET = {
    "conv1": (Shape(227, 227, 11, 11, 3, 96, 4), 1),
    "conv2": (Shape(31, 31, 5, 5, 48, 128, 1), 2),
    "conv3": (Shape(15, 15, 3, 3, 256, 384, 1), 1),
    "conv4": (Shape(15, 15, 3, 3, 192, 192, 1), 2),
    "conv5": (Shape(15, 15, 3, 3, 192, 128, 1), 2),
}


def test_shapes_have_padding_and_groups() -> None:
    assert shapes(full_size_network()) == ALEXNET


def test_one_stride() -> None:
    geometry = ConvGeometry(kernel=(3, 3), stride=(1, 2), pad=(0, 0, 0, 0))
    conv = make_conv(np.random.default_rng(0), "conv", INPUT, 4, 4, geometry)
    with pytest.raises(ScaleSimError, match="one stride, layer conv has two"):
        shapes(make_network("two", (9, 9, 4), [conv]))


def test_topology() -> None:
    lines = topology([("conv2", ALEXNET["conv2"][0])]).splitlines()
    assert lines[0].count(",") == lines[1].count(",") == 8
    assert lines[1] == "conv2, 31, 31, 5, 5, 48, 128, 1,"


def test_config() -> None:
    parsed = configparser.ConfigParser()
    parsed.read_string(config(get_arch("12x32")))
    presets = parsed["architecture_presets"]
    assert (presets["ArrayHeight"], presets["ArrayWidth"], presets["Dataflow"]) == (
        "12",
        "32",
        "ws",
    )
    assert parsed["run_presets"]["InterfaceBandwidth"] == "CALC"


def environment(folder: Path, script: str) -> None:
    """An environment in which Python is a shell script."""
    python = folder / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n" + script)
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (folder / "env" / f"scalesim-{scalesim.VERSION}").touch()


REPORT = """mkdir -p "$5/penstock"
echo run >> {count}
echo 'LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles,' \
    > "$5/penstock/COMPUTE_REPORT.csv"
echo '0, 444736, 423797, 0,' >> "$5/penstock/COMPUTE_REPORT.csv"
"""


def test_equal_shapes_are_simulated_once_and_kept(tmp_path: Path) -> None:
    count = tmp_path / "count"
    environment(tmp_path, REPORT.format(count=count))
    said: list[str] = []
    scale = ScaleSim(tmp_path, said.append)
    shape = ALEXNET["conv1"][0]
    for _ in range(2):
        assert scale.cycles([shape, shape], get_arch("lab")) == {shape: 423797}
    assert count.read_text() == "run\n"
    assert said[:2] * 2 == said
    assert all(text.startswith(f"SCALE-Sim: {n} of 1 shapes") for n, text in enumerate(said[:2]))
    scale.cycles([shape], get_arch("8x8"))
    assert count.read_text() == "run\nrun\n"
    assert not list(tmp_path.glob("run-*"))


def test_failures_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = ALEXNET["conv1"][0]
    for name, script, message in (
        ("fails", "echo first; echo no memory >&2; exit 3", "exit status 3: no memory"),
        ("silent", "exit 0", "wrote no cycles"),
        ("endless", "sleep 60", "took more than 0.2 s"),
    ):
        environment(tmp_path / name, script)
        if name == "endless":
            monkeypatch.setattr(scalesim, "_RUN_LIMIT", 0.2)
        with pytest.raises(ScaleSimError, match=message) as caught:
            ScaleSim(tmp_path / name, lambda text: None).cycles([shape], get_arch("lab"))
        assert "\n" not in str(caught.value)
        assert not list((tmp_path / name).glob("*.json"))


def test_an_installation_that_fails_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scalesim.sys, "executable", "/bin/false")
    for _ in range(2):
        said: list[str] = []
        with pytest.raises(ScaleSimError, match="failed with exit status 1"):
            ScaleSim(tmp_path, said.append)
        assert len(said) == 1 and said[0].startswith("installing SCALE-Sim")
