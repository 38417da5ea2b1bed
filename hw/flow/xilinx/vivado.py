"""A Vivado script for the same sources.  Untested."""

from __future__ import annotations

from penstock.hw.boards.board import Board, Processor

__all__ = ["vivado_script"]

_SCRIPT = """\
# UNTESTED: this script has never been run.  It builds {title} from the Verilog beside it:
#     vivado -mode batch -source vivado.tcl
{after}
set here [file dirname [file normalize [info script]]]
create_project -in_memory -part {part}
read_verilog -sv $here/penstock.v
synth_design -top penstock -part {part}
{clock}
opt_design
place_design
phys_opt_design
route_design
report_timing_summary -file $here/vivado_timing.txt
report_utilization -file $here/vivado_utilization.txt
if {{[get_property SLACK [get_timing_paths]] < 0}} {{
    puts "penstock: timing is not met at {clock_mhz:g} MHz"
    exit 1
}}
write_bitstream -force $here/penstock_vivado.bit
"""


# With a processor system, which generates the clock and maps the registers.
_PROCESSOR_AFTER = """\
# Its .hwh is written by
#     penstock describe penstock_vivado.bit --arch {arch} --mhz {clock_mhz:g}
"""
_PROCESSOR_CLOCK = """\
create_clock -name fclk0 -period {period:.3f} [get_pins -hier -filter {{NAME =~ *FCLKCLK[0]}}]
# The processor system's other signals are set up by its boot loader."""
# Without: pins, and the input clock, from which Vivado derives the PLL's.
_PINS_CLOCK = "read_xdc $here/penstock.xdc"


def vivado_script(board: Board, arch: str) -> str:
    """Return the Tcl script for a board with a device of the 7 series, and an arch by name."""
    processor = isinstance(board.host, Processor)
    clock_mhz = board.target_mhz if board.clock_mhz is None else board.clock_mhz
    values = {"arch": arch, "clock_mhz": clock_mhz, "period": 1000 / clock_mhz}
    return _SCRIPT.format(
        title=board.title,
        part=board.part,
        after=_PROCESSOR_AFTER.format(**values) if processor else "",
        clock=_PROCESSOR_CLOCK.format(**values) if processor else _PINS_CLOCK,
        clock_mhz=clock_mhz,
    )
