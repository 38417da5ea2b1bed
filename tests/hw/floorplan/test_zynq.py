"""The floorplan of the Zynq-7020: each cell has its own site, and the placer's rules hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.hw.boards.catalog import get_board
from penstock.hw.floorplan.zynq import zynq_7020
from penstock.hw.flow.errors import BuildError
from penstock.hw.flow.process import Cost, Runner
from penstock.hw.flow.toolchain import Job
from penstock.hw.flow.xilinx import openxc7
from penstock.models.spec.arch import Arch, get_arch

ARCH = get_arch("pynq-z2")

# Sites of the device by kind and column: how many.
SITES = {
    **dict.fromkeys(("DSP48_X0", "DSP48_X1", "RAMB18_X0", "RAMB18_X1"), 20),
    **dict.fromkeys(("DSP48_X2", "DSP48_X3", "DSP48_X4"), 60),
    **dict.fromkeys((f"RAMB18_X{column}" for column in range(2, 6)), 60),
    **dict.fromkeys(("RAMB36_X0", "RAMB36_X1"), 10),
    **dict.fromkeys((f"RAMB36_X{column}" for column in range(2, 6)), 30),
}


def netlist(arch: Arch, *, lanes: int = 12, rams: int = 57) -> dict[str, str]:
    """Cells like those of a netlist of an arch, in no order."""
    cells = {"clock": "BUFG", "core.accel.conv.array.cell_0_0.left": "FDRE"}
    for p in range(arch.cols // 2):
        for k in range(arch.rows // 2):
            for row in ("upper", "lower"):
                cells[f"core.accel.conv.array.cell_{k}_{p}.{row}.dsp"] = "DSP48E1"
    cells |= {f"core.accel.drain.$mul${n}": "DSP48E1" for n in range(lanes)}
    for c in reversed(range(arch.cols)):
        for bank in range(2):
            cells[f"core.accel.conv.psums.bank_{c}_{bank}.0.0"] = "RAMB18E1"
    for n in range(rams):
        block = ("act", "out", "dma_act.beats", "post.lrn.lane_0", "weights", "csr_bank.log")[n % 6]
        cells[f"core.accel.{block}.memory.0.{n}"] = "RAMB36E1"
    return cells


def site(place: str) -> tuple[str, int]:
    """Kind and column, and how far up."""
    match = re.fullmatch(r"((\w+)_X\d)Y(\d+)/(\w+)", place)
    assert match is not None, place
    assert {"DSP48": "DSP48E1", "RAMB18": "RAMB18E1", "RAMB36": "RAMB36E1"}[match[2]] == match[4]
    return match[1], int(match[3])


@pytest.mark.parametrize(("rows", "cols"), [(12, 32), (4, 4), (12, 4), (20, 8), (4, 32)])
def test_each_cell_has_a_place(rows: int, cols: int) -> None:
    arch = replace(ARCH, rows=rows, cols=cols)
    cells = netlist(arch)
    places = zynq_7020(cells, arch)
    large = {name for name, kind in cells.items() if kind not in ("BUFG", "FDRE")}
    assert set(places) == large
    halves: set[tuple[str, int]] = set()
    for name, place in places.items():
        column, y = site(place)
        assert y < SITES[column]
        assert cells[name].startswith(column.split("_")[0])
        taken = {(column, y)}
        if column.startswith("RAMB36"):
            taken = {(column.replace("RAMB36", "RAMB18"), 2 * y + half) for half in range(2)}
        assert not taken & halves, f"{name} shares {place}"
        halves |= taken


def test_cascades_go_up_within_a_tile() -> None:
    places = zynq_7020(netlist(ARCH), ARCH)
    for k in range(ARCH.rows // 2):
        for p in range(ARCH.cols // 2):
            name = f"core.accel.conv.array.cell_{k}_{p}"
            column, y = site(places[f"{name}.upper.dsp"])
            assert y % 2 == 0
            assert site(places[f"{name}.lower.dsp"]) == (column, y + 1)


def test_lone_dsps_are_in_lower_halves() -> None:
    places = zynq_7020(netlist(ARCH), ARCH)
    assert all(site(place)[1] % 2 == 0 for name, place in places.items() if "$mul$" in name)


def test_chains_lie_side_by_side() -> None:
    places = zynq_7020(netlist(ARCH), ARCH)
    for p in range(ARCH.cols // 2):
        heights = {site(places[f"core.accel.conv.array.cell_{k}_{p}.upper.dsp"]) for k in range(6)}
        assert len({column for column, _ in heights}) == 1
        ys = sorted(y for _, y in heights)
        assert ys == list(range(ys[0], ys[0] + 12, 2))


def test_order_of_the_netlist_does_not_matter() -> None:
    cells = netlist(ARCH)
    assert zynq_7020(dict(sorted(cells.items())), ARCH) == zynq_7020(cells, ARCH)


def test_too_large() -> None:
    arch = replace(ARCH, rows=12, cols=36)
    with pytest.raises(ValueError, match="an array of 12 x 36 has no place"):
        zynq_7020(netlist(arch), arch)


def test_too_many() -> None:
    with pytest.raises(ValueError, match="no place is left"):
        zynq_7020(netlist(ARCH, lanes=15), ARCH)  # 96 chains take 96 of 110 tiles
    with pytest.raises(ValueError, match="no place is left"):
        zynq_7020(netlist(ARCH, rams=109), ARCH)  # 64 RAMB18 take 32 of 140 tiles


def synthesised(monkeypatch: pytest.MonkeyPatch, folder: Path, arch: Arch) -> dict[str, str]:
    """Places that the tool chain writes into a netlist, by cell; "" where there is none."""
    cells = {
        name: {"type": kind, "attributes": {"src": "x"}, "connections": {}}
        for name, kind in netlist(arch).items()
    }

    def synthesise(job: Job, command: str) -> Cost:
        assert "-nosrl" in command
        job.netlist.write_text(
            json.dumps({"modules": {"penstock": {"cells": cells, "netnames": {}}}})
        )
        return Cost(1.0, 2.0)

    monkeypatch.setattr(openxc7, "synthesise", synthesise)
    board = get_board("pynq-z2")
    job = Job(board=board, arch=arch, folder=folder, runner=Runner(), say=lambda text: None)
    assert openxc7.OpenXc7(board).synthesise(job) == Cost(1.0, 2.0)
    written = json.loads(job.netlist.read_text())["modules"]["penstock"]["cells"]
    assert all(cell["attributes"]["src"] == "x" for cell in written.values())
    return {name: cell["attributes"].get("NEXTPNR_BEL", "") for name, cell in written.items()}


def test_places_are_in_the_netlist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    places = synthesised(monkeypatch, tmp_path, ARCH)
    assert {name: place for name, place in places.items() if place} == zynq_7020(
        netlist(ARCH), ARCH
    )


def test_an_arch_without_a_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arch = replace(ARCH, cols=36)
    with pytest.raises(BuildError, match="does not fit pynq-z2: an array of 12 x 36 has no place"):
        synthesised(monkeypatch, tmp_path, arch)
