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
        ``module:class`` of the top level, a component whose one parameter is ``arch``.
    arch : str
        Preset of `models.arch`.
    target_mhz : float
        What place and route must report; less is a failure.
    resources : mapping of str to int
        What the device has, by resource: ``LUT``, ``FF``, ``DSP`` and so on.
    network : str
        Whose speed is estimated.
    constraints : str
        Text of the constraint file, in the tool chain's language.
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
    constraints: str = ""
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
        top="hw.pynq_z2:PynqTop",
        arch="pynq-z2",
        target_mhz=130.0,
        resources=_XC7Z020,
        options={"family": "zynq7", "device": "xc7z020"},
    )


BOARDS: dict[str, Board] = {
    board.name: board for board in (_pynq("pynq-z1", "PYNQ-Z1"), _pynq("pynq-z2", "PYNQ-Z2"))
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
