"""Boards: what a bitstream for one of them is made from, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["BOARDS", "Board", "get_board"]


@dataclass(frozen=True, kw_only=True)
class Board:
    """One board.

    Parameters
    ----------
    name : str
    title : str
        Its name and its device, for people.
    part : str
        The device as the tool chain calls it.
    toolchain : str
        Key of `hw.flow.toolchain.TOOLCHAINS`.
    top : str
        ``module:class`` of the top level, whose one parameter is ``arch``.  Two of its attributes
        are optional: ``ports``, a list of IOPorts, and ``constraints``, the text of the constraint
        file in the tool chain's language.
    arch : str
        Preset of `models.spec.arch`.
    target_mhz : float
        What place and route must report; less is a failure.
    resources : mapping of str to int
        What the device has, by resource: ``LUT``, ``FF``, ``DSP`` and so on.
    network : str
        Whose speed is estimated.
    options : mapping of str to str
        What else the tool chain wants to know.
    """

    name: str
    title: str
    part: str
    toolchain: str
    top: str
    arch: str
    target_mhz: float
    resources: Mapping[str, int]
    network: str = "alexnet"
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.target_mhz > 0:
            raise ValueError(f"target_mhz must be positive, not {self.target_mhz!r}")
        if self.top.count(":") != 1:
            raise ValueError(f"top must be module:class, not {self.top!r}")


_XC7Z020 = {"LUT": 53200, "FF": 106400, "DSP": 220, "RAMB36": 140}


def _pynq(name: str, title: str) -> Board:
    """One of the boards that carry the same device: the design uses none of its pins."""
    return Board(
        name=name,
        title=f"{title} (Zynq XC7Z020)",
        part="xc7z020clg400-1",
        toolchain="openxc7",
        top="penstock.hw.boards.pynq_z2:PynqTop",
        arch="pynq-z2",
        target_mhz=130.0,
        resources=_XC7Z020,
        options={
            "family": "zynq7",
            "device": "xc7z020",
            "floorplan": "penstock.hw.floorplan.zynq:zynq_7020",
        },
    )


_ULX3S = Board(
    name="ulx3s-85f",
    title="ULX3S (ECP5 LFE5U-85F)",
    part="LFE5U-85F-6BG381C",
    toolchain="ecp5",
    top="penstock.hw.boards.ulx3s_top:Ulx3sTop",
    arch="ulx3s-85f",
    target_mhz=90.0,
    resources={"LUT": 83640, "FF": 83640, "DSP": 156, "DP16KD": 208},
    options={
        "device": "85k",
        "package": "CABGA381",
        "speed": "6",
        "idcode": "0x41113043",
        "floorplan": "penstock.hw.floorplan.ecp5:ecp5_85",
    },
)

_TANG_NANO = Board(
    name="tang-nano-20k",
    title="Tang Nano 20K (Gowin GW2AR-18)",
    part="GW2AR-LV18QN88C8/I7",
    toolchain="gowin",
    top="penstock.hw.boards.tang_nano_top:TangNanoTop",
    arch="tang-nano-20k",
    target_mhz=54.0,
    resources={"LUT": 20736, "FF": 15552, "DSP": 48, "BSRAM": 46},
    network="lenet5",
    options={
        "synthesis": "gw2a",
        "family": "GW2A-18C",
        "floorplan": "penstock.hw.floorplan.gowin:gw2a_18",
    },
)

BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        _pynq("pynq-z1", "PYNQ-Z1"),
        _pynq("pynq-z2", "PYNQ-Z2"),
        _ULX3S,
        _TANG_NANO,
    )
}


def get_board(name: str) -> Board:
    """Return the board called `name`.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in BOARDS:
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]
