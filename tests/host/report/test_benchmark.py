"""The benchmark on a small network, and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.inputs import catalog
from penstock.host.inputs.catalog import load_network
from penstock.host.report import benchmark
from penstock.host.report.benchmark import ARCHES, COMPARED, MODELS, measure
from penstock.host.report.benchmark_page import page
from penstock.host.report.published import PUBLISHED
from penstock.host.report.scalesim import ScaleSim, ScaleSimError, shapes
from penstock.host.timing.cycle_breakdown import CAUSES
from penstock.models.spec.arch import get_arch
from scripts.bench import main
from tests.support.netgen import full_size_network


class Ideal(ScaleSim):
    """Stands in for SCALE-Sim: a thousand cycles for each channel of a shape."""

    def __init__(self) -> None:
        pass

    def cycles(self, wanted: Any, arch: Any) -> Any:
        return {shape: 1000 * shape.channels for shape in wanted}


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "ARCHES", ("tiny",))
        patch.setattr(benchmark, "COMPARED", "tiny")
        said: list[str] = []
        found = measure(["tiny"], Ideal(), said.append)
        assert "tiny on 4x4: running" in said
        return found


def test_the_lists_name_what_there_is() -> None:
    assert set(MODELS) <= set(catalog.MODELS)
    assert ARCHES[0] == COMPARED == "lab"
    assert all(get_arch(name) for name in ARCHES)


def test_measured(results: dict[str, Any]) -> None:
    (run,) = results["runs"]
    totals, layers = run["totals"], run["layers"]
    assert (run["model"], run["arch"]) == ("tiny", "tiny")
    assert totals["cycles"] >= sum(layer["cycles"] for layer in layers) > 0
    assert totals["cycles"] >= totals["ideal_cycles"] >= totals["macs"] / 16
    assert totals["bytes"] >= sum(layer["bytes"] for layer in layers) > 0
    assert totals["bytes"] > totals["least_bytes"] > 0
    assert totals["efficiency"] == totals["macs"] / (16 * totals["cycles"])
    for layer in layers:
        assert sum(layer["causes"].values()) == layer["cycles"]
        assert list(layer["causes"]) == list(CAUSES)
    assert json.loads(json.dumps(results)) == results


def test_compared(results: dict[str, Any]) -> None:
    (other,) = results["scalesim"]["runs"]
    known = shapes(load_network("tiny"))
    for layer, ours in zip(other["layers"], results["runs"][0]["layers"], strict=True):
        shape, groups = known[layer["name"]]
        assert layer["cycles"] == 1000 * shape.channels * groups
        assert layer["efficiency"] == ours["macs"] / (16 * layer["cycles"])
    assert other["totals"]["cycles"] == sum(layer["cycles"] for layer in other["layers"])


def test_page(results: dict[str, Any]) -> None:
    text = page(results)
    assert "## tiny, 4x4, layer by layer" in text
    for table in text.split("\n\n"):
        if table.startswith("|"):
            lines = table.strip().splitlines()
            assert len({line.count("|") for line in lines}) == 1, table
    total = f"{results['runs'][0]['totals']['cycles']:,}".replace(",", " ")
    assert f"| **all** | 0.4 M | {total} |" in text
    for row in PUBLISHED:
        assert row.source in text
    assert "not run" not in text
    assert "not run" in page({**results, "scalesim": None})


def test_least_bytes() -> None:
    network = full_size_network()
    program = compile_network(network, get_arch("lab"))
    assert {layer.name: layer.least_bytes for layer in program.layers} == {
        "conv1": 96 * 363 + 227 * 227 * 3 + 27 * 27 * 96,
        "conv2": 256 * 1200 + 27 * 27 * 96 + 13 * 13 * 256,
        "conv3": 384 * 2304 + 13 * 13 * 256 + 13 * 13 * 384,
        "conv4": 384 * 1728 + 13 * 13 * 384 * 2,
        "conv5": 256 * 1728 + 13 * 13 * 384 + 6 * 6 * 256,
    }


def test_nothing_is_written_without_scalesim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(*arguments: object) -> None:
        raise ScaleSimError("SCALE-Sim: pip install failed with exit status 1: no network")

    monkeypatch.setattr("scripts.bench.ScaleSim", offline)
    files = ["--json", str(tmp_path / "a.json"), "--page", str(tmp_path / "a.md")]
    assert main(files) == 1
    error = capsys.readouterr().err
    assert error.endswith("no network; make bench BENCH=--without-scalesim leaves it out\n")
    assert len(error.splitlines()) == 1
    assert main([*files, "--without-scalesim", "--model", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
