"""The ULX3S: its top level, with clocks and pins, and the boards as data: three sizes of ECP5."""

from __future__ import annotations

from amaranth import Module, Signal

from penstock.hw.boards.board import Board, Floorplan, Pins, Serial
from penstock.hw.boards.ecp5_cells import Pll, add_clock_output, add_input, add_output, add_tristate
from penstock.hw.boards.pinned_top import PinnedTop
from penstock.hw.boards.serial_soc import LEDS
from penstock.hw.boards.ulx3s import BAUD, CLOCK_HZ, Ulx3s
from penstock.hw.floorplan.ecp5 import ecp5_25, ecp5_45, ecp5_85
from penstock.hw.memory.sdram_chip import ULX3S_SDRAM
from penstock.models.spec.arch import Arch

__all__ = [
    "INPUT_MHZ",
    "PINS",
    "SDRAM_PHASE",
    "ULX3S_25F",
    "ULX3S_45F",
    "ULX3S_85F",
    "Ulx3sTop",
    "constraints",
]

INPUT_MHZ = 25.0

# Delay of the SDRAM's clock against the FPGA's, as a fraction of a period.  A word that it sends is
# valid at the FPGA's pin from `t_ac` after one of its edges to `t_oh` after the next, plus the
# delays of the clock output and the data input; the FPGA samples it at its own second edge.  At 90
# MHz this phase allows for delays of 0.7 to 8.9 ns in total (from the datasheets, not measured).
SDRAM_PHASE = 5 / 7

# Sites of the package CABGA381 and their attributes in the constraint file, from the board's
# schematics as given by amaranth-boards.
_PLAIN = "IO_TYPE=LVCMOS33"
_FAST = "IO_TYPE=LVCMOS33 PULLMODE=NONE DRIVE=4 SLEWRATE=FAST"
PINS: dict[str, tuple[str, str]] = {
    "clk25": ("G2", _PLAIN),
    "rx": ("M1", f"{_PLAIN} PULLMODE=UP"),
    "tx": ("L4", _PLAIN),
    "button": ("R1", f"{_PLAIN} PULLMODE=DOWN"),
    "led": ("B2 C2 C1 D2 D1 E2 E1 H3", f"{_PLAIN} DRIVE=4"),
    "sdram_clk": ("F19", _FAST),
    "sdram_cke": ("F20", _FAST),
    "sdram_cs_n": ("P20", _FAST),
    "sdram_command": ("T20 T19 R20", _FAST),
    "sdram_ba": ("P19 N20", _FAST),
    "sdram_a": ("M20 M19 L20 L19 K20 K19 K18 J20 J19 H20 N19 G20 G19", _FAST),
    "sdram_dqm": ("U19 E20", _FAST),
    "sdram_dq": ("J16 L18 M18 N18 P18 T18 T17 U20 E19 D20 D19 C20 E18 F18 J18 J17", _FAST),
}


def constraints() -> str:
    """Text of the constraint file for nextpnr-ecp5: sites, I/O standards, and the input clock."""
    lines = ["BLOCK RESETPATHS;", "BLOCK ASYNCPATHS;"]
    for name, (sites, attributes) in PINS.items():
        names = [name]
        if " " in sites:
            names = [f"{name}[{k}]" for k in range(len(sites.split()))]
        for pin, site in zip(names, sites.split()):
            lines.append(f'LOCATE COMP "{pin}" SITE "{site}";')
            lines.append(f'IOBUF PORT "{pin}" {attributes};')
    lines.append(f'FREQUENCY PORT "clk25" {INPUT_MHZ:g} MHZ;')
    return "\n".join(lines) + "\n"


class Ulx3sTop(PinnedTop):
    """The design with its pins, which are named as in `PINS`.

    Parameters
    ----------
    arch : Arch
    """

    def __init__(self, *, arch: Arch) -> None:
        sites = {name: text for name, (text, _) in PINS.items()}
        super().__init__(arch=arch, sites=sites, constraints=constraints())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pins = self.pins
        m.submodules.board = board = Ulx3s(arch=self.arch, registered=False)
        pll = Pll(input_mhz=INPUT_MHZ, output_mhz=CLOCK_HZ / 1e6, phase=SDRAM_PHASE)
        pll.add(m, add_input(m, "clk25", pins["clk25"]), first="sync", second="sdram")
        m.d.comb += [
            board.rx.eq(add_input(m, "rx", pins["rx"])),
            board.button.eq(add_input(m, "button", pins["button"])),
        ]
        add_output(m, "tx", pins["tx"], board.tx)
        for k in range(len(LEDS)):
            add_output(m, f"led_{k}", pins["led"][k], board.led[k])

        add_clock_output(m, "sdram_clk", pins["sdram_clk"], domain="sdram")
        add_output(m, "sdram_cke", pins["sdram_cke"], Signal(init=1))
        add_output(m, "sdram_cs_n", pins["sdram_cs_n"], Signal())
        for name in ("command", "ba", "a", "dqm"):
            for k, value in enumerate(getattr(board.sdram, name)):
                add_output(
                    m,
                    f"sdram_{name}_{k}",
                    pins[f"sdram_{name}"][k],
                    value,
                    registered=True,
                    # No command before the first one.
                    init=int(name == "command"),
                )
        for k in range(len(board.sdram.dq_i)):
            m.d.comb += board.sdram.dq_i[k].eq(
                add_tristate(
                    m,
                    f"sdram_dq_{k}",
                    pins["sdram_dq"][k],
                    board.sdram.dq_o[k],
                    board.sdram.dq_oe,
                )
            )
        return m


_SDRAM_WIDTHS = {"command": 3, "ba": 2, "a": 13, "dqm": 2}


def _ulx3s(size: int, idcode: str, floorplan: Floorplan) -> Board:
    """The board with an ECP5 of one size: the same pins, another die."""
    return Board(
        name=f"ulx3s-{size}f",
        title=f"ULX3S (ECP5 LFE5U-{size}F)",
        part=f"LFE5U-{size}F-6BG381C",
        toolchain="ecp5",
        options={
            "device": f"{size}k",
            "package": "CABGA381",
            "speed": "6",
            "idcode": idcode,
        },
        top=Ulx3sTop,
        arch=f"ulx3s-{size}f",
        clock_mhz=CLOCK_HZ / 1e6,
        target_mhz=CLOCK_HZ / 1e6,
        host=Serial(
            baud=BAUD,
            pins=Pins(
                clock="clk25",
                outputs={
                    "tx": ("tx", 1),
                    "led": ("led", len(LEDS)),
                    **{f"sdram__{n}": (f"sdram_{n}", width) for n, width in _SDRAM_WIDTHS.items()},
                },
                pads={"sdram__dq": ("sdram_dq", 16)},
            ),
        ),
        memory=ULX3S_SDRAM,
        floorplan=floorplan,
        load="openFPGALoader --board ulx3s penstock.bit",
    )


ULX3S_85F = _ulx3s(85, "0x41113043", ecp5_85)
ULX3S_45F = _ulx3s(45, "0x41112043", ecp5_45)
ULX3S_25F = _ulx3s(25, "0x41111043", ecp5_25)
