"""The Tang Nano 20K's top level for a GW2AR-18: clock, pins and `hw.boards.tang_nano.TangNano`."""

from __future__ import annotations

from amaranth import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib.cdc import ResetSynchronizer

from penstock.hw.boards.board import Board, OnChip, Pins, Serial
from penstock.hw.boards.pinned_top import PinnedTop
from penstock.hw.boards.tang_nano import BAUD, CLOCK_HZ, MEMORY_BYTES, SHOWN, TangNano
from penstock.hw.floorplan.gowin import gw2a_18
from penstock.models.spec.arch import Arch

__all__ = ["INPUT_MHZ", "PINS", "TANG_NANO_20K", "TangNanoTop", "constraints"]

INPUT_MHZ = 27

# The oscillator's frequency must be within these, in MHz.
_VCO = (500, 1250)

# Pins of the package QN88 and their attributes in the constraint file, from the board's schematics
# as given by LiteX-Boards.
_PLAIN = "IO_TYPE=LVCMOS33"
PINS: dict[str, tuple[str, str]] = {
    "clk27": ("4", _PLAIN),
    "rx": ("70", f"{_PLAIN} PULL_MODE=UP"),
    "tx": ("69", f"{_PLAIN} DRIVE=8"),
    "button": ("88", f"{_PLAIN} PULL_MODE=DOWN"),
    "led_n": ("15 16 17 18 19 20", f"{_PLAIN} DRIVE=8"),
}


def constraints() -> str:
    """Text of the constraint file for nextpnr-himbaechel: pins and I/O standards."""
    lines = []
    for name, (pins, attributes) in PINS.items():
        numbers = pins.split()
        for k, pin in enumerate(numbers):
            port = name if len(numbers) == 1 else f"{name}[{k}]"
            lines += [f'IO_LOC "{port}" {pin};', f'IO_PORT "{port}" {attributes};']
    return "\n".join(lines) + "\n"


def _pll(m: Module, clock: Signal) -> None:
    """Generate the clock of the `sync` domain, which is in reset until the PLL has locked."""
    multiply, rest = divmod(CLOCK_HZ, INPUT_MHZ * 1_000_000)
    assert rest == 0
    output = next(k for k in (4, 8, 16, 32) if _VCO[0] <= CLOCK_HZ * k / 1e6 <= _VCO[1])
    locked = Signal(name="pll_locked")
    m.domains.sync = ClockDomain()
    # CLKFB is unconnected, as the feedback is internal: with a constant there, the placer searches
    # the whole routing graph for each constant input of the PLL, a minute in all.
    low = {"RESET": 1, "RESET_P": 1, "FBDSEL": 6, "IDSEL": 6, "ODSEL": 6}
    low |= {"PSDA": 4, "DUTYDA": 4, "FDLY": 4}
    m.submodules.pll = Instance(
        "rPLL",
        p_FCLKIN=str(INPUT_MHZ),
        p_IDIV_SEL=0,
        p_FBDIV_SEL=multiply - 1,
        p_ODIV_SEL=output,
        p_DEVICE="GW2AR-18C",
        **{f"i_{name}": Const(0, width) for name, width in low.items()},
        i_CLKIN=clock,
        o_CLKOUT=ClockSignal(),
        o_LOCK=locked,
    )
    m.submodules.pll_reset = ResetSynchronizer(~locked)


class TangNanoTop(PinnedTop):
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
        m.submodules.board = board = TangNano(arch=self.arch)
        clock = Signal(name="clk27_in")
        led_n = Signal(len(SHOWN))
        m.d.comb += led_n.eq(~board.led)
        self._add_pads(
            m,
            inputs={"clk27": clock, "rx": board.rx, "button": board.button},
            outputs={"tx": board.tx, "led_n": led_n},
        )
        _pll(m, clock)
        return m


TANG_NANO_20K = Board(
    name="tang-nano-20k",
    title="Tang Nano 20K (Gowin GW2AR-18)",
    part="GW2AR-LV18QN88C8/I7",
    toolchain="gowin",
    options={"synthesis": "gw2a", "family": "GW2A-18C"},
    top=TangNanoTop,
    arch="tang-nano-20k",
    clock_mhz=CLOCK_HZ / 1e6,
    target_mhz=CLOCK_HZ / 1e6,
    host=Serial(
        baud=BAUD,
        pins=Pins(clock="clk27", outputs={"tx": ("tx", 1), "led": ("~led_n", len(SHOWN))}),
    ),
    memory=OnChip(MEMORY_BYTES),
    floorplan=gw2a_18,
    network="lenet5",
    load="openFPGALoader --board tangnano20k penstock.fs",
)
