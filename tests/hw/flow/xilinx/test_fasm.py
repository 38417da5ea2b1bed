"""FASM, the device database, and reading a bitstream back."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from penstock.hw.flow.errors import BuildError, CheckError
from penstock.hw.flow.xilinx.fasm import Feature, features, normal
from penstock.hw.flow.xilinx.xc7_bits import compare, expected_bits, read_bits
from penstock.hw.flow.xilinx.xc7_database import Bit, Database, Site
from penstock.hw.flow.xilinx.xc7_dsp import DspCell, differences, read_cells, repair

FAMILY = "family"
DEVICE = "xc7test"

# Two DSP tiles and a block RAM in one column each; words as on the devices.
GRID = {
    "DSP_L_X0Y0": {
        "type": "DSP_L",
        "sites": {"DSP48_X0Y0": "DSP48E1", "DSP48_X0Y1": "DSP48E1", "TIEOFF_X0Y0": "TIEOFF"},
        "bits": {"CLB_IO_CLK": {"baseaddr": "0x00000100", "frames": 28, "offset": 0, "words": 10}},
    },
    "DSP_R_X9Y5": {
        "type": "DSP_R",
        "sites": {"DSP48_X1Y11": "DSP48E1", "DSP48_X1Y10": "DSP48E1"},
        "bits": {"CLB_IO_CLK": {"baseaddr": "0x00000200", "frames": 28, "offset": 10, "words": 10}},
    },
    "BRAM_L_X6Y0": {
        "type": "BRAM_L",
        "sites": {"RAMB18_X0Y0": "FIFO18E1", "RAMB18_X0Y1": "RAMB18E1"},
        "bits": {
            "CLB_IO_CLK": {"baseaddr": "0x00000300", "frames": 28, "offset": 0, "words": 10},
            "BLOCK_RAM": {"baseaddr": "0x00800100", "frames": 128, "offset": 0, "words": 10},
        },
    },
    "INT_L_X0Y0": {"type": "INT_L", "sites": {}, "bits": {}},
}

# Registers that the cell under test does without.
ABSENT = (
    *("ADREG", "ALUMODEREG", "CARRYINREG", "CARRYINSELREG"),
    *("CREG", "DREG", "INMODEREG", "OPMODEREG"),
)


def dsp_names(side: str) -> list[str]:
    names = []
    for site in (0, 1):
        here = f"DSP48.DSP_{site}."
        names += [f"{here}Z{name}[0]" for name in (*ABSENT, "MREG", "PREG")]
        names += [f"{here}{port}REG_{number}" for port in "AB" for number in (0, 2)]
        names += [f"{here}{name}" for name in ("A_INPUT[0]", "B_INPUT[0]", "USE_DPORT[0]")]
        names += [f"{here}USE_SIMD_FOUR12", f"{here}ZIS_CLK_INVERTED"]
        for bus, width in (("INMODE", 5), ("ALUMODE", 4), ("OPMODE", 7)):
            for index in range(width):
                names.append(f"{here}ZIS_{bus}_INVERTED[{index}]")
                names += [f"DSP_{site}_{bus}{index}.DSP_{level}_{side}" for level in ("GND", "VCC")]
    return names


def segments(prefix: str, names: list[str], frame: int = 26) -> str:
    return "".join(
        f"{prefix}.{name} {frame + index // 300:02d}_{index % 300:02d}\n"
        for index, name in enumerate(names)
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    folder = tmp_path_factory.mktemp("database") / FAMILY
    (folder / DEVICE).mkdir(parents=True)
    (folder / DEVICE / "tilegrid.json").write_text(json.dumps(GRID))
    for side in "LR":
        text = segments(f"DSP_{side}", dsp_names(side))
        (folder / f"segbits_dsp_{side.lower()}.db").write_text(text)
    (folder / "segbits_bram_l.db").write_text(
        "BRAM_L.RAMB18_Y0.IN_USE 27_99 27_100\n"
        "BRAM_L.RAMB18_Y0.READ_WIDTH_A_1 !27_35 !27_36 !27_37\n"
        "BRAM_L.RAMB18_Y0.READ_WIDTH_A_18 27_35 !27_36 !27_37\n"
    )
    (folder / "segbits_bram_l.block_ram.db").write_text(
        "".join(
            f"BRAM_L.RAMB18_Y0.INIT_00[{index:03d}] {index % 128:02d}_{index // 128:02d}\n"
            for index in range(256)
        )
    )
    return Database(folder, DEVICE, ("DSP_", "BRAM_"))


def test_lines_of_fasm() -> None:
    text = """
# a comment
INT_L_X0Y0.IMUX1.VCC_WIRE

