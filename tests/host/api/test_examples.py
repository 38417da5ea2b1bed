"""The examples of the documentation run: the ten lines, and the notebook for a PC."""

from __future__ import annotations

import ast
import base64
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import penstock as ps
from penstock.models.golden.ops import run_quantised
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.onnx_export.float_export import export_float
from tests.support.networks import PHOTOS

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).parents[3]
NOTEBOOK = ROOT / "host" / "notebooks" / "quickstart.ipynb"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the examples: tiny.onnx, photos/ and cat.jpg."""
    onnx.save(export_float(tiny_net()), tmp_path / "tiny.onnx")
    (tmp_path / "photos").mkdir()
    for index, pixels in enumerate(tiny_images()):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{index}.png")
    shutil.copy(PHOTOS[0], tmp_path / "cat.jpg")
    return tmp_path


def indented(text: str) -> str:
    """The code block of a docstring."""
    block = re.search(r"^::\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert block is not None
    return re.sub(r"^    ", "", block[1], flags=re.MULTILINE)


def without_comments(code: str) -> list[str]:
    return [line.split("  #")[0] for line in code.strip().splitlines()]


def test_the_ten_lines(folder: Path) -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    # On an array whose simulator other tests build as well.
    small = code.replace('ps.arch("8x8", act_words=4096)', 'ps.arch("tiny")')
    assert small != code
    result = subprocess.run(
        [sys.executable, "-c", small], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    network = ps.load(folder / "tiny.onnx", calibrate=folder / "photos")
    profile = ps.compile(network, "tiny").predict()
    assert str(profile) in result.stdout
    lines = result.stdout.splitlines()
    (answer,) = (line for line in lines if line.endswith(" (8, 8, 16)"))
    cycles = answer.split()[-4]
    assert int(cycles) > 0
    assert any(
        line.startswith("conv2") and f"{int(cycles):,}".replace(",", " ") in line for line in lines
    )
    assert (folder / "layers.png").read_bytes().startswith(b"\x89PNG")
    assert "module penstock(" in (folder / "core.v").read_text()
    # The docstring of `penstock` shows the same lines, a check apart.
    shown = without_comments(indented(str(ps.__doc__)))
    there = [line.replace(", check=True", "") for line in without_comments(code)]
    assert shown == there


@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
def test_the_notebook(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "MODEL": folder / "tiny.onnx",
        "ARCH": "tiny",
        "CALIBRATE": folder / "photos",
        "IMAGE": folder / "cat.jpg",
    }
    for name, value in names.items():
        monkeypatch.setenv(f"PENSTOCK_{name}", str(value))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    text = "".join(out.text for out in outputs if out.get("name") == "stdout")
    shown = [out["data"] for out in outputs if out.output_type == "execute_result"]
    network = ps.load(folder / "tiny.onnx", calibrate=folder / "photos")
    compiled = ps.compile(network, "tiny")
    # Tables of the network, the prediction and the result; one picture.
    tables = [data["text/html"] for data in shown if "text/html" in data]
    assert tables[:2] == [network._repr_html_(), compiled.predict()._repr_html_()]
    assert len(tables) == 3
    (picture,) = (data["image/png"] for data in shown if "image/png" in data)
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert f"{len(compiled.layers_on_array)} maps are bit-exact\n" in text
    first = next(data["text/plain"] for data in shown if "text/html" not in data)
    golden = run_quantised(network, np.zeros(network.input.shape, np.uint8))
    shapes = {name: values.shape for name, values in golden.items()}
    assert ast.literal_eval(first) == shapes
    assert "conv1 " in text and "'padding'" in text
    assert (folder / "core.v").stat().st_size > 100_000
