"""Reading ECP5 and Gowin bitstreams back: required settings, and detected errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.hw.flow.gowin import gowin_bits
from penstock.hw.flow.lattice import trellis
from penstock.hw.flow.lattice.trellis_database import Database

# Where two tiles are, and what one kind of tile can be set to.
GRID = {
    "R1C1:PLC2": {"start_frame": 10, "start_bit": 20},
    "R2C1:PLC2": {"start_frame": 10, "start_bit": 32},
    "R2C1:CIB": {"start_frame": 10, "start_bit": 32},
}
DATABASE = {
    "PLC2": """\
.mux A1
H02E0001 F0B0 F1B0
H02E0002 F0B0 F2B0
DEFAULT -

.mux F1
F5A F9B1

.config SLICEA.K0.INIT 1111
!F4B0
!F4B1
F4B2
-

.config_enum SLICEA.MODE LOGIC
CCU2 F9B1 !F9B2
LOGIC -

.fixed_conn B1 V01N0001
""",
    "CIB": """\
.config_enum GROUPED NO
YES F7B7
""",
}

CONFIG = """\
.device LFE5U-85F

.tile R1C1:PLC2
arc: A1 H02E0001
word: SLICEA.K0.INIT 0110
enum: SLICEA.MODE CCU2
unknown: F3B3

.tile R2C1:PLC2
arc: A1 DEFAULT
arc: B1 V01N0001
enum: SLICEA.MODE _NONE_

.tile_group R2C1:PLC2 R2C1:CIB
enum: GROUPED YES

.bram_init 3
001 000 000

.bram_init 4
000 000 000
"""

# The same bits by other names: a mode is a connection as well, what has none is not there.
READ = """\
.tile R1C1:PLC2
arc: A1 H02E0001
arc: F1 F5A
word: SLICEA.K0.INIT 0110

.tile R2C1:CIB
enum: GROUPED YES

.bram_init 3
001 000 000
"""


def database(folder: Path) -> Database:
    (folder / "ECP5/LFE5U-85F").mkdir(parents=True)
    (folder / "ECP5/LFE5U-85F/tilegrid.json").write_text(json.dumps(GRID))
    for kind, text in DATABASE.items():
        (folder / "ECP5/tiledata" / kind).mkdir(parents=True)
        (folder / "ECP5/tiledata" / kind / "bits.db").write_text(text)
    return Database(folder, family="ECP5", device="LFE5U-85F")


def ecp5(folder: Path, asked: str, read: str) -> str:
    paths = (folder / "asked.config", folder / "read.config")
    for path, text in zip(paths, (asked, read)):
        path.write_text(text)
    return trellis.compare(*paths, database(folder))


def test_ecp5(tmp_path: Path) -> None:
    # Two each of A1 and INIT, one each of the mode and the group.
    assert "its 6 bits of tiles and 1 block RAMs'" in ecp5(tmp_path, CONFIG, READ)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("A1 H02E0001", "A1 H02E0002", "2 differences: R1C1:PLC2 lacks bit 20 of frame 11; R1C1"),
        ("arc: F1 F5A", "", "1 differences: R1C1:PLC2 lacks bit 21 of frame 19"),
        ("INIT 01", "INIT 00", "1 differences: R1C1:PLC2 lacks bit 22 of frame 14"),
        ("INIT 0110", "INIT 0111", "R1C1:PLC2 lacks bit 20 of frame 14"),
        ("INIT 0110", "INIT 0100", "R1C1:PLC2 has bit 21 of frame 14"),
        (
            "enum: GROUPED YES",
            "unknown: F8B7",
            "R2C1:PLC2 R2C1:CIB lacks bit 39 of frame 17; R2C1:CIB",
        ),
        ("001 000", "001 001", "block RAM 3 has other contents"),
        (".tile", ".nothing", "read.config has no tiles"),
        ("A1 H02E0001", "A1 H02E0009", "R1C1:PLC2: no setting 'arc: A1 H02E0009' in the database"),
        ("R2C1:CIB", "R9C1:CIB", "no tile R9C1:CIB in the database"),
    ],
)
def test_ecp5_differences(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        ecp5(tmp_path, CONFIG, READ.replace(old, new))


def test_an_ecp5_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no device LFE5U-1F in the database"):
        Database(tmp_path, family="ECP5", device="LFE5U-1F")


CELLS = {"a": ("DFFRE", "X0Y4/DFF2"), "b": ("DFF", "X3Y0/DFF0"), "c": ("LUT4", "X3Y0/LUT0")}
UNPACKED = """\
DFFRE R5C1_DFFE_2 (.CLK(R5C1_CLK1));
DFFE R1C4_DFFE_0 (.CLK(R1C4_CLK0));
LUT4 #(.INIT(16'h1)) R1C4_LUT4_0 (.F(R1C4_F0));
"""


def gowin(folder: Path, text: str) -> str:
    cells = {
        name: {"type": kind, "attributes": {"NEXTPNR_BEL": bel}}
        for name, (kind, bel) in CELLS.items()
    }
    (folder / "routed.json").write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    (folder / "read.v").write_text(text)
    return gowin_bits.compare(folder / "routed.json", folder / "read.v")


def test_gowin(tmp_path: Path) -> None:
    assert "its 2 flip-flops are of the kinds" in gowin(tmp_path, UNPACKED)


def test_gowin_reads_unused_flip_flops_too(tmp_path: Path) -> None:
    unused = "".join(
        f"{kind} {place} ();\n"
        for kind, place in (
            ("DFFE", "R1C4_DFFE_1"),
            ("DFFRE", "R5C1_DFFE_3"),
            ("DFFSE", "R7C7_DFFE_0"),
            ("DFFE", "R7C7_DFFE_2"),
        )
    )
    assert "its 2 flip-flops are of the kinds" in gowin(tmp_path, UNPACKED + unused)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("DFFRE R5", "DFFSE R5", "row 5 column 1 number 2 is DFFSE, not DFFRE"),
        ("R1C4_DFFE_0", "R1C4_DFFE_1", "1 flip-flops differ: row 1 column 4 number 0 is empty"),
        ("LUT4", "DFFRE R1C4_DFFE_1 ();\nLUT4", "row 1 column 4 number 1 is DFFRE, not unused"),
        ("LUT4", "DFFSE R5C1_DFFE_3 ();\nLUT4", "row 5 column 1 number 3 is DFFSE, not unused"),
        ("LUT4", "DFFCE R7C7_DFFE_0 ();\nLUT4", "row 7 column 7 number 0 is DFFCE, not unused"),
    ],
)
def test_gowin_differences(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        gowin(tmp_path, UNPACKED.replace(old, new))
