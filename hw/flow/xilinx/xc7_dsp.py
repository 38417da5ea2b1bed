"""Expected settings of a DSP48E1 in a bitstream, from its parameters and constant inputs.

nextpnr-xilinx leaves out how some constant inputs are tied: INMODE, ALUMODE[3:2] and OPMODE[6] are
tied by a switch to ground or to supply inside the tile.  Without it the multiplier ignores its A
input on the device (openXC7/nextpnr-xilinx, pull request 159, which also measured what the vendor's
tool writes: the switch, and the pin's inverter off).  `repair` corrects that, and `differences`
checks in the finished bitstream whether each cell matches the netlist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.hw.flow.errors import BuildError
from penstock.hw.flow.xilinx.fasm import Feature
from penstock.hw.flow.xilinx.xc7_database import Database, Site

__all__ = ["DspCell", "differences", "read_cells", "repair"]

CELL = "DSP48E1"

# Bits of each bus whose constants nextpnr-xilinx leaves out.
_TIED = {"INMODE": range(5), "ALUMODE": range(2, 4), "OPMODE": range(6, 7)}

# One-bit parameters whose feature means 0, and their defaults.
_ZERO_FEATURES = {
    "ADREG": "ZADREG[0]",
    "ALUMODEREG": "ZALUMODEREG[0]",
    "CARRYINREG": "ZCARRYINREG[0]",
    "CARRYINSELREG": "ZCARRYINSELREG[0]",
    "CREG": "ZCREG[0]",
    "DREG": "ZDREG[0]",
    "INMODEREG": "ZINMODEREG[0]",
    "MREG": "ZMREG[0]",
    "OPMODEREG": "ZOPMODEREG[0]",
    "PREG": "ZPREG[0]",
}

# Parameters of text: the feature of each value but the default one, which comes first.
_CHOICES = {
    "A_INPUT": ("DIRECT", {"CASCADE": "A_INPUT[0]"}),
    "B_INPUT": ("DIRECT", {"CASCADE": "B_INPUT[0]"}),
    "USE_DPORT": ("FALSE", {"TRUE": "USE_DPORT[0]"}),
}


@dataclass(frozen=True)
class DspCell:
    """A DSP48E1 of the netlist.

    Parameters
    ----------
    name : str
    numbers : mapping of str to int
        Its numeric parameters.
    texts : mapping of str to str
    constants : mapping of (str, int) to int
        Constant bits of its buses, as the pin sees them: `IS_..._INVERTED` is in them already.
    """

    name: str
    numbers: Mapping[str, int]
    texts: Mapping[str, str]
    constants: Mapping[tuple[str, int], int]

    def ties(self) -> dict[tuple[str, int], int]:
        """The constant pins that only a switch in the tile can tie, and their values."""
        return {
            pin: value
            for pin, value in self.constants.items()
            if pin[0] in _TIED and pin[1] in _TIED[pin[0]]
        }


def _parameters(cell: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, str]]:
    """Numeric and text parameters of a cell of Yosys' JSON, where both are strings."""
    numbers, texts = {}, {}
    for name, value in cell["parameters"].items():
        if isinstance(value, int):
            numbers[name] = value
        elif re.fullmatch("[01xz]+", value):
            numbers[name] = int(re.sub("[xz]", "0", value), 2)
        else:
            texts[name] = value.rstrip(" ")
    return numbers, texts


def read_cells(netlist: Path) -> list[DspCell]:
    """Read the DSP48E1s of a flat netlist in Yosys' JSON."""
    modules = json.loads(netlist.read_text(encoding="utf-8"))["modules"]
    result = []
    for module in modules.values():
        for name, cell in module["cells"].items():
            if cell["type"] != CELL:
                continue
            numbers, texts = _parameters(cell)
            constants = {}
            for bus, indices in _TIED.items():
                bits = cell["connections"].get(bus, [])
                inverted = numbers.get(f"IS_{bus}_INVERTED", 0)
                for index in indices:
                    bit = bits[index] if index < len(bits) else "0"
                    if isinstance(bit, str):  # others are numbers of nets; x and z become 0
                        constants[bus, index] = (bit == "1") ^ (inverted >> index & 1)
            result.append(DspCell(name, numbers, texts, constants))
    return result


