"""Real weights from .npz files: the accepted spellings, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.models.graph.graph import Conv, Fc
from penstock.models.networks import nin
from penstock.models.networks.alexnet import BVLC, TORCHVISION, Variant, weight_shapes
from penstock.models.networks.npz_weights import load_npz

Arrays = dict[str, NDArray[np.float16]]

CAFFE = {"weight": "0", "bias": "1"}
TORCH = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}


def state(variant: Variant, classes: int = 2) -> Arrays:
    """Return float16 weights whose first element in each row is the row's number."""
    arrays = {}
    for index, (name, shape) in enumerate(weight_shapes(variant, classes).items()):
        arrays[name] = np.zeros(shape, np.float16)
        arrays[name].reshape(len(arrays[name]), -1)[:, 0] = np.arange(shape[0]) % 64 + index
    return arrays


def small_state(**changes: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
    """Return arrays with all names, but only conv1 of the right shape."""
    arrays: dict[str, NDArray[np.generic]] = {
        name: np.zeros(1, np.float32) for name in weight_shapes(BVLC)
    }
    arrays["conv1.weight"] = np.zeros((96, 3, 11, 11), np.float32)
    arrays["conv1.bias"] = np.zeros(96, np.float32)
    return {**arrays, **changes}


@pytest.mark.parametrize("spelling", ["own", "caffe", "torchvision"])
def test_every_spelling_is_read(
    tmp_path: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Full fully connected layers are tested elsewhere: here they would only take time.
    monkeypatch.setattr("penstock.models.networks.alexnet._HIDDEN", 32)
    variant = TORCHVISION if spelling == "torchvision" else BVLC
    arrays = state(variant)
    named: dict[str, NDArray[np.generic]] = {}
    for name, array in arrays.items():
        layer, kind = name.split(".")
        if spelling == "caffe":
            # Old Caffe files hold biases as (1, 1, 1, n).
            shape = (1, 1, 1, -1) if kind == "bias" else array.shape
            named[f"{layer}/{CAFFE[kind]}"] = array.reshape(shape)
        else:
            named[f"{TORCH[layer]}.{kind}" if spelling == "torchvision" else name] = array
    if spelling == "own":
        named["labels"] = np.array(["pass", "flag"])
    path = tmp_path / "weights.npz"
    np.savez_compressed(path, **named)
    network = load_npz(path)
    assert network.trained
    assert network.source == str(path)
    assert network.labels == (("pass", "flag") if spelling == "own" else ("class 0", "class 1"))
    assert network.input == variant.input
    for layer_name in TORCH:
        layer = network.layer(layer_name)
        assert isinstance(layer, Conv | Fc)
        assert layer.weight.dtype == layer.bias.dtype == np.float32
        np.testing.assert_array_equal(layer.weight, arrays[f"{layer_name}.weight"])
        np.testing.assert_array_equal(layer.bias, arrays[f"{layer_name}.bias"])
    if spelling == "own":
        swapped = load_npz(path, order="RGB").input
        assert (swapped.order, swapped.mean) == ("RGB", (123.0, 117.0, 104.0))
        assert load_npz(path, order="BGR", mean=(1, 2, 3)).input.mean == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("spelling", ["own", "caffe"])
def test_network_in_network(tmp_path: Path, spelling: str) -> None:
    long = {"conv4": "conv4-1024", "cccp7": "cccp7-1024", "cccp8": "cccp8-1024"}
    arrays, named = {}, {}
    for index, (name, shape) in enumerate(nin.weight_shapes(3).items()):
        layer, kind = name.split(".")
        arrays[name] = np.zeros(shape, np.float16)
        arrays[name].reshape(len(arrays[name]), -1)[:, 0] = np.arange(shape[0]) % 64 + index
        named[name if spelling == "own" else f"{long.get(layer, layer)}/{CAFFE[kind]}"] = arrays[
            name
        ]
    path = tmp_path / "weights.npz"
    np.savez_compressed(path, **named)
    network = load_npz(path)
    assert (network.name, network.trained, network.input) == ("nin", True, nin.SPEC)
    assert network.labels == ("class 0", "class 1", "class 2")
    for layer in network.layers:
        if isinstance(layer, Conv):
            np.testing.assert_array_equal(layer.weight, arrays[f"{layer.name}.weight"])
            np.testing.assert_array_equal(layer.bias, arrays[f"{layer.name}.bias"])
    del named["conv2.weight" if spelling == "own" else "conv2/0"]
    np.savez_compressed(path, **named)
    with pytest.raises(ValueError, match=r"no array called conv2\.weight \(1 of 24 missing\)"):
        load_npz(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"conv1.weight": np.zeros(3), "x": np.zeros(1)},
            r"no array called conv1\.bias \(15 of 16 missing\); the file holds conv1\.weight, x",
        ),
        ({}, "the file holds nothing"),
        (
            small_state(**{"conv1.weight": np.zeros((11, 11, 3, 96), np.float32)}),
            r"conv1\.weight must have shape \(96, 3, 11, 11\) \(BVLC\) or \(64, 3, 11, 11\)",
        ),
        (
            small_state(**{"conv1.weight": np.float32(3)}),
            r"conv1\.weight must have shape \(96, 3, 11, 11\)",
        ),
        (small_state(), r"conv2\.weight must have shape \(256, 48, 5, 5\), not \(1,\)"),
        (
            small_state(**{"conv1.bias": np.zeros(96, np.int8)}),
            r"conv1\.bias must hold floats, not int8",
        ),
        (
            small_state(**{"conv1.bias": np.full(96, np.inf)}),
            r"conv1\.bias holds values that are not finite",
        ),
        (
            small_state(**{"conv1.weight": np.full(3, None)}),
            r"not a readable \.npz file: Object arrays cannot be loaded",
        ),
    ],
)
def test_wrong_arrays_are_named(
    tmp_path: Path, arrays: dict[str, NDArray[np.generic]], message: str
) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message) as error:
        load_npz(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, **small_state())
    data = path.read_bytes()
    for content in (b"", b"PK", b"no weights at all", data[: len(data) // 2], data[:-30]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"not a readable \.npz file") as error:
            load_npz(path)
        assert "\n" not in str(error.value)
    path.write_bytes(data[:300] + b"\xff" * 40 + data[340:])
    with pytest.raises(ValueError, match="not a readable"):
        load_npz(path)
    with pytest.raises(ValueError, match="No such file"):
        load_npz(tmp_path / "absent.npz")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"a single array \(\.npy\)"):
        load_npz(tmp_path / "one.npy")
    with pytest.raises(ValueError, match="order must be BGR or RGB, not 'GBR'"):
        load_npz(path, order="GBR")
