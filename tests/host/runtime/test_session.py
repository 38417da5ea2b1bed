"""Images through a session: the same answers on every device, in order, with working checks."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Buffer, Device, DeviceError, RunLog
from penstock.host.devices.functional import FunctionalDevice
from penstock.host.program.program import Program
from penstock.host.runtime.cpu_layers import top_classes
from penstock.host.runtime.session import Mismatch, Session, compare_maps
from penstock.models.golden.ops import input_codes, run_quantised, scores
from penstock.models.graph.graph import Network
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.quant.quantize import quantise
from penstock.models.spec.arch import get_arch

ARCH = get_arch("tiny")


@pytest.fixture(scope="module")
def network() -> Network:
    return quantise(tiny_net(), tiny_images())


@pytest.fixture(scope="module")
def images(network: Network) -> list[NDArray[np.uint8]]:
    return [input_codes(network.input, image) for image in tiny_images(count=3, seed=7)]


@pytest.mark.parametrize("trace", [False, True])
def test_answers_equal_the_golden_model(
    network: Network, images: list[NDArray[np.uint8]], trace: bool
) -> None:
    program = compile_network(network, ARCH, trace=trace)
    with (
        open_device("functional", ARCH) as device,
        Session(network, program, device, top=3, check=True) as session,
    ):
        results = list(session.run(images))
    assert [result.index for result in results] == [0, 1, 2]
    for image, result in zip(images, results, strict=True):
        golden = run_quantised(network, image)
        last = network.layers[-1]
        probabilities = scores(last, golden[last.name].reshape(-1))  # type: ignore[arg-type]
        assert [answer.index for answer in result.top] == top_classes(probabilities, 3)
        assert result.top[0].score == probabilities.max()
        assert result.top[0].label == network.labels[result.top[0].index]
        assert result.compared == (7 if trace else 1)
        assert result.mismatches == ()
        for name, values in result.maps.items():
            np.testing.assert_array_equal(values, golden[name])
        assert len(result.log.entries) == len(program.layers)


def test_second_stream_equals_the_first(network: Network, images: list[NDArray[np.uint8]]) -> None:
    program = compile_network(network, ARCH)
    with open_device("functional", ARCH) as device, Session(network, program, device) as session:
        first = [result.top for result in session.run(images)]
        second = [result.top for result in session.run(images)]
    assert first == second


@pytest.mark.parametrize(("batch", "group"), [(1, 1), (2, 1), (1, 4)])
def test_a_pause_lets_all_answers_out(
    network: Network, images: list[NDArray[np.uint8]], batch: int, group: int
) -> None:
    """An answer is returned before the next image arrives."""
    program = compile_network(network, ARCH, batch=batch)
    taken: list[int] = []
    heard: list[int] = []

    def stream() -> Iterator[NDArray[np.uint8] | None]:
        for image in images:
            yield image
            yield None
            taken.append(len(heard))

    with (
        open_device("functional", ARCH) as device,
        Session(network, program, device, group=group) as session,
    ):
        plain = [result.top for result in session.run(images)]
        tops = []
        for result in session.run(stream()):
            heard.append(result.index)
            tops.append(result.top)
    assert heard == [0, 1, 2]
    assert taken == [1, 2, 3]
    assert tops == plain


class _Corrupted(FunctionalDevice):
    """Flips a bit of one byte of one map in reads."""

    def __init__(self, target: int) -> None:
        super().__init__(ARCH)
        self.target = target

    def read(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        data = super().read(buffer, offset, size)
        if offset <= self.target < offset + size:
            data[self.target - offset] ^= 4
        return data


def test_a_single_wrong_bit_is_found(network: Network, images: list[NDArray[np.uint8]]) -> None:
    program = compile_network(network, ARCH, trace=True)
    part = program.outputs["norm2"].parts[0]
    # Plane 1, row 2, column 3, second channel of the word.
    target = part.address(1, 2) + 3 * ARCH.rows + 1  # type: ignore[union-attr]
    device = _Corrupted(target)
    with Session(network, program, device, check=True) as session:
        (result,) = session.run(images[:1])
    (mismatch,) = result.mismatches
    golden = int(run_quantised(network, images[0])["norm2"][2, 3, ARCH.rows + 1])
    assert mismatch == Mismatch("norm2", 1, (2, 3, ARCH.rows + 1), golden ^ 4, golden)
    assert result.mismatch_count == 1
    assert str(mismatch) == (
        f"layer norm2: 1 values differ, the first at row 2, column 3, channel 5: "
        f"{golden ^ 4} instead of {golden}"
    )


def test_compare_maps_reports_the_first_of_many() -> None:
    golden = {"a": np.zeros((2, 3, 4), np.uint8), "b": np.zeros((1, 1, 1), np.uint8)}
    got = {"a": golden["a"].copy()}
    assert compare_maps(got, golden) == ()
    got["a"][1, 0, 2] = 9
    got["a"][0, 2, 3] = 7
    assert compare_maps(got, golden) == (Mismatch("a", 2, (0, 2, 3), 7, 0),)


class _Failing(FunctionalDevice):
    """Fails at one run."""

    def __init__(self, fail_at: int) -> None:
        super().__init__(ARCH)
        self.runs = 0
        self.fail_at = fail_at

    def run(self, program: Program, buffer: Buffer, *, timeout: float = 60.0) -> RunLog:
        self.runs += 1
        if self.runs - 1 == self.fail_at:
            raise DeviceError("port wgt: SLVERR, 512 beats expected, 17 received")
        return super().run(program, buffer, timeout=timeout)


def test_results_before_a_failure_are_kept(
    network: Network, images: list[NDArray[np.uint8]]
) -> None:
    program = compile_network(network, ARCH)
    with Session(network, program, _Failing(2)) as session:
        stream = session.run(images)
        assert [next(stream).index, next(stream).index] == [0, 1]
        with pytest.raises(DeviceError, match="17 received"):
            next(stream)
        # The device works on: the next stream is right.
        assert len(list(session.run(images))) == 3


class _Watched(FunctionalDevice):
    """Records when it runs."""

    def __init__(self) -> None:
        super().__init__(ARCH)
        self.second_run = threading.Event()
        self.runs = 0

    def run(self, program: Program, buffer: Buffer, *, timeout: float = 60.0) -> RunLog:
        self.runs += 1
        if self.runs == 2:
            self.second_run.set()
        return super().run(program, buffer, timeout=timeout)


def test_cpu_layers_overlap_the_next_image(
    network: Network, images: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = _Watched()
    with Session(network, compile_network(network, ARCH), device) as session:
        original = session.cpu.run

        def wait_for_the_device(maps: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
            # Without overlap the second run would only begin after this returned.
            assert device.second_run.wait(30)
            return original(maps)

        monkeypatch.setattr(session.cpu, "run", wait_for_the_device)
        assert len(list(session.run(images[:2]))) == 2


def test_network_without_classifier(network: Network, images: list[NDArray[np.uint8]]) -> None:
    convolutions = Network(
        name="convs", input=network.input, layers=network.layers[:-2], scales=network.scales
    )
    program = compile_network(convolutions, ARCH)
    with open_device("functional", ARCH) as device:
        session = Session(convolutions, program, device, check=True)
        (result,) = session.run(images[:1])
        session.close()
        session.close()
        with pytest.raises(DeviceError, match="session is closed"):
            list(session.run(images[:1]))
    assert result.top == ()
    assert set(result.maps) == {convolutions.layers[-1].name}


def test_memory_is_given_back(network: Network) -> None:
    program = compile_network(network, ARCH)
    device: Device = FunctionalDevice(ARCH, memory_bytes=program.arena_bytes + 4096)
    for _ in range(3):
        Session(network, program, device).close()


def test_refusals(network: Network, images: list[NDArray[np.uint8]]) -> None:
    program = compile_network(network, ARCH)
    with open_device("functional", ARCH) as device:
        with pytest.raises(ValueError, match="top must be a positive integer, not 0"):
            Session(network, program, device, top=0)
        other = Network(name="other", input=network.input, layers=network.layers[1:])
        with pytest.raises(ValueError, match="the program is for tiny, not for other"):
            Session(other, program, device)
        with Session(network, program, device) as session, pytest.raises(ValueError, match="uint8"):
            list(session.run([images[0][:5]]))
    with (
        open_device("functional", get_arch("lab")) as device,
        pytest.raises(DeviceError, match=r"for arch tiny .* the device is lab"),
    ):
        Session(network, program, device)
