"""The netlist of a board's FPGA as the board's top in simulation, pins outward.

What `verilog` returns has the ports of `hw.boards.ulx3s.Ulx3s` or `hw.boards.tang_nano.TangNano`,
so whatever simulates the one simulates the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.sim.netlist.netlist import Netlist

__all__ = ["PINS", "Pins", "verilog"]

_INNER = "penstock_netlist"


@dataclass(frozen=True, kw_only=True)
class Pins:
    """How a top's pins are those of its component in simulation.

    Parameters
    ----------
    clock : str
        The pin of the board's oscillator.
    outputs : mapping of str to (str, int)
        Pin and width by port of the component; a leading ``~`` inverts.
    pads : mapping of str to (str, int)
        Pins of both directions and their width, by the port's name without ``_i``, ``_o``, ``_oe``.
    """

    clock: str
    outputs: Mapping[str, tuple[str, int]]
    pads: Mapping[str, tuple[str, int]] = field(default_factory=dict)


_SDRAM = {"command": 3, "ba": 2, "a": 13, "dqm": 2}

PINS = {
    "ecp5": Pins(
        clock="clk25",
        outputs={
            "tx": ("tx", 1),
            "led": ("led", 8),
            **{f"sdram__{name}": (f"sdram_{name}", width) for name, width in _SDRAM.items()},
        },
        pads={"sdram__dq": ("sdram_dq", 16)},
    ),
    "gowin": Pins(clock="clk27", outputs={"tx": ("tx", 1), "led": ("~led_n", 6)}),
}


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
    ports = ["input clk", "input rst", "input rx", "input button"]
    inside = {pins.clock: "clk", "rx": "rx", "button": "button"}
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
