"""The Arty A7-100T: its top level, with clock and pins, and the board as data."""

from __future__ import annotations

from amaranth import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib.cdc import ResetSynchronizer

from penstock.hw.array.dsp48 import Dsp48e1
from penstock.hw.boards.arty_a7 import BAUD, CLOCK_HZ, MEMORY_BYTES, SHOWN, ArtyA7
from penstock.hw.boards.board import Board, OnChip, Pins, Serial
from penstock.hw.boards.pinned_top import PinnedTop
from penstock.models.spec.arch import Arch

__all__ = ["ARTY_A7_100T", "INPUT_MHZ", "PINS", "ArtyA7Top", "constraints"]

INPUT_MHZ = 100

# The oscillator's frequency in MHz, within 800 to 1600; the clock is a whole fraction of it.
_VCO_MHZ = 800

# Pins of the package CSG324, from the board's reference manual; all have 3.3 V.
PINS: dict[str, str] = {
    "clk100": "E3",
    "rx": "A9",
    "tx": "D10",
    "reset_n": "C2",
    "led": "H5 J5 T9 T10",
}


def constraints() -> str:
    """Text of the constraint file for nextpnr-xilinx and for Vivado.

    Pins, I/O standards, and the input clock.
    """
    lines = []
    for name, text in PINS.items():
        sites = text.split()
        for k, site in enumerate(sites):
            port = name if len(sites) == 1 else f"{{{name}[{k}]}}"
            lines += [
                f"set_property PACKAGE_PIN {site} [get_ports {port}]",
                f"set_property IOSTANDARD LVCMOS33 [get_ports {port}]",
            ]
    lines.append(f"create_clock -period {1000 / INPUT_MHZ:g} [get_ports clk100]")
    return "\n".join(lines) + "\n"


def _pll(m: Module, clock: Signal) -> None:
    """Generate the clock of the `sync` domain, which is in reset until the PLL has locked."""
    output, rest = divmod(_VCO_MHZ * 1_000_000, CLOCK_HZ)
    assert rest == 0 and _VCO_MHZ % INPUT_MHZ == 0
    feedback, made, locked = (Signal(name=f"pll_{n}") for n in ("feedback", "clock", "locked"))
    m.domains.sync = ClockDomain()
    m.submodules.pll = Instance(
        "PLLE2_ADV",
        p_CLKIN1_PERIOD=1000.0 / INPUT_MHZ,
        p_DIVCLK_DIVIDE=1,
        p_CLKFBOUT_MULT=_VCO_MHZ // INPUT_MHZ,
        p_CLKOUT0_DIVIDE=output,
        p_STARTUP_WAIT="FALSE",
        i_CLKIN1=clock,
        i_CLKFBIN=feedback,
        i_RST=Const(0),
        i_PWRDWN=Const(0),
        o_CLKFBOUT=feedback,
        o_CLKOUT0=made,
        o_LOCKED=locked,
    )
    m.submodules.clock = Instance("BUFG", i_I=made, o_O=ClockSignal())
    m.submodules.pll_reset = ResetSynchronizer(~locked)


class ArtyA7Top(PinnedTop):
    """The design with its pins, which are named as in `PINS`.

    Parameters
    ----------
    arch : Arch
    """

    def __init__(self, *, arch: Arch) -> None:
        super().__init__(arch=arch, sites=PINS, constraints=constraints())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.board = board = ArtyA7(arch=self.arch, mac=Dsp48e1)
        clock, reset_n = Signal(name="clk100_in"), Signal(name="reset_n_in")
        self._add_pads(
            m,
            inputs={"clk100": clock, "rx": board.rx, "reset_n": reset_n},
            outputs={"tx": board.tx, "led": board.led},
        )
        m.d.comb += board.button.eq(~reset_n)
        _pll(m, clock)
        return m


ARTY_A7_100T = Board(
    name="arty-a7-100t",
    title="Arty A7-100T (Artix-7 XC7A100T)",
    part="xc7a100tcsg324-1",
    toolchain="openxc7",
    options={"family": "artix7", "device": "xc7a100t"},
    top=ArtyA7Top,
    arch="arty-a7-100t",
    clock_mhz=CLOCK_HZ / 1e6,
    # The target has a margin to the open tools' report: see `hw.flow.xilinx.openxc7`.
    target_mhz=1.5 * CLOCK_HZ / 1e6,
    host=Serial(
        baud=BAUD,
        pins=Pins(
            clock="clk100",
            inputs={"rx": "rx", "button": "~reset_n"},
            outputs={"tx": ("tx", 1), "led": ("led", len(SHOWN))},
        ),
    ),
    memory=OnChip(MEMORY_BYTES),
    network="cifar10-quick",
    load="openFPGALoader --board arty_a7_100t penstock.bit",
)
