"""The floorplan of the GW2A-18: each block RAM has its own site, near related ones."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.hw.boards.catalog import get_board
from penstock.hw.floorplan.gowin import gw2a_18
from penstock.hw.flow.errors import BuildError
from penstock.hw.flow.gowin import nextpnr_gowin
from penstock.hw.flow.process import Cost, Runner
from penstock.hw.flow.toolchain import Job
from penstock.models.spec.arch import get_arch

ARCH = get_arch("tang-nano-20k")
BLOCK_RAMS = get_board("tang-nano-20k").resources["BSRAM"]


def netlist(memories: int = 16) -> dict[str, str]:
    """Cells like those of the board's netlist, in no order."""
    cells = {"pll": "rPLL", "board.system.accel.conv.array.pe_0_0.product": "MULT9X9"}
    for k in reversed(range(memories)):
        cells[f"board.system.memory.controller.memory.memory.0.{k}"] = "SP"
    for k in range(4):
        cells[f"board.system.accel.act.memory.0.{k}"] = "DPX9B"
        cells[f"board.system.accel.conv.psums.bank_{k // 2}_{k % 2}.0.0"] = "SDPX9B"
    for name in ("link.bytes", "link.server.read_dma.beats", "accel.dma_act", "memory.beats"):
        for k in range(2):
            cells[f"board.system.{name}.queue.storage.0.{k}"] = "SDPX9B"
    return cells


def columns(places: dict[str, str], pattern: str, row: int) -> list[int]:
    found = [re.fullmatch(r"X(\d+)Y(\d+)/BSRAM", p) for n, p in places.items() if pattern in n]
    assert found
    assert all(match and int(match[2]) == row for match in found)
    return sorted(int(match[1]) for match in found if match)


def test_every_block_ram_has_a_place_of_its_own() -> None:
    cells = netlist()
    places = gw2a_18(cells, ARCH)
    assert places.keys() == {name for name, kind in cells.items() if "SP" in kind or "DP" in kind}
    assert len(set(places.values())) == len(places)


def test_what_belongs_together_is_together() -> None:
    places = gw2a_18(netlist(), ARCH)
    assert columns(places, ".act.", 45) == [37, 40, 43, 46]
    assert columns(places, ".psums.", 27) == [34, 37, 40, 43]
    assert columns(places, ".link.", 9) == [7, 10, 13, 16]


def test_the_order_of_the_netlist_does_not_matter() -> None:
    cells = netlist()
    backwards = dict(reversed(cells.items()))
    assert gw2a_18(backwards, ARCH) == gw2a_18(cells, ARCH)


def test_the_device_can_be_full() -> None:
    others = len(gw2a_18(netlist(0), ARCH))
    full = gw2a_18(netlist(BLOCK_RAMS - others), ARCH)
    assert len(set(full.values())) == BLOCK_RAMS
    with pytest.raises(ValueError, match=f"{BLOCK_RAMS + 1} block RAMs have {BLOCK_RAMS} places"):
        gw2a_18(netlist(BLOCK_RAMS - others + 1), ARCH)


def synthesise(job: Job, monkeypatch: pytest.MonkeyPatch, cells: dict[str, str]) -> None:
    """Run the step with a synthesis that makes a netlist of these cells."""
    content = {
        name: {"type": kind, "attributes": {}, "port_directions": {}, "connections": {}}
        for name, kind in cells.items()
    }
    top = {"cells": content, "netnames": {"clk": {"bits": [2]}}}

    def fake(job: Job, command: str, *, before: str = "") -> Cost:
        job.netlist.write_text(json.dumps({"modules": {"penstock": top}}))
        return Cost(1.0, 2.0)

    monkeypatch.setattr(nextpnr_gowin, "synthesise", fake)
    monkeypatch.setattr(nextpnr_gowin, "run_yosys", lambda job, step, script: Cost(1.0, 2.0))
    nextpnr_gowin.Gowin(job.board).synthesise(job)


def make_job(folder: Path) -> Job:
    board = get_board("tang-nano-20k")
    return Job(board=board, arch=ARCH, folder=folder, runner=Runner(), say=lambda text: None)


def test_the_netlist_says_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path)
    synthesise(job, monkeypatch, netlist())
    (top,) = json.loads(job.netlist.read_text())["modules"].values()
    given = {
        name: cell["attributes"]["BEL"]
        for name, cell in top["cells"].items()
        if "BEL" in cell["attributes"]
    }
    assert given == gw2a_18(netlist(), ARCH)


def test_what_has_no_place_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(make_job(tmp_path), arch=replace(ARCH, name="wide"))
    with pytest.raises(BuildError, match=r"arch wide does not fit tang-nano-20k: .* block RAMs"):
        synthesise(job, monkeypatch, netlist(BLOCK_RAMS))
