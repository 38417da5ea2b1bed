"""The simulation library through another Python."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.host.devices import sim_library
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


def test_a_long_build_that_nobody_listens_to_says_what_it_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def slow(*arguments: object, progress: Callable[[str], None], **options: object) -> Path:
        progress("generating Verilog")
        time.sleep(0.2)
        progress("linking")
        return tmp_path

    monkeypatch.setattr("penstock.sim.library.build.library", slow)
    monkeypatch.delenv("PENSTOCK_SIM_PYTHON", raising=False)
    monkeypatch.setattr(sim_library, "_QUIET", 0.1)
    assert sim_library.simulation_library(get_arch("tiny")) == tmp_path
    err = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[-1] for line in err] == ["generating Verilog", "linking"]
    monkeypatch.setattr(sim_library, "_QUIET", 60.0)
    sim_library.simulation_library(get_arch("tiny"))
    assert capsys.readouterr().err == ""
