"""A small layer on a device: right results pass, wrong ones are reported."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.host.apps.layer_check import LayerCase, LayerWrong
from penstock.host.devices.device import Buffer, Data
from penstock.host.devices.functional import FunctionalDevice
from penstock.models.networks.scaled_down import SCALED_LAYERS
from penstock.models.spec.arch import get_arch

TINY = get_arch("tiny")


@pytest.mark.parametrize("name", SCALED_LAYERS)
def test_layers(name: str) -> None:
    case = LayerCase.make(name, TINY, seed=3)
    with FunctionalDevice(TINY, memory_bytes=1 << 22) as device:
        outcome = case.run(device, times=2)
        device.free(device.alloc(1 << 22))  # nothing is kept
    assert list(outcome.maps) == list(case.program.outputs)
    assert outcome.values == sum(golden.size for golden in case.golden.values())
    assert outcome.log is not None


def test_memory_holds_program_and_input() -> None:
    case = LayerCase.make("conv5", TINY, seed=3)
    memory = case.memory()
    assert memory[: len(case.program.image)].tobytes() == case.program.image
    for offset, data in case.program.pack_input(case.codes):
        assert memory[offset : offset + len(data)].tobytes() == data
    # The maps are noise before the run, so they cannot pass by chance.
    with pytest.raises(LayerWrong, match=r"layer conv5: \d+ values differ"):
        case.compare(lambda offset, size: memory[offset : offset + size])
    np.testing.assert_array_equal(memory, case.memory())


class Once(FunctionalDevice):
    """A device whose memory changes after the first run."""

    runs = 0

    def read(self, buffer: Buffer, offset: int, size: int) -> np.ndarray:
        data = super().read(buffer, offset, size)
        if self.runs == 2:
            data[0] ^= 1
        return data

    def run(self, *arguments: object, **options: object) -> object:
        self.runs += 1
        return super().run(*arguments, **options)


def test_which_run_is_wrong() -> None:
    case = LayerCase.make("conv1", TINY, seed=3)
    with (
        Once(TINY, memory_bytes=1 << 22) as device,
        pytest.raises(LayerWrong, match=r"^the second run: layer "),
    ):
        case.run(device, times=2)


def test_without_clearing_less_is_written() -> None:
    case = LayerCase.make("conv5", TINY, seed=3)
    sizes = []

    class Counting(FunctionalDevice):
        def write(self, buffer: Buffer, data: Data, offset: int = 0) -> None:
            sizes.append(len(data))
            super().write(buffer, data, offset)

    with Counting(TINY, memory_bytes=1 << 22) as device:
        case.run(device, clear=False)
        lean = sum(sizes)
        case.run(device)
    assert sum(sizes) - 2 * lean == case.program.arena_bytes
