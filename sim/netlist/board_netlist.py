"""Converts the netlist of a board's FPGA, pins included, to the board's top for simulation.

The Verilog has the ports of `hw.boards.ulx3s.Ulx3s` or `hw.boards.on_chip_board.OnChipBoard`, so
the same simulation runs both.
"""

from __future__ import annotations

from penstock.hw.boards.board import Pins
from penstock.sim.netlist.netlist import Netlist

__all__ = ["verilog"]

_INNER = "penstock_netlist"


def verilog(netlist: Netlist, pins: Pins, *, name: str = "board") -> str:
    """Verilog of a synthesised board top, as a module with the ports of its component.

    Parameters
    ----------
    netlist : Netlist
    pins : Pins
    name : str
        Of the module.

    Raises
    ------
    ValueError
        If it is not the netlist of such a top.
    """
    ports = ["input clk", "input rst", *(f"input {port}" for port in pins.inputs)]
    inside = {pins.clock: "clk"}
    for port, pin in pins.inputs.items():
        inside[pin.lstrip("~")] = f"~{port}" if pin.startswith("~") else port
    lines = []
    for port, (pin, width) in pins.outputs.items():
        ports.append(f"output [{width - 1}:0] {port}")
        inside[pin.lstrip("~")] = f"{port}_pin"
        lines += [f"  wire [{width - 1}:0] {port}_pin;"]
        lines += [f"  assign {port} = {'~' if pin.startswith('~') else ''}{port}_pin;"]
    for port, (pin, width) in pins.pads.items():
        ports += [f"input [{width - 1}:0] {port}_i", f"output [{width - 1}:0] {port}_o"]
        ports += [f"output {port}_oe"]
        inside |= {pin: f"{port}_i", f"{pin}_o": f"{port}_o", f"{pin}_oe": f"{port}_drive"}
        lines += [f"  wire [{width - 1}:0] {port}_drive;", f"  assign {port}_oe = {port}_drive[0];"]
    missing = {
        pin for pin in inside if pin.removesuffix("_oe").removesuffix("_o") not in netlist.ports
    }
    if missing:
        raise ValueError(f"the netlist has no port {', '.join(sorted(missing))}")
    connections = ",\n    ".join(f".{pin}({to})" for pin, to in inside.items())
    text = [
        f"module {name}(",
        "  " + ",\n  ".join(ports),
        ");",
        *lines,
        f"  {_INNER} netlist (\n    {connections}\n  );",
        "endmodule",
        "",
    ]
    return "\n".join(text) + netlist.verilog(name=_INNER)
