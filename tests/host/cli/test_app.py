"""The command line: its output and files, and one clear line for each error."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from penstock.host.cli.commands import classify as classify_command
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import DeviceError, RunLog
from penstock.host.inputs import catalog
from penstock.host.program.program import Program
from penstock.host.runtime.session import Mismatch
from penstock.models.data.shipped import PHOTOS
from penstock.models.graph import store
from penstock.models.graph.graph import Network
from penstock.models.networks.alexnet import BVLC, weight_shapes
from penstock.models.spec.arch import get_arch
from penstock.sim.bench.runner import BenchError
from tests.support.commands import Run, classify, refused

PHOTO = str(PHOTOS / "chelsea.jpg")


def test_classify(penstock: Run, tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    other = str(PHOTOS / "coffee.jpg")
    outcome = classify(penstock, PHOTO, other, "--check", "--json", report, "--top", "3")
    assert outcome.status == 0, outcome
    assert outcome.out.count("bit-exact with the golden model: yes (7 feature maps)") == 2
    assert "meaningless" in outcome.out
    data = json.loads(report.read_text())
    assert list(data) == ["model", "arch", "device", "images", "layers", "totals"]
    assert (data["model"], data["arch"], data["device"]) == ("tiny", "tiny", "functional")
    assert [image["path"] for image in data["images"]] == [PHOTO, other]
    for image in data["images"]:
        assert list(image) == ["path", "top", "mismatches"]
        assert image["mismatches"] == 0
        assert [list(answer) for answer in image["top"]] == [["index", "label", "score"]] * 3
        scores = [answer["score"] for answer in image["top"]]
        assert scores == sorted(scores, reverse=True)
    assert [layer["name"] for layer in data["layers"]] == ["conv1", "conv2", "conv3"]
    assert list(data["layers"][0]) == [
        "name",
        "macs",
        "cycles",
        "efficiency",
        "padding",
        "stalls",
        "ddr_read_bytes",
        "ddr_write_bytes",
    ]
    assert list(data["layers"][0]["stalls"]) == ["input", "weights", "output", "memory", "idle"]
    assert list(data["totals"]) == [
        "macs",
        "cycles",
        "efficiency",
        "ddr_bytes",
        "sim_seconds",
        "cpu_seconds",
        "wall_seconds",
    ]
    assert data["totals"]["macs"] == sum(layer["macs"] for layer in data["layers"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json"]


def test_classify_on_rtl(penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_CACHE")  # other tests have built this simulator, or will use it
    photos = [str(path) for path in catalog.photographs()[:2]]
    reports = {}
    for device in ("functional", "rtl"):
        path = tmp_path / f"{device}.json"
        outcome = penstock(
            *("classify", *photos, "--model", "tiny", "--arch", "tiny", "--device", device),
            *("--check", "--json", path),
        )
        assert outcome.status == 0, outcome
        reports[device] = json.loads(path.read_text())
    assert [image["mismatches"] for image in reports["rtl"]["images"]] == [0, 0]
    assert reports["rtl"]["images"] == reports["functional"]["images"]
    assert "conv3" in outcome.out
    totals, layers = reports["rtl"]["totals"], reports["rtl"]["layers"]
    assert totals["efficiency"] == totals["macs"] / (totals["cycles"] * 16)
    (cost,) = [line for line in outcome.out.splitlines() if line.startswith("With --check")]
    found = re.search(
        r": ([\d ]+) cycles an image predicted, ([\d ]+) without \((\S+) % more", cost
    )
    assert found is not None
    checked, plain = (int(found[index].replace(" ", "")) for index in (1, 2))
    assert checked == pytest.approx(totals["cycles"], rel=0.02)
    assert plain < checked
    assert float(found[3]) == pytest.approx(100 * (checked / plain - 1), abs=0.06)
    assert totals["efficiency"] > 0.5
    assert 0 <= totals["cycles"] - sum(layer["cycles"] for layer in layers) < 200
    assert totals["ddr_bytes"] > 0
    for layer in layers:
        assert layer["cycles"] > sum(layer["stalls"].values()) - layer["stalls"]["memory"]
    assert all(value["cycles"] == 0 for value in reports["functional"]["layers"])


def test_without_check_nothing_is_claimed(penstock: Run, tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    outcome = classify(penstock, PHOTO, "--json", report)
    assert outcome.status == 0
    assert "bit-exact" not in outcome.out
    assert json.loads(report.read_text())["images"][0]["mismatches"] is None


def test_a_mismatch_fails(penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = (Mismatch("conv2", 17, (3, 4, 5), 200, 199),)
    monkeypatch.setattr("penstock.host.runtime.session.compare_maps", lambda got, expected: found)
    report = tmp_path / "out.json"
    outcome = classify(penstock, PHOTO, "--check", "--json", report)
    assert outcome.status == 1
    assert "bit-exact with the golden model: no" in outcome.out
    assert outcome.err == (
        f"penstock: {PHOTO}: layer conv2: 17 values differ, the first at row 3, column 4, "
        "channel 5: 200 instead of 199\n"
    )
    assert json.loads(report.read_text())["images"][0]["mismatches"] == 17


def test_device_error_fails_and_writes_nothing(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> RunLog:
        raise DeviceError("port wgt: DECERR, 512 beats expected, 17 received")

    monkeypatch.setattr("penstock.host.devices.functional.FunctionalDevice.run", fail)
    report = tmp_path / "out.json"
    report.write_text("old")
    outcome = classify(penstock, PHOTO, "--json", report)
    assert outcome.status == 1
    assert outcome.err == "penstock: port wgt: DECERR, 512 beats expected, 17 received\n"
    assert report.read_text() == "old"
    assert list(tmp_path.iterdir()) == [report]


def test_bad_images(penstock: Run, tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.jpg", tmp_path / "text.jpg"
    empty.write_bytes(b"")
    text.write_text("hello")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(Path(PHOTO).read_bytes()[:5000])
    refused(classify(penstock, tmp_path / "none.jpg"), "none.jpg", "no such file")
    refused(classify(penstock, empty), "empty.jpg", "is empty")
    refused(classify(penstock, text), "text.jpg", "not an image")
    refused(classify(penstock, cut), "cut.jpg", "truncated")
    (tmp_path / "nothing").mkdir()
    refused(classify(penstock, tmp_path / "nothing"), "nothing", "holds no images")
    refused(classify(penstock, PHOTO, empty), "empty.jpg")
    refused(classify(penstock), "Missing argument")


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16"])
def test_odd_images_work(penstock: Run, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.tif"
    size = (1, 1) if mode == "L" else (50, 40)
    Image.new(mode, size).save(path)
    assert classify(penstock, path).status == 0


def test_bad_names(penstock: Run) -> None:
    refused(classify(penstock, PHOTO, "--model", "alexnot"), "alexnet, ", "nin, ", "'alexnot'")
    refused(classify(penstock, PHOTO, "--model", "no/such.net"), "no/such.net", "o such file")
    refused(penstock("classify", PHOTO, "--device", "gpu"), "functional", "'gpu'")
    refused(classify(penstock, PHOTO, "--arch", "huge"), "tiny, lab", "'huge'")
    refused(classify(penstock, PHOTO, "--arch", "0x0"), "arch 0x0: rows")
    refused(classify(penstock, PHOTO, "--arch", "3x5"), "arch 3x5: rows * cols")
    refused(classify(penstock, PHOTO, "--top", "0"), "--top")
    refused(penstock("clasify", PHOTO), "clasify")
    refused(penstock("classify", PHOTO, "--tops", "3"), "--tops")
    refused(penstock("profile", "--model", "tiny", "--device", "functional", "--layer", "c9"), "c9")


def test_unwritable_outputs_are_refused_first(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(classify_command, "load", never)
    refused(classify(penstock, PHOTO, "--json", tmp_path / "no" / "out.json"), "no/out.json")
    refused(classify(penstock, PHOTO, "--json", tmp_path), "is a directory")
    refused(classify(penstock, PHOTO, "--json", "/proc/out.json"), "/proc/out.json")
    monkeypatch.setattr("penstock.host.cli.commands.program_files.load", never)
    refused(penstock("compile", "tiny", "-o", tmp_path / "no" / "p"), "cannot write")


def test_output_to_a_device(penstock: Run) -> None:
    assert classify(penstock, PHOTO, "--json", "/dev/null").status == 0
    assert not Path("/dev/null").is_file()


def test_compile_inspect_and_use(penstock: Run, tmp_path: Path) -> None:
    program, network = tmp_path / "tiny.pst", tmp_path / "tiny.net"
    outcome = penstock(
        *("compile", "tiny", "-o", program, "--arch", "tiny", "--trace"),
        *("--save-network", network),
    )
    assert outcome.status == 0, outcome
    assert Program.load(program).model == "tiny"
    shown = penstock("inspect", program)
    assert shown.status == 0
    for text in ("program of tiny for arch tiny", "conv1", "norm1", "descriptors", "CONV"):
        assert text in shown.out
    shown = penstock("inspect", network)
    assert shown.status == 0
    for text in ("network tiny", "QConv", "5x5, stride 2", "fc5"):
        assert text in shown.out
    by_name = classify(penstock, PHOTO, "--check")
    outcome = penstock(
        *("classify", PHOTO, "--model", network, "--program", program, "--check"),
        *("--device", "functional", "--arch", "tiny"),
    )
    assert outcome.status == 0, outcome
    assert outcome.out.splitlines()[:9] == by_name.out.splitlines()[:9]
    refused(
        classify(penstock, PHOTO, "--program", program, "--arch", "lab"),
        "for arch tiny",
        "lab (16x16",
    )


def test_explain(penstock: Run, tmp_path: Path) -> None:
    program = tmp_path / "tiny.pst"
    options = ("--arch", "tiny", "--batch", "3", "--fc", "fpga", "--explain", "--mhz", "50")
    outcome = penstock("compile", "tiny", "-o", program, *options)
    assert outcome.status == 0, outcome
    for text in ("conv1: conv1 + norm1 + pool1", "taken: ", "3 images: on the array at 50 MHz"):
        assert text in outcome.out
    assert [layer.name for layer in Program.load(program).layers][-1] == "fc4"
    refused(penstock("compile", "tiny", "-o", program, *options[:-1], "0"), "mhz", "0.0")
    refused(penstock("compile", "tiny", "-o", program, "--fc", "gpu"), "--fc", "'gpu'")
    refused(penstock("compile", "tiny", "-o", program, "--batch", "0"), "--batch")


def test_bad_files(penstock: Run, tmp_path: Path) -> None:
    program, network = tmp_path / "tiny.pst", tmp_path / "tiny.net"
    penstock("compile", "tiny", "-o", program, "--save-network", network)
    cut = tmp_path / "cut"
    for whole in (program, network):
        data = whole.read_bytes()
        for size in (0, 5, 12, 40, len(data) // 2, len(data) - 1):
            cut.write_bytes(data[:size])
            refused(penstock("inspect", cut), "cut")
            refused(classify(penstock, PHOTO, "--model", cut), "cut")
            refused(classify(penstock, PHOTO, "--program", cut), "cut")
        other = bytearray(data)
        other[8] = 99
        cut.write_bytes(other)
        refused(penstock("inspect", cut), "version 99")
        other = bytearray(data)
        other[len(data) // 2] ^= 1
        cut.write_bytes(other)
        refused(penstock("inspect", cut), "checksum")
    refused(classify(penstock, PHOTO, "--model", program), "not a saved network")
    refused(penstock("inspect", tmp_path / "none"), "none", "no such file")
    refused(penstock("inspect", tmp_path), "is a directory")
    refused(penstock("compile", PHOTO, "-o", tmp_path / "p"), "chelsea.jpg")


def test_program_of_another_network(penstock: Run, tmp_path: Path) -> None:
    program = tmp_path / "p"
    network = catalog.load_network("tiny")
    program.write_bytes(_renamed(network, tmp_path))
    refused(classify(penstock, PHOTO, "--program", program), "not for tiny")


def _renamed(network: object, folder: Path) -> bytes:
    """A program of a network with other layer names."""
    assert isinstance(network, Network)
    first, *rest = network.layers
    layers = (replace(first, name="other"), replace(rest[0], inputs=("other",)), *rest[1:])
    scales = {**network.scales, "other": network.scales["conv1"]}
    renamed = replace(network, name="else", layers=layers, scales=scales)
    return compile_network(renamed, get_arch("tiny")).to_bytes()


def test_weights(penstock: Run, tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    rng = np.random.default_rng(1)
    shapes = weight_shapes(BVLC, 10)
    np.savez(path, **{name: np.zeros(1, np.float32) for name in list(shapes)[:3]})
    alexnet = ("classify", PHOTO, "--device", "functional")
    refused(penstock(*alexnet, "--weights", path), "w.npz", "conv2.bias")
    refused(penstock(*alexnet, "--weights", tmp_path / "none.npz"), "none.npz", "no such file")
    path.write_bytes(b"PK hello")
    refused(penstock(*alexnet, "--weights", path), "w.npz")
    text = tmp_path / "w.txt"
    text.write_text("x")
    refused(penstock(*alexnet, "--weights", text), "must be an .npz or .onnx file")
    onnx = tmp_path / "w.onnx"
    onnx.write_bytes(rng.bytes(100))
    refused(penstock(*alexnet, "--weights", onnx), "w.onnx")


def test_labels(penstock: Run, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("".join(f"thing {i}\n" for i in range(10)))
    outcome = classify(penstock, PHOTO, "--labels", path)
    assert outcome.status == 0
    assert "thing " in outcome.out
    path.write_text("one\n")
    refused(classify(penstock, PHOTO, "--labels", path), "1 labels for 10 classes")
    path.write_bytes(b"\xff\xfe\x00")
    refused(classify(penstock, PHOTO, "--labels", path), "not a text file")
    refused(classify(penstock, PHOTO, "--labels", tmp_path / "none"), "no such file")


def test_layer_that_does_not_fit(penstock: Run, tmp_path: Path) -> None:
    network = catalog.load_network("tiny")
    layers = list(network.layers[:3])
    layers[2] = replace(layers[2], kernel=5)  # type: ignore[call-arg]
    path = tmp_path / "wide.net"
    store.save(replace(network, layers=tuple(layers)), path)
    refused(classify(penstock, PHOTO, "--model", path), "layer pool1")


def test_profile(penstock: Run, tmp_path: Path) -> None:
    report = tmp_path / "out.json"
    outcome = penstock(
        *("profile", "--model", "tiny", "--device", "functional", "--arch", "tiny"),
        *("--layer", "pool2", "--json", report),
    )
    assert outcome.status == 0, outcome
    data = json.loads(report.read_text())
    assert [layer["name"] for layer in data["layers"]] == ["conv2"]
    assert data["totals"]["macs"] > data["layers"][0]["macs"]


def test_simulate(penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waves = tmp_path / "waves.fst"
    refused(penstock("simulate", "conv9"), "conv1, conv2", "'conv9'")
    refused(penstock("simulate", "conv1", "--simulator", "x"), "verilator, icarus", "'x'")
    refused(penstock("simulate", "conv1", "--arch", "x"), "'x'")
    refused(penstock("simulate", "conv1", "--waves", tmp_path / "no" / "w"), "cannot write")
    refused(penstock("simulate", "conv1", "--waves", "/dev/null"), "regular file")
    monkeypatch.delenv("PENSTOCK_CACHE")  # other tests have built this simulator, or will use it
    outcome = penstock("simulate", "conv3", "--simulator", "icarus", "--waves", waves)
    assert outcome.status == 0, outcome
    assert "bit-exact with the golden model: yes" in outcome.out
    assert waves.stat().st_size > 10_000
    assert sorted(tmp_path.iterdir()) == [waves, waves.with_suffix(".gtkw")]


def test_simulate_fails_with_one_line(penstock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise BenchError("0.00ns INFO started\n  AssertionError: status 0x4, error TIMEOUT\n\n")

    monkeypatch.setattr("penstock.sim.bench.simulate.simulate", fail)
    outcome = penstock("simulate", "conv3")
    assert outcome.status == 1
    assert outcome.err == "penstock: AssertionError: status 0x4, error TIMEOUT\n"


def test_doctor(penstock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = penstock("doctor")
    assert outcome.status == 0, outcome
    for text in ("python", "g++", "verilator", "cache", "functional"):
        assert text in outcome.out
    monkeypatch.setenv("CXX", "no-such-compiler")
    outcome = penstock("doctor")
    assert outcome.status == 1
    assert "apt-get install g++" in outcome.out
    assert "missing: no-such-compiler" in outcome.out


def test_internal_errors_are_one_line(penstock: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("what\nnow")

    monkeypatch.setattr(classify_command, "check_device", broken)
    outcome = classify(penstock, PHOTO)
    assert outcome.status == 1
    assert outcome.err == (
        "penstock: internal error: RuntimeError: what now (PENSTOCK_DEBUG=1 shows where)\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end(penstock: Run, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def stopped(*arguments: object, **options: object) -> None:
        signal.raise_signal(number)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(classify_command, "check_device", stopped)
    # Tests started in the background may have inherited SIGINT as ignored.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = classify(penstock, PHOTO)
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert (outcome.status, outcome.err) == (130, "penstock: interrupted\n")
    assert signal.getsignal(signal.SIGTERM) == before


def test_damaged_cache_is_made_again(
    penstock: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A cache of its own: the other tests' one holds their networks as well.
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    assert classify(penstock, PHOTO).status == 0
    (path,) = (path for path in tmp_path.glob("network-*") if not path.suffix)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        store.load(path)
    outcome = classify(penstock, PHOTO, "--check")
    assert outcome.status == 0
    assert outcome.err.startswith(f"penstock: {path} is damaged and is made again\n")
    store.load(path)


def test_as_a_process(cache: Path) -> None:
    """The real command: help, a closed pipe, and no traceback."""
    environment = {**os.environ, "PENSTOCK_CACHE": str(cache)}
    base = [sys.executable, "-m", "penstock"]
    root = Path(__file__).parents[3]

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*base, *arguments],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    shown = call()
    assert shown.returncode == 0
    assert "classify" in shown.stdout
    wrong = call("classify", "/no/such.jpg", "--model", "tiny", "--device", "functional")
    assert wrong.returncode == 2
    # A slow machine prints progress too.
    assert wrong.stderr.endswith("penstock: /no/such.jpg: no such file\n")
