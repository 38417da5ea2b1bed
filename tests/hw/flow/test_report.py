"""Report of a build: timing from a log, sums of cells, choice of clocks, estimates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.hw.boards.catalog import BOARDS
from penstock.hw.flow.errors import BuildError
from penstock.hw.flow.report import Report, SeedResult, _shortened, usage
from penstock.hw.flow.timing import CriticalPath, Step, Timing, read_timing
from penstock.hw.flow.toolchain import count_cells, signal_names
from penstock.hw.flow.xilinx.openxc7 import OpenXc7
from penstock.hw.flow.xilinx.vivado import vivado_script
from penstock.models.spec.arch import get_arch

PYNQ = BOARDS["pynq-z2"]

# As nextpnr prints it: an early report, then that of the routed design, which counts.
LOG = """\
Info: Max frequency for clock 'clk': 219.57 MHz (PASS at 130.00 MHz)
Info: Running router2...
Info: Critical path report for clock 'clk' (posedge -> posedge):
Info: curr total
Info:  0.1  0.1  Source $auto$ff.cc:337:slice$21490.Q
Info:  0.4  0.5    Net core.conv.now[69] budget -0.738000 ns (78,75) -> (78,77)
Info:                Sink core.conv.now[69]$LUT$1006.A1
Info:  0.1  0.6  Source core.conv.now[69]$LUT$1006.O6
Info:  5.4  6.0    Net $abc$317319$aiger$o22569 budget 0.516000 ns (99,15) -> (97,68)
Info:                Sink $auto$ff.cc:337:slice$21561.CE
Info:  0.1 6.1  Setup $auto$ff.cc:337:slice$21561.CE
Info: 0.3 ns logic, 5.8 ns routing
Info: Critical path report for clock 'slow' (posedge -> posedge):
Info: curr total
Info:  0.1  0.1  Source a.Q
Info:  9.9  10.0    Net b budget 0.1 ns (1,1) -> (2,2)
Info:                Sink c.D
Info: 0.1 ns logic, 9.9 ns routing
Info: Critical path report for cross-domain path 'posedge clk' -> '<async>':
Info: curr total
Info:  0.1  0.1  Source x.Q
Info:  77.0  77.1    Net y budget 0.1 ns (1,1) -> (2,2)
Info: 0.1 ns logic, 77.0 ns routing

