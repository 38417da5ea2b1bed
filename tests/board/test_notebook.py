"""The notebook runs from top to bottom on the simulated board, and its outputs are right."""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from penstock.host.inputs.catalog import photographs
from penstock.host.inputs.preprocess import load_codes
from penstock.host.runtime.cpu_layers import top_classes
from penstock.models.golden.ops import run_quantised, scores
from penstock.models.graph import store
from tests.support.netgen import make_classifier

ROOT = Path(__file__).parent.parent.parent
NOTEBOOK = ROOT / "host" / "notebooks" / "classify.ipynb"


@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
def test_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make_classifier()
    model = tmp_path / "small.net"
    store.save(network, model)
    for name, value in (("DEVICE", "pynq-sim"), ("ARCH", "tiny"), ("MODEL", str(model))):
        monkeypatch.setenv(f"PENSTOCK_{name}", value)
    monkeypatch.delenv("PENSTOCK_OVERLAY", raising=False)
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    whole = "".join(
        output.text
        for cell in cells
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    )
    assert f"{network.name} for arch tiny" in whole
    assert "pynq-sim: tiny at 100.0 MHz" in whole
    assert whole.endswith("closed\n")
    # The answers are the golden model's.
    expected = []
    for path in photographs():
        outputs = run_quantised(network, load_codes(path, network.input))
        last = network.layers[-1]
        chances = scores(last, np.asarray(outputs[last.name]).reshape(-1))
        expected.append(path.name)
        expected += [
            f"  {chances[index] * 100:5.1f} %  {network.labels[index]}"
            if index < len(network.labels)
            else f"  {chances[index] * 100:5.1f} %  class {index}"
            for index in top_classes(chances, 3)
        ]
    assert "\n".join(expected) + "\n" in whole
    pictures = [
        base64.b64decode(output["data"]["image/png"])
        for cell in cells
        for output in cell.outputs
        if output.output_type == "display_data" and "image/png" in output["data"]
    ]
    assert len(pictures) == 1
    assert pictures[0].startswith(b"\x89PNG")
    (tmp_path / "picture.png").write_bytes(pictures[0])
    shown = [
        output["data"]["text/plain"]
        for cell in cells
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    assert len(shown) == 1
    assert "busy" in shown[0]
