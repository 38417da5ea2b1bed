"""From a network to results with `import penstock`: every map, counters, several images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import penstock as ps
from penstock.host.devices.functional import FunctionalDevice
from penstock.host.inputs.preprocess import load_codes
from penstock.models.golden.ops import run_quantised
from penstock.models.graph import store
from penstock.models.networks.tinynet import tiny_net
from tests.support.netgen import make_classifier, random_codes
from tests.support.networks import PHOTOS


@pytest.fixture(scope="module")
def compiled() -> ps.Compiled:
    return ps.compile(make_classifier(), "tiny")


def test_every_map_is_the_golden_one(compiled: ps.Compiled) -> None:
    network = compiled.network
    codes = random_codes(network, 3)
    golden = run_quantised(network, codes)
    with ps.Device("functional", compiled.arch) as device:
        result = device.run(compiled, codes, raw=True, keep="all")
        lean = device.run(compiled, codes, raw=True)
    assert list(result.maps) == [layer.name for layer in network.layers]
    for name, values in result.maps.items():
        np.testing.assert_array_equal(values, golden[name])
        assert values.dtype == golden[name].dtype
    assert len(lean.maps) < len(result.maps)
    assert lean.top == result.top
    # The program without stored maps is the compiled one; the other is made once.
    assert lean.compiled is compiled
    assert result.compiled is compiled.traced is compiled.traced.traced


def test_maps_of_some_layers(compiled: ps.Compiled) -> None:
    names = [layer.name for layer in compiled.network.layers]
    codes = random_codes(compiled.network, 4)
    with ps.Device("functional", compiled.arch) as device:
        result = device.run(compiled, codes, raw=True, keep=[names[0], names[-1]])
        assert list(result.maps) == [names[0], names[-1]]
        assert list(device.run(compiled, codes, raw=True, keep=names[0]).maps) == [names[0]]
        with pytest.raises(ValueError, match=rf"keep must be all or one of {names[0]}, .*'no'"):
            device.run(compiled, codes, raw=True, keep="no")


def test_counters_on_the_simulated_core() -> None:
    compiled = ps.compile(ps.load("tiny"), "tiny")
    with ps.Device("rtl", "tiny", progress=lambda text: None) as device:
        first = device.run(compiled, str(PHOTOS[0]))
        again = device.run(compiled, PHOTOS[0], check=True)
    assert first.image == str(PHOTOS[0])
    assert again.compared == len(compiled.layers_on_array)
    assert first.top == again.top
    # Predicted within 2 %, as everywhere.
    predicted = compiled.predict()
    for layer in first.layers:
        assert layer.cycles == pytest.approx(predicted[layer.name].cycles, rel=0.05, abs=100)
        assert sum(layer.breakdown.values()) == layer.cycles
        assert layer.breakdown["work"] > 0
    assert first.layers["norm1"] is first.layers["conv1"]
    assert first.layers.total.cycles == first.log.totals["cycles"] > 0
    # Storing every map costs cycles, which the result shows.
    assert again.layers.total.cycles > first.layers.total.cycles
    assert first.plot()._repr_png_().startswith(b"\x89PNG")


def test_pictures(compiled: ps.Compiled) -> None:
    """A file, its pixels and its grey pixels; codes only with `raw`."""
    spec = compiled.network.input
    pixels = np.asarray(Image.open(PHOTOS[0]).convert("RGB"))
    with ps.Device("functional", "tiny") as device:
        wanted = device.run(compiled, load_codes(PHOTOS[0], spec), raw=True)
        for image in (PHOTOS[0], str(PHOTOS[0]), pixels):
            assert device.run(compiled, image).top == wanted.top
        grey = device.run(compiled, pixels[..., 0])
        assert grey.top == device.run(compiled, np.repeat(pixels[..., :1], 3, axis=2)).top
        for wrong in (pixels.astype(np.float32), pixels[..., :2]):
            with pytest.raises(ValueError, match="frame must be uint8"):
                device.run(compiled, wrong)
        with pytest.raises(ValueError, match="input codes must be uint8"):
            device.run(compiled, pixels, raw=True)
        with pytest.raises(ValueError, match=r"no/such\.jpg: no such file"):
            device.run(compiled, "no/such.jpg")
        # Nothing of that is left.
        assert device.run(compiled, PHOTOS[0]).top == wanted.top


def test_streams(compiled: ps.Compiled) -> None:
    with ps.Device("functional", "tiny", jobs=2) as device:
        single = [device.run(compiled, path, top=2) for path in PHOTOS]
        stream = device.stream(compiled, PHOTOS, top=2, group=2)
        first = next(stream)
        with pytest.raises(ps.DeviceError, match="another stream of this device"):
            device.run(compiled, PHOTOS[0])
        results = [first, *stream]
        assert [result.top for result in results] == [result.top for result in single]
        assert [result.image for result in results] == [str(path) for path in PHOTOS]
        assert len(device.back_ends) == 2
        named = device.stream(compiled, PHOTOS[:1], names=["a"])
        assert [result.image for result in named] == ["a"]
        mean = ps.profile(results)
        assert len(mean) == len(compiled.program.layers)
    with pytest.raises(ValueError, match="one result or more"):
        ps.profile([])
    with pytest.raises(ValueError, match="jobs must be a positive integer, not 0"):
        ps.Device("functional", "tiny", jobs=0)


def test_programs_stay_loaded(compiled: ps.Compiled) -> None:
    other = ps.compile(make_classifier(), "tiny")
    size = compiled.program.arena_bytes
    with ps.Device("functional", "tiny", memory_bytes=size, verify=True) as device:
        codes = random_codes(compiled.network, 1)
        first = device.run(compiled, codes, raw=True)
        loaded = device.back_end.uploaded
        device.run(compiled, codes, raw=True)
        inputs = device.back_end.uploaded - loaded
        assert inputs < len(compiled.program.image)
        # There is room for one program: each replaces the other.
        device.run(other, codes, raw=True)
        assert device.run(compiled, codes, raw=True).top == first.top
        assert device.back_end.verified == device.back_end.uploaded
        assert "classifier loaded" in repr(device)
        device.unload()
        assert "nothing loaded" in repr(device)


def test_a_check_that_fails(compiled: ps.Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    read = FunctionalDevice.read

    def wrong(self: FunctionalDevice, *arguments: object) -> np.ndarray:
        data = read(self, *arguments)
        data[0] ^= 1
        return data

    codes = random_codes(compiled.network, 1)
    with ps.Device("functional", "tiny") as device:
        monkeypatch.setattr(FunctionalDevice, "read", wrong)
        with pytest.raises(ps.MismatchError, match=r"image 0: layer .* values differ"):
            device.run(compiled, codes, raw=True, check=True)
        (result,) = device.stream(compiled, [codes], raw=True, check=True)
        assert result.mismatches
        assert ", not bit-exact with the golden model in" in repr(result)


def test_batches() -> None:
    network = make_classifier()
    one, three = (ps.compile(network, "tiny", batch=batch) for batch in (1, 3))
    images = [random_codes(network, seed) for seed in range(4)]
    with ps.Device("functional", "tiny") as device:
        results = [
            [result.top for result in device.stream(each, images, raw=True)]
            for each in (one, three)
        ]
    assert results[0] == results[1]
    assert "batches of 3" in repr(three)


def test_arches() -> None:
    assert ps.arch("8x8") is not None and ps.arch("lab") is ps.ARCHES["lab"]
    changed = ps.arch("8x8", act_words=4096)
    assert changed.act_words == 4096 and changed.rows == 8
    assert changed == replace(ps.arch("8x8"), name=changed.name, act_words=4096)
    assert changed.name == "8x8,act_words=4096"
    with pytest.raises(ValueError, match=r"an arch has rows, .*, not 'colour'"):
        ps.arch("8x8", colour=1)
    with pytest.raises(ValueError, match="act_words must be a power of two"):
        ps.arch("8x8", act_words=1000)


def test_compiling_what_cannot_be(compiled: ps.Compiled) -> None:
    with pytest.raises(ValueError, match=r"tiny is a float network: penstock\.load quantises it"):
        ps.compile(tiny_net(), "tiny")
    with pytest.raises(ValueError, match="fc must be cpu or fpga, not 'gpu'"):
        ps.compile(compiled.network, "tiny", fc="gpu")
    with pytest.raises(ValueError, match="keep must be all or None, not 'conv1'"):
        ps.compile(compiled.network, "tiny", keep="conv1")
    with ps.Device("functional", "8x8") as device:
        codes = random_codes(compiled.network, 1)
        with pytest.raises(ps.DeviceError, match="the program is for arch tiny"):
            device.run(compiled, codes, raw=True)


def test_files(compiled: ps.Compiled, tmp_path: Path) -> None:
    ps.save(compiled.network, tmp_path / "a.net")
    compiled.save(tmp_path / "a.pst")
    network = ps.load(tmp_path / "a.net")
    again = ps.load_program(tmp_path / "a.pst", network, "tiny")
    assert again.program == compiled.program
    assert again.traced is again
    with pytest.raises(ValueError, match=r"a\.pst: the program is for arch tiny .*, the device is"):
        ps.load_program(tmp_path / "a.pst", network, "8x8")
    codes = random_codes(network, 1)
    with ps.Device("functional", "tiny") as device:
        top = device.run(again, codes, raw=True).top
        with pytest.raises(ValueError, match="the program does not store the map of"):
            device.run(again, codes, raw=True, keep="all")
    assert store.load(tmp_path / "a.net").name == "classifier"
    assert top


def test_notebooks_show_tables(compiled: ps.Compiled) -> None:
    with ps.Device("functional", "tiny") as device:
        result = device.run(compiled, random_codes(compiled.network, 1), raw=True)
    for shown in (compiled, compiled.predict(), result, compiled.network):
        assert "<table>" in shown._repr_html_()
        assert len(repr(shown)) < 160
        assert "\n" not in repr(shown)
    assert result.top[0].label in result._repr_html_()
