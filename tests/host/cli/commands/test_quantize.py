"""`penstock quantize`: what it writes and prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from penstock.host.cli import app
from penstock.host.inputs.catalog import load_network
from penstock.host.inputs.folder import ImageFolder, image_files
from penstock.models.golden.ops import normalise
from penstock.models.graph.graph import InputSpec
from penstock.models.quant.quantize import quantise
from penstock.models.quant.sqnr import layer_errors
from tests.support.branchnet import branch_images, branch_net
from tests.support.onnx_graphs import float_model


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with images in two levels, and a file that is none."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for index, pixels in enumerate(branch_images(count=5)):
        place = folder / ("more" if index % 2 else "") / f"{index}.png"
        Image.fromarray(pixels[..., ::-1]).save(place)
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(float_model(branch_net()), path)
    return path


def test_a_float_file_becomes_a_quantised_one(
    tmp_path: Path, images: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, report, plot = (tmp_path / name for name in ("out.onnx", "out.json", "out.png"))
    arguments = ["quantize", model, "--calibrate", images, "-o", out, "--resize", "26"]
    arguments += ["--report", report, "--plot", plot, "--layer-method", "conv2=minmax"]
    assert app.run([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr().out
    assert "net quantised on 5 images" in printed
    assert "concat5" in printed

    rows = json.loads(report.read_text())
    assert (rows["model"], rows["images"]) == ("net", 5)
    assert rows["layers"][0]["name"] == "conv1"
    assert all(row["sqnr"] > 15 for row in rows["layers"])
    with Image.open(plot) as picture:
        assert picture.size[0] > 800

    # It takes what the float file takes, and answers nearly the same.
    floating = branch_net()
    data = normalise(floating.input, branch_images()[0]).transpose(2, 0, 1)[None]
    answers = []
    for path in (model, out):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        assert session.get_inputs()[0].name == "data"
        answers.append(session.run(None, {"data": np.ascontiguousarray(data)})[0])
    assert answers[0].shape == answers[1].shape
    assert np.abs(answers[0] - answers[1]).max() < 1.5
    network = load_network(str(out))
    assert network.input.mean == floating.input.mean


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--method": "best"}, "method must be mse, minmax, percentile, not 'best'"),
        ({"--percentile": "10"}, "percentile must be 50 to 100, not 10"),
        ({"--layer-method": "conv1"}, "--layer-method must be NAME=METHOD, not 'conv1'"),
        ({"--layer-method": "conv99=mse"}, "net has no layer 'conv99'"),
        ({"--mean": "1,x"}, "--mean must be numbers such as 104,117,123, not '1,x'"),
        ({"--mean": "1,2"}, "an input of 3 channels needs as many means"),
        ({"--order": "GBR"}, "--order must be RGB, BGR or L, not 'GBR'"),
        ({"--plot": "x.txt"}, "a plot must be one of .png, .svg, .pdf"),
        ({"--calibrate": "nowhere"}, "nowhere: no such folder"),
        ({"-o": "no/such/folder/out.onnx"}, "cannot write"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path,
    images: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    message: str,
) -> None:
    options = {"--calibrate": str(images), "-o": str(tmp_path / "out.onnx"), **changes}
    arguments = ["quantize", str(model), *(part for pair in options.items() for part in pair)]
    assert app.run(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.onnx").exists()


def test_bad_files_leave_nothing_behind(
    tmp_path: Path, images: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        (images / f"broken{number}.jpg").write_bytes(b"\xff\xd8 no more")
    out = tmp_path / "out.onnx"
    assert app.run(["quantize", str(model), "--calibrate", str(images), "-o", str(out)]) == 2
    assert "broken5.jpg: " in capsys.readouterr().err
    for path in images.glob("broken*"):
        path.unlink()
    model.write_bytes(model.read_bytes()[:1000])
    assert app.run(["quantize", str(model), "--calibrate", str(images), "-o", str(out)]) == 2
    assert f"{model}: " in capsys.readouterr().err
    assert not list(tmp_path.glob("*out*"))


def test_folders_of_images(tmp_path: Path, images: Path) -> None:
    files = image_files(images)
    assert [path.name for path in files] == ["0.png", "2.png", "4.png", "1.png", "3.png"]
    assert len(image_files(images, limit=2)) == 2
    spec = InputSpec(shape=(26, 23, 3), resize=23, order="BGR")
    folder = ImageFolder(files, spec)
    assert len(folder) == 5
    np.testing.assert_array_equal(folder[0], branch_images(count=5)[0])
    assert len(folder[1:3]) == 2
    with pytest.raises(ValueError, match="is not a folder"):
        image_files(files[0])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        image_files(tmp_path / "empty")


def test_errors_of_layers() -> None:
    floating = branch_net()
    network = quantise(floating, branch_images())
    said: list[str] = []
    rows = layer_errors(floating, network, branch_images(), progress=said.append)
    assert said == [f"comparing on image {number} of 3" for number in (1, 2, 3)]
    assert [row.name for row in rows] == [layer.name for layer in network.layers]
    assert all(15 < row.sqnr < 60 for row in rows)
    first = rows[0]
    assert (first.kind, first.scale, first.zero) == ("QConv", network.scales["stem"], 0)
    # Noise of uniformly distributed rounding errors, at least.
    assert rows[0].sqnr > rows[-1].sqnr


def test_broken_files_are_named_and_left_out(
    tmp_path: Path, images: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.onnx"
    arguments = ["quantize", model, "--calibrate", images, "-o", out, "--resize", "26"]
    for name in ("broken.jpg", "empty.png"):
        (images / name).write_text("x" if name == "broken.jpg" else "")
    assert app.run([str(argument) for argument in arguments]) == 0
    printed, told = capsys.readouterr()
    assert "net quantised on 5 images" in printed
    assert [line.split(": ")[1] for line in told.splitlines()] == ["left out"] * 2
    assert "broken.jpg" in told
    assert "empty.png" in told
    out.unlink()
    for number in range(6):
        (images / f"broken{number}.jpg").write_text("x")
    assert app.run([str(argument) for argument in arguments]) == 2
    assert "5 of 13 files are images: too few to calibrate on" in capsys.readouterr().err
    assert not out.exists()
