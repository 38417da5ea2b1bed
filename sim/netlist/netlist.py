"""Synthesised netlists as Verilog for simulation, cell by cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock.sim.netlist.cells import Bit, Cell, Cells, vector
from penstock.sim.netlist.cells_xc7 import Xc7

__all__ = ["Netlist"]


class Netlist:
    """A netlist that Yosys wrote with ``write_json``.

    Parameters
    ----------
    path : Path
    top : str or None
        Name of the module, None for the one that is marked as the top; the netlist is flat.
    family : Cells or None
        What its cells are; None: those of a 7-series FPGA.

    Attributes
    ----------
    cells : dict of str to int
        Number of cells of each type.
    ports : dict of str to (str, int)
        Direction and width of each port.

    Raises
    ------
    ValueError
        If there is no such module in the file.
    """

    def __init__(self, path: Path, *, top: str | None = None, family: Cells | None = None) -> None:
        modules: dict[str, Any] = json.loads(path.read_text())["modules"]
        if top is None:
            marked = [n for n, m in modules.items() if int(m["attributes"].get("top", "0"), 2)]
            if len(marked) != 1:
                raise ValueError(f"{path}: one module must be the top, not {len(marked)}")
            top = marked[0]
        if top not in modules:
            raise ValueError(f"{path}: there is no module {top}")
        self._family = Xc7() if family is None else family
        self._ports: dict[str, Any] = modules[top]["ports"]
        cells = [
            Cell(
                f"c{index}",
                cell["type"],
                cell["parameters"],
                cell["port_directions"],
                cell["connections"],
            )
            for index, cell in enumerate(modules[top]["cells"].values())
        ]
        tied = {b: v for cell in cells for b, v in self._family.constants(cell).items()}
        self._cells = [_tie(cell, tied) for cell in cells] if tied else cells
        self.cells: dict[str, int] = {}
        for cell in self._cells:
            self.cells[cell.type] = self.cells.get(cell.type, 0) + 1
        self.ports = {
            name: (port["direction"], len(port["bits"])) for name, port in self._ports.items()
        }

    def verilog(self, *, name: str = "top", boundary: str | None = None) -> str:
        """Verilog of the netlist and of the cells it uses.

        A port ``p`` of both directions becomes an input ``p`` and outputs ``p_o`` and ``p_oe``.

        Parameters
        ----------
        name : str
            Of the module.
        boundary : str or None
            Type of a cell outside the FPGA's fabric, of which there is one: it is removed, and its
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
        bodies = [text for cell in inside for text in self._family.body(cell)]
        bits = {bit for cell in self._cells for pin in cell.pins.values() for bit in pin}
        bits |= {bit for _, _, pin in ports for bit in pin}
        registers = {bit for cell in inside for bit in self._family.registers(cell)}
        wires = [
            f"  {'reg' if bit in registers else 'wire'} n{bit};"
            for bit in sorted(bit for bit in bits if isinstance(bit, int))
        ]
        names: list[str] = []
        declarations: list[str] = []
        connections: list[str] = []
        for port, direction, pin in ports:
            if direction == "inout":
                wires += [f"  wire n{bit}_{way};" for bit in pin for way in ("o", "oe")]
            for suffix in ("", "_o", "_oe") if direction == "inout" else ("",):
                inward = direction == "input" or (direction == "inout" and not suffix)
                names.append(port + suffix)
                declarations.append(
                    f"  {'input' if inward else 'output'} [{len(pin) - 1}:0] {port}{suffix};"
                )
                connections += _connect(port + suffix, pin, suffix, inward=inward)
        head = f"module {name}({', '.join(names)});"
        models = self._family.models(inside)
        return "\n".join(
            [head, *declarations, *wires, *connections, *bodies, "endmodule", "", models]
        )

    def boundary(self, kind: str) -> dict[str, int]:
        """Pins of the only cell of a type that are connected, and how many bits they have.

        Raises
        ------
        ValueError
            If there is not one such cell.
        """
        return {pin: len(bits) for pin, bits in self._only(kind).pins.items() if bits}

    def _only(self, kind: str) -> Cell:
        found = [cell for cell in self._cells if cell.type == kind]
        if len(found) != 1:
            raise ValueError(f"there must be one {kind}, not {len(found)}")
        return found[0]


def _tie(cell: Cell, tied: Mapping[Bit, str]) -> Cell:
    """The cell with its tied bits replaced by constants."""
    pins = {
        pin: [tied.get(bit, bit) for bit in bits]
        if cell.directions.get(pin) == "input"
        else list(bits)
        for pin, bits in cell.pins.items()
    }
    return replace(cell, pins=pins)


def _connect(port: str, pin: list[Bit], suffix: str, *, inward: bool) -> list[str]:
    """Statements that connect a port of the module with the bits of the netlist."""
    if inward:
        return [
            f"  assign n{bit} = {port}[{index}];"
            for index, bit in enumerate(pin)
            if isinstance(bit, int)
        ]
    if suffix:
        bits = ", ".join(f"n{bit}{suffix}" for bit in reversed(pin))
        return [f"  assign {port} = {{{bits}}};"]
    return [f"  assign {port} = {vector(pin)};"]
