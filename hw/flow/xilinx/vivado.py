"""A Vivado script for the same sources, for those who prefer the vendor's tool.  Untested."""

from __future__ import annotations

from penstock.hw.flow.board import Board

__all__ = ["vivado_script"]

_SCRIPT = """\
# UNTESTED: nobody has run this script.  It builds {title} from the Verilog beside it:
#     vivado -mode batch -source vivado.tcl
# Its .hwh is written by
#     penstock describe penstock_vivado.bit --arch {arch} --mhz {target:g}

set here [file dirname [file normalize [info script]]]
create_project -in_memory -part {part}
read_verilog -sv $here/penstock.v
synth_design -top penstock -part {part}
create_clock -name fclk0 -period {period:.3f} [get_pins -hier -filter {{NAME =~ *FCLKCLK[0]}}]
# The processor system's other signals are set up by its boot loader.
opt_design
place_design
phys_opt_design
route_design
report_timing_summary -file $here/vivado_timing.txt
report_utilization -file $here/vivado_utilization.txt
if {{[get_property SLACK [get_timing_paths]] < 0}} {{
    puts "penstock: timing is not met at {target:g} MHz"
    exit 1
}}
write_bitstream -force $here/penstock_vivado.bit
"""


def vivado_script(board: Board, arch: str) -> str:
    """Return the Tcl script for a board with a device of the 7 series, and an arch by name."""
    return _SCRIPT.format(
        title=board.title,
        arch=arch,
        part=board.part,
        period=1000 / board.target_mhz,
        target=board.target_mhz,
    )