Warning: Max frequency for clock  'clk': 163.93 MHz (PASS at 130.00 MHz)
Warning: Max frequency for clock 'slow': 100.00 MHz (FAIL at 130.00 MHz)
"""


def test_the_slowest_clock_counts() -> None:
    timing = read_timing(LOG)
    assert timing is not None
    assert (timing.clock, timing.fmax_mhz) == ("slow", 100.0)
    assert timing.path == CriticalPath((Step("a.Q", "b", 9.9),), "c.D", 0.1, 9.9)


def test_the_last_report_counts() -> None:
    timing = read_timing(LOG.replace("'slow': 100.00", "'slow': 500.00"))
    assert timing is not None
    assert (timing.clock, timing.fmax_mhz) == ("clk", 163.93)
    assert timing.path is not None
    assert [step.delay_ns for step in timing.path.steps] == [0.4, 5.4]
    assert timing.path.words({"$auto$ff.cc:337:slice$21561": "core.conv.busy"}) == (
        "6.1 ns from core.conv.now[69] through one cell to the CE pin of core.conv.busy; "
        "0.3 ns in cells, 5.8 ns in wires, the longest of them 5.4 ns"
    )


def test_a_log_without_timing() -> None:
    assert read_timing("Info: Running router2...\n") is None


def test_paths_in_words() -> None:
    steps = (Step("$x.Q", "$n", 1.0), Step("$y.O", "a.b", 3.0), Step("$z.O", "a.c$1", 2.0))
    path = CriticalPath(steps, "a.dsp.A[3]", 0.5, 6.0)
    assert path.words({}) == (
        "6.5 ns from $x.Q through 2 cells to a.dsp.A[3], by way of a.b, a.c; "
        "0.5 ns in cells, 6.0 ns in wires, the longest of them 3.0 ns (a.b)"
    )
    assert "from the Q pin of state[2] directly" in CriticalPath(steps[:1], "e.D", 0.5, 1.0).words(
        {"$x": "state[2]"}
    )


def test_names_and_numbers_of_cells(tmp_path: Path) -> None:
    netlist = tmp_path / "netlist.json"
    cells = {
        "$auto$1": {
            "type": "FDRE",
            "port_directions": {"D": "input", "Q": "output"},
            "connections": {"D": [2], "Q": [3]},
        },
        "$auto$2": {
            "type": "FDRE",
            "port_directions": {"D": "input", "Q": "output"},
            "connections": {"D": [3], "Q": [9]},
        },
        "lut": {"type": "LUT2", "port_directions": {}, "connections": {}},
    }
    names = {
        "$hidden": {"hide_name": 1, "bits": [3]},
        "core.word": {"hide_name": 0, "bits": [2, 3]},
    }
    top = {"attributes": {"top": "00000001"}, "cells": cells, "netnames": names}
    netlist.write_text(json.dumps({"modules": {"top": top, "LUT2": {"cells": {}}}}))
    assert signal_names(netlist) == {"$auto$1": "core.word[1]"}
    assert count_cells(netlist) == {"FDRE": 2, "LUT2": 1}
    netlist.write_text(json.dumps({"modules": {"LUT2": {"cells": {}}}}))
    with pytest.raises(BuildError, match=r"netlist.json must have one top module, not 0"):
        count_cells(netlist)


def test_cells_against_the_device() -> None:
    cells = {"LUT6": 10, "RAM32M": 3, "FDRE": 7, "FDSE": 1, "RAMB18E1": 3, "RAMB36E1": 2, "PS7": 1}
    assert usage(cells, OpenXc7.CELLS) == {"LUT": 22, "FF": 8, "RAMB36": 3.5}


@pytest.mark.parametrize(
    ("fmax", "clock"), [(150.0, 100.0), (149.9, 1000 / 11), (163.93, 1000 / 10), (900.0, 250.0)]
)
def test_the_clock_keeps_a_third_away_from_fmax(fmax: float, clock: float) -> None:
    chosen = OpenXc7(PYNQ).clock(fmax)
    assert chosen == pytest.approx(clock)
    assert chosen <= fmax * 2 / 3


def report() -> Report:
    return Report(
        board=PYNQ,
        arch=get_arch("12x32"),
        state="done",
        cells={"DSP48E1": 200, "PS7": 1},
        used={"DSP": 200, "RAMB36": 93.5},
        seed=2,
        timing=Timing("clk", 150.0),
        critical_path="6.1 ns from a to b",
        clock_mhz=100.0,
        cycles={"alexnet": 2_000_000},
        notes=["All is well."],
        seeds=[
            SeedResult(seed=1, outcome="failed", reason="no place"),
            SeedResult(seed=2, outcome="routed", fmax_mhz=150.0, seconds=300.4, megabytes=1500.2),
        ],
        costs={"synthesis": (61.26, 400.0)},
    )


def test_the_report_for_programs() -> None:
    value = json.loads(json.dumps(report().as_json()))
    assert value["fmax_mhz"] == 150.0
    assert value["timing_met"] is True
    assert value["macs_per_cycle"] == 384
    assert value["estimated_frames_per_second"] == {"alexnet": 50.0}
    assert value["resources"]["DSP"] == {"used": 200, "total": 220}
    assert value["resources"]["LUT"] == {"used": 0, "total": 53200}
    assert value["costs"] == {"synthesis": {"seconds": 61.3, "megabytes": 400}}
    assert value["seeds"][0]["reason"] == "no place"


def test_the_report_for_people() -> None:
    text = report().as_markdown()
    for part in (
        "# PYNQ-Z2 (Zynq XC7Z020): 12x32, 384 MACs a cycle\n",
        "Reported fmax 150.0 MHz, target 130 MHz: met.\n",
        "Clock to run at: 100.00 MHz.",
        "Critical path: 6.1 ns from a to b.",
        "| DSP | 200 | 220 | 91 % |",
        "| RAMB36 | 93.5 | 140 | 67 % |",
        "Estimate, not measured on a board: 50.0 images a second of alexnet",
        "| 1 | failed: no place |  | 0 | 0 |",
        "| 2 | routed (kept) | 150.0 | 300 | 1500 |",
        "- All is well.",
    ):
        assert part in text


def test_what_the_command_prints() -> None:
    assert report().summary() == [
        "PYNQ-Z2 (Zynq XC7Z020), arch 12x32, 384 MACs a cycle",
        "reported fmax 150.0 MHz with seed 2, target 130 MHz; to be run at 100.00 MHz",
        "cells: LUT 0 of 53200, FF 0 of 106400, DSP 200 of 220, RAMB36 93.5 of 140",
        "critical path: 6.1 ns from a to b",
        "estimate, not measured: 50.0 images/s of alexnet on the array",
        "All is well.",
    ]


def test_timing_that_is_just_missed_is_missed() -> None:
    value = report()
    value.timing = Timing("clk", 129.99)
    assert not value.met
    assert "MISSED" in value.as_markdown()
    value.timing = None
    assert not value.met


def test_the_vivado_script_says_that_it_is_untested() -> None:
    text = vivado_script(PYNQ, "12x32")
    assert text.startswith("# UNTESTED")
    assert "-part xc7z020clg400-1" in text
    assert "-period 7.692" in text
    assert "penstock describe penstock_vivado.bit --arch 12x32 --mhz 130\n" in text


def test_a_long_path_is_short_on_the_terminal() -> None:
    names = [f"top.core.signal{number}" for number in range(60)]
    path = f"9.1 ns from a through 60 cells to b, by way of {', '.join(names)}; 3.0 ns in cells"
    shown = _shortened(path)
    assert len(shown) < 200
    assert "signal2 and 57 more (report.md); 3.0 ns in cells" in shown
    few = "9.1 ns from a to b, by way of c, d; 3.0 ns in cells"
    assert _shortened(few) == few
