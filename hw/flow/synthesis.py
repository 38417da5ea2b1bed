"""Yosys for all tool chains: the netlist, and the design as plain Verilog."""

from __future__ import annotations

from penstock.hw.flow.process import Cost
from penstock.hw.flow.programs import need
from penstock.hw.flow.toolchain import Job

__all__ = ["ANY_ON_COLLISION", "run_yosys", "synthesise", "write_verilog"]

# For devices whose block RAMs return an undefined value when a word is read while it is written:
# prevents Yosys from adding registers and comparators to return the old one.
# `hw.lib.buffer.Buffer` does not define it either, and FIFOs read only words written before.
ANY_ON_COLLISION = "setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i"

# Registers whose signals have the attribute `keep` are intentional duplicates.  Place and route
# crashes on the scopes that flattening leaves.
_SYNTHESIS = """\
read_rtlil {rtlil}
{before}
proc
setattr -set keep 1 a:keep=1 %ci1 t:$*dff* %i
{command} -top penstock
delete t:$scopeinfo
stat
select -module penstock
write_json -selected {json}
select -clear
write_verilog -noattr {verilog}
"""

_VERILOG = """\
read_rtlil {rtlil}
{before}
proc; opt_clean; opt_expr; opt_dff; opt_clean; memory_collect
write_verilog -noattr -sv {verilog}
"""


def run_yosys(job: Job, step: str, script: str) -> Cost:
    """Run a script of Yosys, which is kept with the logs."""
    path = job.folder / "logs" / f"{step}.ys"
    path.write_text(script, encoding="utf-8")
    return job.runner.run(
        [need("yosys"), "-s", path.relative_to(job.folder)], log=job.log(step), cwd=job.folder
    )


def synthesise(job: Job, command: str, *, before: str = "") -> Cost:
    """Make `Job.netlist` and `Job.netlist_verilog` with Yosys' synthesis command `command`.

    `before` goes into the script before it.
    """
    script = _SYNTHESIS.format(
        rtlil=job.rtlil.name,
        before=before,
        command=command,
        json=job.netlist.name,
        verilog=job.netlist_verilog.name,
    )
    return run_yosys(job, "synthesis", script)


def write_verilog(job: Job, *, before: str = "") -> None:
    """Write the sources as ``penstock.v``, for other tools; `before` goes into the script."""
    script = _VERILOG.format(rtlil=job.rtlil.name, before=before, verilog="penstock.v")
    run_yosys(job, "verilog", script)
