"""Reading ECP5 and Gowin bitstreams back: what must be found, and what is found wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hw.flow import gowin_bits, trellis

CONFIG = """\
.device LFE5U-85F

.tile R1C1:PLC2
arc: A1 H02E0001
word: SLICEA.K0.INIT 1010101010101010
enum: SLICEA.MODE CCU2
enum: SLICEB.MODE LOGIC

.tile R2C1:PLC2
arc: B1 V01N0001

.bram_init 3
001 000 000

.bram_init 4
000 000 000
"""


def files(folder: Path, asked: str, read: str) -> tuple[Path, Path]:
    paths = (folder / "asked.config", folder / "read.config")
    for path, text in zip(paths, (asked, read)):
        path.write_text(text)
    return paths


def test_ecp5(tmp_path: Path) -> None:
    # What has no bits is not read back.
    read = CONFIG.replace("enum: SLICEB.MODE LOGIC\n", "").replace(
        ".bram_init 4\n000 000 000\n", ""
    )
    said = trellis.compare(*files(tmp_path, CONFIG, read))
    assert "its 2 connections, 2 words and choices of tiles and 1 block RAMs'" in said


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("A1 H02E0001", "A2 H02E0001", "2 settings differ: R1C1:PLC2 lacks arc: A1 H02E0001"),
        ("B1 V01N0001", "B1 V01N0002", "2 settings differ: R2C1:PLC2 lacks arc: B1"),
        ("INIT 10", "INIT 11", "1 settings differ: R1C1:PLC2 has word: SLICEA.K0.INIT 1110"),
        ("001 000", "001 001", "block RAM 3 has other contents"),
        (".tile", ".nothing", "read.config has no tiles"),
    ],
)
def test_ecp5_differences(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        trellis.compare(*files(tmp_path, CONFIG, CONFIG.replace(old, new)))


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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("DFFRE R5", "DFFSE R5", "row 5 column 1 number 2 is DFFSE, not DFFRE"),
        ("R1C4_DFFE_0", "R1C4_DFFE_1", "2 flip-flops differ: row 1 column 4 number 0 is empty"),
    ],
)
def test_gowin_differences(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        gowin(tmp_path, UNPACKED.replace(old, new))
