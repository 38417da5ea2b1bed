"""Several devices in parallel: the same results in the same order, and a common stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Buffer, Device, DeviceError, RunLog
from penstock.host.devices.functional import FunctionalDevice
from penstock.host.program.program import Program
from penstock.host.runtime.parallel import ParallelSession, cores
from penstock.host.runtime.session import Result, Session
from penstock.models.golden.ops import input_codes
from penstock.models.graph.graph import Network
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.quant.quantize import quantise
from penstock.models.spec.arch import get_arch

ARCH = get_arch("tiny")

Images = list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def network() -> Network:
    return quantise(tiny_net(), tiny_images())


@pytest.fixture(scope="module")
def images(network: Network) -> Images:
    return [input_codes(network.input, image) for image in tiny_images(count=7, seed=7)]


@pytest.fixture
def together(network: Network) -> Iterator[Callable[..., ParallelSession]]:
    """Make a session on several devices; all is closed at the end."""
    with ExitStack() as stack:

        def make(
            devices: Sequence[Device], *, batch: int = 1, check: bool = False
        ) -> ParallelSession:
            program = compile_network(network, ARCH, trace=check, batch=batch)
            return ParallelSession(
                [
                    stack.enter_context(
                        Session(network, program, stack.enter_context(device), check=check)
                    )
                    for device in devices
                ]
            )

        yield make


def plain(results: Sequence[Result]) -> list[object]:
    """The part of a result that must not depend on the device or on other devices."""
    return [
        (
            result.index,
            result.top,
            result.compared,
            result.mismatches,
            result.log.totals,
            result.log.entries,
            {name: values.tobytes() for name, values in result.maps.items()},
        )
        for result in results
    ]


@pytest.mark.parametrize("batch", [1, 3])
def test_several_rtl_devices_equal_one(
    together: Callable[..., ParallelSession], images: Images, batch: int
) -> None:
    one = open_device("rtl", ARCH)
    first = one.another()
    assert first is not None
    more = [first.another(), first.another()]
    assert None not in more
    alone = list(together([one], batch=batch, check=True).run(images))
    results = list(together([first, *more], batch=batch, check=True).run(images))
    assert [result.index for result in results] == list(range(7))
    assert plain(results) == plain(alone)
    assert len({id(result.log) for result in results}) == -(-7 // batch)


class _Staged(FunctionalDevice):
    """Calls `before` with itself and the number of the image at the start of each run."""

    def __init__(self, images: Images, before: Callable[[Device, int], None]) -> None:
        super().__init__(ARCH)
        self.images = images
        self.before = before

    def run(self, program: Program, buffer: Buffer, *, timeout: float = 60.0) -> RunLog:
        for index, codes in enumerate(self.images):
            if all(
                np.array_equal(self.read(buffer, offset, len(data)), np.frombuffer(data, np.uint8))
                for offset, data in program.pack_input(codes)
            ):
                self.before(self, index)
        return super().run(program, buffer, timeout=timeout)


def test_all_devices_work_at_once(together: Callable[..., ParallelSession], images: Images) -> None:
    barrier = threading.Barrier(3, timeout=60)

    def before(device: Device, index: int) -> None:
        barrier.wait()

    session = together([_Staged(images, before) for _ in range(3)])
    assert [result.index for result in session.run(images[:6])] == list(range(6))


def test_an_error_stops_all_but_the_results_before_it_come(
    together: Callable[..., ParallelSession], images: Images
) -> None:
    begun: list[int] = []

    def before(device: Device, index: int) -> None:
        begun.append(index)
        if index == 2:
            raise DeviceError("port wgt: SLVERR, 512 beats expected, 17 received")
        if index > 2:
            assert device.stop.wait(60)

    session = together([_Staged(images, before) for _ in range(2)])
    stream = session.run(images)
    assert [next(stream).index, next(stream).index] == [0, 1]
    with pytest.raises(DeviceError, match="17 received"):
        next(stream)
    assert 6 not in begun
    # The devices are ready for the next images.
    assert [result.index for result in session.run(images[:2])] == [0, 1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_end_from_outside_stops_all(
    together: Callable[..., ParallelSession], images: Images, error: type[BaseException]
) -> None:
    running = threading.Barrier(3, timeout=60)

    def before(device: Device, index: int) -> None:
        running.wait()
        assert device.stop.wait(60)

    def source() -> Iterator[NDArray[np.uint8]]:
        yield from images[:2]
        running.wait()
        raise error

    devices = [_Staged(images, before) for _ in range(2)]
    with pytest.raises(error):
        list(together(devices).run(source()))
    assert not any(device.stop.is_set() for device in devices)


def test_a_caller_that_wants_no_more_stops_all(
    together: Callable[..., ParallelSession], images: Images
) -> None:
    def before(device: Device, index: int) -> None:
        assert index == 0 or device.stop.wait(60)

    stream = together([_Staged(images, before) for _ in range(2)]).run(images)
    assert next(stream).index == 0
    stream.close()


@pytest.mark.parametrize("name", ["functional", "rtl"])
def test_a_run_is_stopped(network: Network, images: Images, name: str) -> None:
    program = compile_network(network, ARCH)
    with open_device(name, ARCH) as device, Session(network, program, device) as session:
        device.stop.set()
        with pytest.raises(DeviceError, match="stopped"):
            list(session.run(images[:1]))
        device.stop.clear()
        assert len(list(session.run(images[:1]))) == 1


def test_cores() -> None:
    assert cores() >= 1


def test_refusals(network: Network) -> None:
    program = compile_network(network, ARCH)
    other = compile_network(network, ARCH, trace=True)
    with pytest.raises(ValueError, match="sessions must be at least one"):
        ParallelSession([])
    with ExitStack() as stack:
        devices = [stack.enter_context(FunctionalDevice(ARCH)) for _ in range(2)]
        first = stack.enter_context(Session(network, program, devices[0]))
        same = stack.enter_context(Session(network, program, devices[0]))
        different = stack.enter_context(Session(network, other, devices[1]))
        with pytest.raises(ValueError, match="sessions must not share a device"):
            ParallelSession([first, same])
        with pytest.raises(ValueError, match="sessions must be of one program"):
            ParallelSession([first, different])
