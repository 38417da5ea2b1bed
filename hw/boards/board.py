"""A board as data: all that the flow, the netlist's simulation and the documentation ask of one.

An external board is a Python file that ends with ``BOARD = Board(...)``; see
docs/adding_a_board.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from penstock.models.spec.arch import Arch, get_arch
from penstock.models.spec.devices import get_device

if TYPE_CHECKING:  # a record can be made where there is no Amaranth
    from amaranth import Elaboratable

    from penstock.hw.memory.sdram_chip import SdramChip

__all__ = ["Board", "Floorplan", "OnChip", "Pins", "Processor", "Serial"]

# Given the type of each cell of a netlist by name, and the arch: the places of some of them, as the
# placer calls them.  ValueError if they do not all find one.
Floorplan = Callable[[Mapping[str, str], Arch], dict[str, str]]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Map of a top level's pins to the ports of the board in simulation.

    The board in simulation has `rx`, `button`, `tx`, `led` and the pins of the SDRAM, if there is
    one.  A ``~`` before a pin's name inverts it.

    Parameters
    ----------
    clock : str
        The pin of the oscillator.
    inputs : mapping of str to str
        Pin by port of the simulated board.
    outputs : mapping of str to (str, int)
        Pin and width by port.
    pads : mapping of str to (str, int)
        Pins of both directions and their width, by the port's name without ``_i``, ``_o``, ``_oe``.
    """

    clock: str
    outputs: Mapping[str, tuple[str, int]]
    inputs: Mapping[str, str] = field(default_factory=lambda: {"rx": "rx", "button": "button"})
    pads: Mapping[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Serial:
    """The host is a computer on a serial port, and speaks `models.spec.link_frames`.

    Parameters
    ----------
    baud : int
        Bits a second on the wire.
    pins : Pins
    """

    baud: int
    pins: Pins


@dataclass(frozen=True, kw_only=True)
class Processor:
    """The host is the processor system of a Zynq: a PS7 in the top level, pynq outside.

    Its memory is the accelerator's, and it sets the clock.  The top level is that of
    `hw.boards.pynq_z2_top.PynqTop`.

    Parameters
    ----------
    registers : int
        Address of the first register.
    """

    registers: int


@dataclass(frozen=True)
class OnChip:
    """The memory is block RAM of the FPGA (`hw.memory.block_memory`).

    Parameters
    ----------
    size : int
        Bytes, a power of two.
    """

    size: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """One board.

    Parameters
    ----------
    name : str
        Letters, digits, dots and dashes.
    title : str
        Its name and its device, for people.
    part : str
        The device as the tool chain calls it.
    toolchain : str
        Key of `hw.flow.toolchain.TOOLCHAINS`.
    options : mapping of str to str
        What the tool chain wants to know beside the part: `hw.flow.toolchain.Toolchain.OPTIONS`.
    top : callable
        Makes the top level; its one parameter is ``arch``.  Two attributes of what it returns are
        optional: ``ports``, a list of IOPorts, and ``constraints``, the text of the constraint file
        in the tool chain's language.
    arch : str or Arch
        A preset of `models.spec.arch` by name, or an arch of its own.
    clock_mhz : float or None
        The clock of the core, which the design makes itself; None: the host sets it, to what place
        and route allows.
    target_mhz : float
        What place and route must report; less is a failure.
    host : Serial or Processor
    memory : SdramChip or OnChip or None
        None: the host's own.
    floorplan : callable or None
        See `Floorplan`; None: the placer finds all places itself.
    network : str
        Whose speed is estimated.
    load : str
        The command that brings the bitstream onto the board, run in the folder of the bitstream.
    resources : mapping of str to int
        What the device has, by resource: ``LUT``, ``FF``, ``DSP`` and so on.  Empty: what
        `models.spec.devices` says of the part.
    """

    name: str
    title: str
    part: str
    toolchain: str
    top: Callable[..., Elaboratable]
    arch: str | Arch
    target_mhz: float
    host: Serial | Processor
    clock_mhz: float | None = None
    memory: SdramChip | OnChip | None = None
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    floorplan: Floorplan | None = None
    network: str = "alexnet"
    load: str = ""
    resources: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(f"name must be letters, digits, dots and dashes, not {self.name!r}")
        if not self.target_mhz > 0:
            raise ValueError(f"target_mhz must be positive, not {self.target_mhz!r}")
        if not self.resources:
            object.__setattr__(self, "resources", get_device(self.part).resources)
        if not callable(self.top):
            raise ValueError(f"top must be a class or a function of the arch, not {self.top!r}")
        if not isinstance(self.host, Serial | Processor):
            raise ValueError(f"host must be a Serial or a Processor, not {self.host!r}")
        if isinstance(self.arch, str):
            get_arch(self.arch)  # says which there are
        elif not isinstance(self.arch, Arch):
            raise ValueError(f"arch must be the name of a preset or an Arch, not {self.arch!r}")
        if isinstance(self.host, Processor):
            if self.clock_mhz is not None or self.memory is not None:
                raise ValueError("clock_mhz and memory are the processor's: leave them out")
        elif self.clock_mhz is None or self.memory is None:
            raise ValueError("a board on a serial port must say its clock_mhz and its memory")
        elif not 0 < self.clock_mhz <= self.target_mhz:
            raise ValueError(
                f"clock_mhz must be from above 0 to target_mhz, not {self.clock_mhz!r}"
            )

    @property
    def preset(self) -> Arch:
        """The arch, if no other is asked for."""
        return get_arch(self.arch) if isinstance(self.arch, str) else self.arch

    @property
    def clock_hz(self) -> int:
        """`clock_mhz` in Hz.

        Raises
        ------
        ValueError
            If the host sets it.
        """
        if self.clock_mhz is None:
            raise ValueError(f"the clock of {self.name} is set by its processor")
        return round(self.clock_mhz * 1e6)