CLBLM_R_X5Y10.SLICEM_X0.ALUT.INIT[3:0] = 4'b1010
BRAM_L_X6Y0.RAMB18_Y0.INIT_00[9:8] = 2'h2  # of which one
DSP_L_X0Y0.DSP48.DSP_0.MASK[45:0] = 46'd5
DSP_L_X0Y0.DSP48.DSP_0.ZMREG[0]
DSP_L_X0Y0.DSP48.DSP_0.ZPREG[0] = 0
CLK.FEATURE = 1 { .attribute = "x" }
"""
    assert list(features(text.splitlines())) == [
        ("INT_L_X0Y0", "IMUX1.VCC_WIRE"),
        ("CLBLM_R_X5Y10", "SLICEM_X0.ALUT.INIT[1]"),
        ("CLBLM_R_X5Y10", "SLICEM_X0.ALUT.INIT[3]"),
        ("BRAM_L_X6Y0", "RAMB18_Y0.INIT_00[9]"),
        ("DSP_L_X0Y0", "DSP48.DSP_0.MASK[0]"),
        ("DSP_L_X0Y0", "DSP48.DSP_0.MASK[2]"),
        ("DSP_L_X0Y0", "DSP48.DSP_0.ZMREG[0]"),
        ("CLK", "FEATURE"),
    ]


@pytest.mark.parametrize("line", ["no feature", "X", "A.B[", "A.B = 3'b012"])
def test_what_is_no_fasm(line: str) -> None:
    with pytest.raises(ValueError, match="line 1 is not FASM"):
        list(features([line]))


def test_indices_have_no_leading_zeros() -> None:
    assert normal("RAMB18_Y0.INIT_00[007]") == "RAMB18_Y0.INIT_00[7]"
    assert normal("X.Y_00") == "X.Y_00"


def test_sites(database: Database) -> None:
    assert database.site("DSP48_X0Y0") == Site("DSP_L_X0Y0", 0)
    assert database.site("DSP48_X0Y1") == Site("DSP_L_X0Y0", 1)
    assert database.site("DSP48_X1Y11") == Site("DSP_R_X9Y5", 1)  # whatever their order in the file
    with pytest.raises(KeyError):
        database.site("DSP48_X5Y5")


def test_bits_have_their_tiles_place(database: Database) -> None:
    (place,) = database.bits("DSP_R_X9Y5", "DSP48.DSP_0.ZADREG[0]")
    assert place == ((0x200 + 26, 320), True)
    assert database.owner((0x200 + 26, 320)) == ("DSP_R_X9Y5", "DSP48.DSP_0.ZADREG[0]")
    assert database.owner((0x200 + 3, 320)) is None  # another tile's, in the same column
    (place,) = database.bits("BRAM_L_X6Y0", "RAMB18_Y0.INIT_00[200]")
    assert place == ((0x800100 + 72, 1), True)
    assert not database.has("INT_L_X0Y0", "anything")


def test_a_bitstream_is_what_its_fasm_says(database: Database) -> None:
    random = Random(8)
    names = [("DSP_L_X0Y0", name) for name in dsp_names("L")]
    names += [("DSP_R_X9Y5", name) for name in dsp_names("R")]
    names += [("BRAM_L_X6Y0", f"RAMB18_Y0.INIT_00[{index}]") for index in range(256)]
    for _ in range(20):
        fasm: list[Feature] = random.sample(names, random.randrange(1, 200))
        # Settings of other tiles are ignored.
        bits = expected_bits(database, fasm) | {(0x100 + 3, random.randrange(320)), (0x900, 7)}
        fasm.append(("INT_L_X0Y0", "IMUX1.VCC_WIRE"))
        assert compare(database, fasm, bits) == len(fasm) - 1
        tile, name = random.choice(names)
        ((bit, _),) = database.bits(tile, name)
        state = "not set" if bit in bits else "set"
        with pytest.raises(CheckError) as caught:
            compare(database, fasm, bits ^ {bit})
        assert f"in 1 bits: {tile}.{name} " in str(caught.value)
        assert str(caught.value).endswith(f"is {state}")


def test_features_of_several_bits(database: Database) -> None:
    fasm = [
        ("BRAM_L_X6Y0", "RAMB18_Y0.IN_USE"),
        ("BRAM_L_X6Y0", "RAMB18_Y0.READ_WIDTH_A_18"),
        ("BRAM_L_X6Y0", "BRAM_ALWAYS.CONNECTED"),
    ]
    bits: set[Bit] = {(0x300 + 27, 99), (0x300 + 27, 100), (0x300 + 27, 35)}
    assert compare(database, fasm, bits) == 3
    with pytest.raises(CheckError, match=r"bit 36 of frame 0000031b\) is set"):
        compare(database, fasm, bits | {(0x300 + 27, 36)})


def test_what_bitread_prints(tmp_path: Path) -> None:
    path = tmp_path / "x.bits"
    path.write_text("bit_0042071a_041_05\nbit_00000000_000_31\n\n")
    assert read_bits(path) == {(0x42071A, 41 * 32 + 5), (0, 31)}
    path.write_text("bit_0042071a_041_05\nnonsense\n")
    with pytest.raises(CheckError, match="line 2 is no bit: 'nonsense'"):
        read_bits(path)
    path.write_text("")
    with pytest.raises(CheckError, match="has no bits"):
        read_bits(path)


def netlist(path: Path, parameters: dict[str, str], connections: dict[str, list[object]]) -> Path:
    cell = {"type": "DSP48E1", "parameters": parameters, "connections": connections}
    other = {"type": "LUT2", "parameters": {"INIT": "1000"}, "connections": {}}
    path.write_text(json.dumps({"modules": {"top": {"cells": {"mac": cell, "x": other}}}}))
    return path


WORD = "0" * 31
REGISTERS = {
    "AREG": WORD[:-1] + "10",
    "BREG": WORD + "1",
    "MREG": WORD + "1",
    "PREG": WORD + "1",
    **dict.fromkeys(ABSENT, WORD + "0"),
    "A_INPUT": "DIRECT",
    "USE_DPORT": "FALSE ",
}
PINS = {
    "INMODE": ["0", "0", "1", "0", "x"],
    "ALUMODE": ["0", "0", "0", "1"],
    "OPMODE": ["1", "0", "1", "0", 17, 18, 19],
}


@pytest.fixture
def cell(tmp_path: Path) -> DspCell:
    (result,) = read_cells(netlist(tmp_path / "netlist.json", REGISTERS, dict(PINS)))
    return result


def test_dsp_cells_of_a_netlist(cell: DspCell, tmp_path: Path) -> None:
    assert cell.name == "mac"
    assert (cell.numbers["AREG"], cell.numbers["CREG"]) == (2, 0)
    assert cell.texts == {"A_INPUT": "DIRECT", "USE_DPORT": "FALSE"}
    wanted = {("INMODE", i): int(i == 2) for i in range(5)}
    wanted |= {("ALUMODE", 2): 0, ("ALUMODE", 3): 1}
    assert cell.ties() == wanted  # OPMODE[6] is a signal
    inverted = REGISTERS | {"IS_INMODE_INVERTED": "00101"}
    (other,) = read_cells(netlist(tmp_path / "other.json", inverted, dict(PINS)))
    assert [other.ties()["INMODE", i] for i in range(5)] == [1, 0, 0, 0, 0]


def written(cell: DspCell, site: Site) -> list[Feature]:
    """FASM as place and route writes it for `cell`: right except for tied pins."""
    here = f"DSP48.DSP_{site.index}."
    names = [f"{here}Z{name}[0]" for name, value in cell.numbers.items() if value == 0]
    names += [f"{here}AREG_2", f"{here}ZIS_CLK_INVERTED"]
    names.append(f"DSP_{site.index}_INMODE0.DSP_VCC_{site.tile[4]}")  # wrong on top
    return [(site.tile, name) for name in names]


@pytest.mark.parametrize("name", ["DSP48_X0Y0", "DSP48_X0Y1", "DSP48_X1Y10"])
def test_tied_pins_are_put_right(cell: DspCell, database: Database, name: str) -> None:
    site = database.site(name)
    sites = {"mac": site}
    fasm = written(cell, site)
    before = differences([cell], sites, database, expected_bits(database, fasm))
    assert len(before) == 7 + 7 + 1  # switches, inverters, and the one that is wrong
    add, remove = repair([cell], sites, fasm)
    assert (len(add), len(remove)) == (14, 1)
    fixed = [feature for feature in fasm if feature not in remove] + add
    assert differences([cell], sites, database, expected_bits(database, fixed)) == []
    assert repair([cell], sites, fixed) == ([], [])
    side = site.tile[4]
    assert (site.tile, f"DSP_{site.index}_INMODE2.DSP_VCC_{side}") in fixed
    assert (site.tile, f"DSP_{site.index}_INMODE1.DSP_GND_{side}") in fixed


def test_every_setting_of_a_dsp_is_looked_at(cell: DspCell, database: Database) -> None:
    site = database.site("DSP48_X0Y1")
    add, remove = repair([cell], {"mac": site}, written(cell, site))
    fasm = [f for f in written(cell, site) if f not in remove] + add
    bits = expected_bits(database, fasm)
    seen = 0
    for name in dsp_names("L"):
        ((bit, _),) = database.bits(site.tile, name)
        found = differences([cell], {"mac": site}, database, bits ^ {bit})
        if found:
            state = "not set" if bit in bits else "set"
            assert found == [f"mac: {site.tile}.{name} is {state}"]
            seen += 1
    # Registers, choices, clock; then a switch to each level and an inverter for each tied pin.
    assert seen == 10 + 4 + 3 + 2 + 3 * 7


def test_a_parameter_that_is_not_given_has_the_primitives_default(
    tmp_path: Path, database: Database
) -> None:
    some = {name: value for name, value in REGISTERS.items() if name != "OPMODEREG"}
    (cell,) = read_cells(netlist(tmp_path / "n.json", some, dict(PINS)))
    site = database.site("DSP48_X0Y0")
    add, _ = repair([cell], {"mac": site}, written(cell, site))
    wrong = [*written(cell, site)[:-1], *add, (site.tile, "DSP48.DSP_0.ZOPMODEREG[0]")]
    assert differences([cell], {"mac": site}, database, expected_bits(database, wrong)) == [
        "mac: DSP_L_X0Y0.DSP48.DSP_0.ZOPMODEREG[0] is set"
    ]


def test_a_dsp_that_was_not_placed(cell: DspCell) -> None:
    with pytest.raises(BuildError, match="the DSP mac is in the netlist but was not placed"):
        repair([cell], {}, [])
