"""Several networks on one device: the same answers as alone, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Buffer, Data, Device, DeviceError, DeviceFull
from penstock.host.devices.functional import FunctionalDevice
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.rtl_model import Fault
from penstock.host.program.program import Program
from penstock.host.runtime.resident import Resident
from penstock.host.runtime.session import Result
from penstock.models.golden.ops import input_codes
from penstock.models.graph.graph import Network
from penstock.models.networks.tinynet import tiny_images, tiny_net
from penstock.models.quant.quantize import quantise
from penstock.models.spec.arch import get_arch
from penstock.models.spec.memory import PAGE_BYTES
from tests.support.netgen import random_codes
from tests.support.small_network import small_network

ARCH = get_arch("tiny")


@dataclass(frozen=True)
class Loaded:
    network: Network
    program: Program
    images: list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def networks() -> dict[str, Loaded]:
    tiny, small = quantise(tiny_net(), tiny_images()), small_network()
    return {
        "tiny": Loaded(
            tiny,
            compile_network(tiny, ARCH, trace=True),
            [input_codes(tiny.input, image) for image in tiny_images(count=3, seed=7)],
        ),
        "small": Loaded(
            small,
            compile_network(small, ARCH, trace=True),
            [random_codes(small, seed) for seed in range(3)],
        ),
    }


def add(resident: Resident, networks: dict[str, Loaded], *names: str) -> None:
    for name in names:
        resident.add(name, networks[name].network, networks[name].program, check=True)


def plain(result: Result) -> object:
    """The part of a result that must not depend on other networks, counters of the log included."""
    maps = {name: values.tobytes() for name, values in result.maps.items()}
    return result.top, result.mismatches, result.log.totals, result.log.entries, maps


@pytest.fixture(params=["functional", "rtl"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with open_device(request.param, ARCH) as device:
        yield device


@pytest.fixture
def alone(networks: dict[str, Loaded], device: Device) -> Callable[[str, int], object]:
    """The result of a network alone on a device, for one of its images."""
    found = {}
    for name, loaded in networks.items():
        with open_device(device.name, ARCH) as own, Resident(own) as resident:
            add(resident, networks, name)
            for index, result in enumerate(resident.run(name, loaded.images)):
                assert result.compared > 3
                assert result.mismatches == ()
                found[name, index] = plain(result)
    return lambda name, index: found[name, index]


def test_any_order_equals_a_device_of_its_own(
    networks: dict[str, Loaded], device: Device, alone: Callable[[str, int], object]
) -> None:
    with Resident(device) as resident:
        add(resident, networks, "tiny", "small")
        for name, index in (
            *(("tiny", 0), ("small", 0), ("tiny", 1), ("tiny", 0)),
            *(("small", 2), ("small", 0), ("tiny", 2), ("small", 1)),
        ):
            (result,) = resident.run(name, [networks[name].images[index]])
            assert plain(result) == alone(name, index), (name, index)
        for name, loaded in networks.items():
            for index, result in enumerate(resident.run(name, loaded.images)):
                assert plain(result) == alone(name, index), (name, index)
    if device.csr is not None:
        assert device.csr.resets == 0


def test_come_and_go(
    networks: dict[str, Loaded], device: Device, alone: Callable[[str, int], object]
) -> None:
    with Resident(device) as resident:
        add(resident, networks, "tiny", "small")
        resident.remove("tiny")
        assert list(resident.memory) == ["small"]
        with pytest.raises(ValueError, match=r"one of those resident \(small\), not 'tiny'"):
            resident.run("tiny", networks["tiny"].images)
        (result,) = resident.run("small", networks["small"].images[:1])
        assert plain(result) == alone("small", 0)
        add(resident, networks, "tiny")
        for name in ("tiny", "small"):
            (result,) = resident.run(name, networks[name].images[1:2])
            assert plain(result) == alone(name, 1)


class _Counting(FunctionalDevice):
    """Records the writes to it."""

    def __init__(self, memory_bytes: int = 1 << 20) -> None:
        super().__init__(ARCH, memory_bytes=memory_bytes)
        self.written = 0

    def write(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
        self.written += len(data)
        super().write(buffer, data, offset)


def test_a_switch_loads_nothing(networks: dict[str, Loaded]) -> None:
    with _Counting() as device, Resident(device) as resident:
        add(resident, networks, "tiny", "small")
        assert device.written == sum(len(loaded.program.image) for loaded in networks.values())
        for name in ("tiny", "small", "tiny"):
            device.written = 0
            image = networks[name].images[0]
            resident.run(name, [image])
            pieces = networks[name].program.pack_input(image)
            assert device.written == sum(len(data) for _, data in pieces)


def test_memory_is_accounted(networks: dict[str, Loaded]) -> None:
    sizes = {name: loaded.program.arena_bytes for name, loaded in networks.items()}
    pages = {name: -(-size // PAGE_BYTES) * PAGE_BYTES for name, size in sizes.items()}
    with _Counting(sum(pages.values())) as device, Resident(device) as resident:
        add(resident, networks, "tiny", "small")
        assert resident.memory == sizes
        with pytest.raises(DeviceFull) as caught:
            resident.add("more", networks["small"].network, networks["small"].program)
        assert str(caught.value) == (
            f"more does not fit, it takes {sizes['small']} bytes; resident: tiny {sizes['tiny']}, "
            f"small {sizes['small']}; no {sizes['small']} bytes of device memory left in one piece"
        )
        # Nothing has changed: resident networks work, and unloading one frees memory.
        assert resident.memory == sizes
        assert resident.run("tiny", networks["tiny"].images[:1])[0].mismatches == ()
        resident.remove("small")
        resident.add("more", networks["small"].network, networks["small"].program, check=True)
        assert resident.run("more", networks["small"].images[:1])[0].mismatches == ()
        resident.close()
        assert resident.memory == {}
        device.free(device.alloc(sum(pages.values())))
    with (
        _Counting(PAGE_BYTES) as device,
        Resident(device) as resident,
        pytest.raises(DeviceFull, match=r"tiny does not fit, .* resident: nothing; no "),
    ):
        add(resident, networks, "tiny")


def test_what_is_refused(networks: dict[str, Loaded]) -> None:
    small = networks["small"]
    with _Counting() as device, Resident(device) as resident:
        add(resident, networks, "tiny")
        with pytest.raises(ValueError, match="tiny is resident already"):
            resident.add("tiny", small.network, small.program)
        with pytest.raises(ValueError, match="the program is for tiny, not for small"):
            resident.add("other", small.network, networks["tiny"].program)
        with pytest.raises(DeviceError, match=r"for arch 4x8 .* the device is tiny"):
            resident.add("other", small.network, compile_network(small.network, get_arch("4x8")))
        with pytest.raises(ValueError, match="must be uint8"):
            resident.run("tiny", small.images)
        with pytest.raises(ValueError, match="not 'small'"):
            resident.remove("small")
        assert list(resident.memory) == ["tiny"]
        assert resident.run("tiny", networks["tiny"].images[:1])[0].mismatches == ()


def test_threads(networks: dict[str, Loaded]) -> None:
    wanted = [(name, index) for index in range(3) for name in networks]
    with FunctionalDevice(ARCH) as device, Resident(device) as resident:
        add(resident, networks, "tiny", "small")

        def ask(request: tuple[str, int]) -> object:
            name, index = request
            (result,) = resident.run(name, [networks[name].images[index]])
            return plain(result)

        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(ask, wanted))
        assert together == [ask(request) for request in wanted]


def test_a_failure_of_one_is_not_the_others(networks: dict[str, Loaded]) -> None:
    with RtlDevice(ARCH) as device, Resident(device) as resident:
        add(resident, networks, "tiny", "small")
        device.plan_fault("wgt", Fault.SLVERR, 20)
        with pytest.raises(DeviceError, match="memory answered port wgt with SLVERR"):
            resident.run("tiny", networks["tiny"].images[:1])
        for name in ("small", "tiny"):
            assert resident.run(name, networks[name].images[:1])[0].mismatches == ()
