"""The saved-model file: round trip, and one-line refusals of damaged files."""

from __future__ import annotations

import os
import struct
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from penstock.models.golden.ops import run_quantised
from penstock.models.graph import store
from penstock.models.graph.graph import GlobalAveragePool, Layer, Network
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.quant.quantize import quantise


@pytest.fixture(scope="module")
def network() -> Network:
    labels = ("tâche", "äöü", *(f"class {i}" for i in range(8)))
    return replace(quantise(tiny_net(), tiny_images()), labels=labels, source="a test")


@pytest.fixture
def saved(network: Network, tmp_path: Path) -> Path:
    path = tmp_path / "net.penstock"
    store.save(network, path)
    return path


def assert_equal(first: Layer, second: Layer) -> None:
    assert type(first) is type(second)
    for field in fields(first):
        left, right = getattr(first, field.name), getattr(second, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        else:
            assert left == right


@pytest.mark.parametrize("kind", ["quantised", "float"])
def test_what_is_saved_comes_back(network: Network, tmp_path: Path, kind: str) -> None:
    network = network if kind == "quantised" else tiny_net()
    store.save(network, tmp_path / "net")
    loaded = store.load(tmp_path / "net")
    for name in ("name", "input", "labels", "trained", "source", "scales"):
        assert getattr(loaded, name) == getattr(network, name)
    assert len(loaded.layers) == len(network.layers)
    for first, second in zip(loaded.layers, network.layers, strict=True):
        assert_equal(first, second)


def test_global_averages_are_saved(tmp_path: Path) -> None:
    base = tiny_net()
    mean = GlobalAveragePool(name="mean", inputs=("conv3",))
    network = replace(base, layers=(*base.layers[:-2], mean))
    for made in (network, quantise(network, tiny_images())):
        store.save(made, tmp_path / "net")
        assert_equal(store.load(tmp_path / "net").layers[-1], made.layers[-1])


def test_a_loaded_network_runs_and_is_read_only(network: Network, saved: Path) -> None:
    loaded = store.load(saved)
    want = run_quantised(network, tiny_images()[0])
    got = run_quantised(loaded, tiny_images()[0])
    for name, values in want.items():
        np.testing.assert_array_equal(got[name], values)
    with pytest.raises(ValueError, match="read-only"):
        loaded.layers[0].weight[0] = 1


def test_the_same_network_gives_the_same_bytes(network: Network, saved: Path) -> None:
    again = saved.with_name("again")
    store.save(store.load(saved), again)
    assert again.read_bytes() == saved.read_bytes()


def test_every_cut_is_noticed(saved: Path) -> None:
    data = saved.read_bytes()
    cut = saved.with_name("cut")
    for size in [0, 1, 7, 8, 20, 55, 56, 100, len(data) // 2, len(data) - 1]:
        cut.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"cut: (cut short|not a saved network)") as error:
            store.load(cut)
        assert "\n" not in str(error.value)
    cut.write_bytes(data + b"x")
    with pytest.raises(ValueError, match="too long"):
        store.load(cut)


def test_every_damage_is_noticed(saved: Path) -> None:
    data = saved.read_bytes()
    rng = np.random.default_rng(0)
    for position in [0, 9, 13, 17, 30, 57, *rng.integers(56, len(data), 8)]:
        damaged = bytearray(data)
        damaged[position] ^= 0x40
        saved.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"penstock: (not a|format|cut|too|damaged)"):
            store.load(saved)


def test_other_files_are_refused(tmp_path: Path, saved: Path) -> None:
    other = tmp_path / "photo.jpg"
    other.write_bytes(os.urandom(500))
    with pytest.raises(ValueError, match=r"photo\.jpg: not a saved network"):
        store.load(other)
    with pytest.raises(ValueError, match=r"absent: No such file"):
        store.load(tmp_path / "absent")
    with pytest.raises(ValueError, match="Is a directory"):
        store.load(tmp_path)
    data = saved.read_bytes()
    other.write_bytes(data[:8] + struct.pack("<I", 99) + data[12:])
    with pytest.raises(ValueError, match="format version 99, but this program reads version 2"):
        store.load(other)


def test_a_valid_file_without_a_network_is_refused(saved: Path, network: Network) -> None:
    # conv2 no longer fits pool1: the checksum is right, the network is not.
    layers = tuple(layer for layer in network.layers if layer.name != "conv1")
    store.save(replace(network, layers=layers), saved)
    with pytest.raises(ValueError, match="not a valid network: layer norm1: no layer called"):
        store.load(saved)


def test_a_failed_save_leaves_the_old_file(
    saved: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def fail(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        store.save(network, saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_an_absent_folder_is_an_oserror(tmp_path: Path, network: Network) -> None:
    with pytest.raises(OSError, match="No such file"):
        store.save(network, tmp_path / "absent" / "net")


def test_only_known_layers_and_arrays_can_be_saved(network: Network, tmp_path: Path) -> None:
    odd = replace(network, layers=(Layer(name="odd", inputs=("input",)),))
    with pytest.raises(ValueError, match="layer odd: a saved network cannot hold a Layer"):
        store.save(odd, tmp_path / "net")
    first = replace(network.layers[0], weight=np.zeros((1, 1, 1, 1), np.complex64))
    with pytest.raises(ValueError, match="array of complex64"):
        store.save(replace(network, layers=(first,)), tmp_path / "net")
    assert not list(tmp_path.iterdir())