def _tie(site: Site, pin: tuple[str, int], value: int) -> tuple[set[str], set[str]]:
    """Features a tied pin must have and must not have, without the tile."""
    side = site.tile[4]  # DSP_L_X..Y.. or DSP_R_X..Y..
    bus, index = pin
    here = f"DSP_{site.index}_{bus}{index}.DSP_"
    inverter_off = f"DSP48.DSP_{site.index}.ZIS_{bus}_INVERTED[{index}]"
    levels = (f"{here}GND_{side}", f"{here}VCC_{side}")
    return {levels[value], inverter_off}, {levels[1 - value]}


def _expected(cell: DspCell, site: Site) -> tuple[set[str], set[str]]:
    """Features of its tile that a cell must have, and that it must not have."""
    must: set[str] = set()
    never: set[str] = set()
    here = f"DSP48.DSP_{site.index}."

    def decide(feature: str, wanted: bool) -> None:
        (must if wanted else never).add(here + feature)

    for name, feature in _ZERO_FEATURES.items():
        decide(feature, cell.numbers.get(name, 1) == 0)
    for name in ("AREG", "BREG"):
        for value in (0, 2):
            decide(f"{name}_{value}", cell.numbers.get(name, 1) == value)
    for name, (default, values) in _CHOICES.items():
        for text, feature in values.items():
            decide(feature, cell.texts.get(name, default) == text)
    simd = cell.texts.get("USE_SIMD", "ONE48")
    decide("USE_SIMD_FOUR12", simd == "FOUR12")
    decide("ZIS_CLK_INVERTED", not cell.numbers.get("IS_CLK_INVERTED", 0))
    for pin, value in cell.ties().items():
        have, lack = _tie(site, pin, value)
        must |= have
        never |= lack
    return must, never


def _site(cell: DspCell, sites: Mapping[str, Site]) -> Site:
    try:
        return sites[cell.name]
    except KeyError:
        raise BuildError(f"the DSP {cell.name} is in the netlist but was not placed") from None


def repair(
    cells: Collection[DspCell], sites: Mapping[str, Site], fasm: Collection[Feature]
) -> tuple[list[Feature], list[Feature]]:
    """Find the corrections of FASM for tied pins.

    Parameters
    ----------
    cells : collection of DspCell
    sites : mapping of str to Site
        Site of each cell, by name.
    fasm : collection of Feature
        The file from place and route.

    Returns
    -------
    add, remove : list of Feature
    """
    given = set(fasm)
    add: list[Feature] = []
    remove: list[Feature] = []
    for cell in cells:
        site = _site(cell, sites)
        for pin, value in cell.ties().items():
            have, lack = _tie(site, pin, value)
            add += [(site.tile, name) for name in sorted(have) if (site.tile, name) not in given]
            remove += [(site.tile, name) for name in sorted(lack) if (site.tile, name) in given]
    return add, remove


def differences(
    cells: Collection[DspCell],
    sites: Mapping[str, Site],
    database: Database,
    set_bits: Collection[tuple[int, int]],
) -> list[str]:
    """Compare the DSPs of a bitstream with the netlist; return a line for each difference."""
    wrong = []
    for cell in cells:
        site = _site(cell, sites)
        must, never = _expected(cell, site)
        for name in sorted(must | never):
            has = all((bit in set_bits) == value for bit, value in database.bits(site.tile, name))
            if has != (name in must):
                wrong.append(f"{cell.name}: {site.tile}.{name} is {'set' if has else 'not set'}")
    return wrong
