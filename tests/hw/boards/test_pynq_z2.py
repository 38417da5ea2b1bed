"""The chip's top level: one processor system, connected pin by pin, and no pads."""

from __future__ import annotations

import re
from functools import cache

import pytest
from amaranth.back import rtlil

from penstock.hw.boards.pynq_z2_top import PORTS, PynqTop
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import CSR_BYTES
from penstock.models.zynq.hwh import CSR_BASE
from penstock.sim.netlist.cells_xc7 import cell_library


@cache
def text() -> str:
    return rtlil.convert(PynqTop(arch=get_arch("tiny")), name="top", emit_src=False)


def cell(kind: str) -> dict[str, str]:
    """Connections of the only cell of a type."""
    found = re.findall(rf"^ *cell \\{kind} .*?^ *end$", text(), re.M | re.S)
    assert len(found) == 1
    return dict(re.findall(r"connect \\(\w+)(?: \[[^\]]*\])? (.+)", found[0]))


@cache
def primitive() -> dict[str, tuple[str, int]]:
    """Direction and width of each pin of the PS7 primitive, as Yosys knows it."""
    library = cell_library().with_name("cells_xtra.v").read_text()
    body = re.search(r"^module PS7\b.*?^endmodule", library, re.M | re.S)
    assert body is not None
    return {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(r"(input|output) (?:\[(\d+):0\] )?(\w+);", body[0])
    }


def test_the_top_has_no_ports() -> None:
    top = re.search(r"^module \\top$.*?^end$", text(), re.M | re.S)
    assert top is not None
    assert not re.search(r"^ *wire .*\b(input|output|inout) \d+", top[0], re.M)


def test_every_pin_exists() -> None:
    pins = cell("PS7")
    assert pins.keys() <= primitive().keys()


@pytest.mark.parametrize(("port", "prefix"), PORTS.items())
def test_ports_are_complete(port: str, prefix: str) -> None:
    """No input of a used port is open, except those of its unused direction."""
    inputs = {
        name
        for name, (direction, _) in primitive().items()
        if name.startswith(prefix) and direction == "input"
    }
    open_inputs = {name[len(prefix) :] for name in inputs - cell("PS7").keys()}
    if port == "gp0":
        assert open_inputs == set()
    elif port == "hp3":
        assert open_inputs and all(re.match("AR|RREADY$", name) for name in open_inputs)
        assert cell("PS7")[f"{prefix}ARVALID"] == "1'0"
    else:
        assert open_inputs and all(re.match("AW|W|BREADY$", name) for name in open_inputs)
        assert cell("PS7")[f"{prefix}AWVALID"] == cell("PS7")[f"{prefix}WVALID"] == "1'0"


def test_the_window_is_at_the_bottom_of_gp0() -> None:
    assert CSR_BASE == 0x4000_0000
    assert CSR_BYTES == 1 << 14


def test_engines_have_the_chips_clock_and_one_source_of_reset() -> None:
    engine = re.search(r"^module \\top\.core\.accel\.drain$.*?^end$", text(), re.M | re.S)
    assert engine is not None
    inputs = set(re.findall(r"^ *wire width 1 input \d+ +\\(\w+)$", engine[0], re.M))
    assert "clk" in inputs
    assert "core_reset" in inputs
    assert "rst" not in inputs


def test_preset_fits_the_device() -> None:
    """Block RAMs of 36 kbit, counted from the sizes; the netlist has no more."""
    arch = get_arch("pynq-z2")
    assert arch.macs_per_cycle >= 384
    # The open placer uses one of 110 tiles for a chain of two DSPs, and also for a single DSP.
    assert arch.macs_per_cycle // 4 + 2 * arch.drain_lanes + 2 * arch.lrn_lanes <= 110
    # A RAMB36 is 1024 words of 36 bits, or deeper and narrower without the parity bits.
    act = -(-arch.act_words * arch.rows * 8 // 32768)
    out = -(-arch.out_words * arch.rows * 8 // 32768)
    psums = arch.cols * 2 * arch.psum_words / 1024
    weights = -(-arch.cols * 8 // 72) * arch.wgt_words / 512
    assert act + out + psums + weights + arch.lrn_lanes + 5 <= 140
