"""The training run of a simulation library: works on every array, long enough, not too long."""

from __future__ import annotations

import pytest

from penstock.host.apps.open_device import open_device
from penstock.host.apps.training import exercise
from penstock.host.devices.device import DeviceError
from penstock.host.program.compile_error import CompileError
from penstock.models.spec.arch import get_arch


def test_it_runs_on_the_core() -> None:
    with open_device("rtl", get_arch("tiny")) as device:
        exercise(device)
        counts = device.counters()
    assert counts["cycles"] > 50_000
    assert counts["busy"] > 0.7 * counts["cycles"]


@pytest.mark.parametrize("arch", ["8x8", "2x64", "64x2", "64x64"])
def test_it_fits_every_array(arch: str) -> None:
    with open_device("functional", get_arch(arch)) as device:
        exercise(device)


def test_an_array_it_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise CompileError("layer conv1: no room")

    monkeypatch.setattr("penstock.host.apps.training.compile_network", refuse)
    with (
        open_device("functional", get_arch("tiny")) as device,
        pytest.raises(DeviceError, match=r"cannot train the simulation of tiny.*conv1: no room"),
    ):
        exercise(device)
