"""The simulation library through another Python."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from penstock.host.devices.device import DeviceError
from penstock.host.devices.sim_library import simulation_library
from penstock.models.spec.arch import get_arch
from penstock.sim.library.build import library

ARCH = get_arch("tiny")


def test_another_python_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    here = library(ARCH)
    monkeypatch.setenv("PENSTOCK_SIM_PYTHON", sys.executable)
    assert simulation_library(ARCH) == here


def test_no_such_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENSTOCK_SIM_PYTHON", str(tmp_path / "python"))
    with pytest.raises(DeviceError, match=r"PENSTOCK_SIM_PYTHON: .*/python: No such file"):
        simulation_library(ARCH)


def test_it_cannot_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_SIM_PYTHON", sys.executable)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match="cannot build the simulator: no-such-compiler is missi"):
        simulation_library(ARCH)
