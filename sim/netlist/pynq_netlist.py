"""The netlist of the whole chip without the processor system, as a replacement of `PynqCore`.

The Verilog has the ports of `hw.boards.pynq_z2.PynqCore`, so the same simulation runs both.
"""

from __future__ import annotations

from amaranth.lib.wiring import Out

from penstock.hw.boards.pynq_z2 import MEMBERS
from penstock.hw.boards.pynq_z2_top import PORTS
from penstock.sim.netlist.netlist import Netlist

__all__ = ["verilog"]

_INNER = "penstock_netlist"


def verilog(netlist: Netlist, *, name: str = "accel") -> str:
    """Verilog of a synthesised `PynqTop`, as a module with the ports of `PynqCore`.

    Parameters
    ----------
    netlist : Netlist
    name : str
        Of the module.

    Raises
    ------
    ValueError
        If it is not the netlist of a `PynqTop`.
    ToolError
        If Yosys is missing.
    """
    inner = netlist.verilog(name=_INNER, boundary="PS7")
    pins = dict(netlist.boundary("PS7"))
    ports = ["input clk", "input rst", "output irq"]
    wires = []
    inside = {"FCLKCLK": "{3'd0, clk}", "FCLKRESETN": "{3'd0, ~rst}", "IRQF2P": "interrupts"}
    for port, prefix in PORTS.items():
        for member, flow in MEMBERS[port].signature.members.items():
            pin = prefix + member.upper()
            width, signal = flow.shape, f"{port}__{member}"
            given = pins.get(pin, 0)
            ports.append(f"{'output' if flow.flow is Out else 'input'} [{width - 1}:0] {signal}")
            if flow.flow is Out:
                # Narrower on the primitive, or unconnected: the upper bits are zeros.
                if given:
                    inside[pin] = f"{signal}[{given - 1}:0]"
                if given < width:
                    wires.append(f"  assign {signal}[{width - 1}:{given}] = 0;")
            elif given:
                inside[pin] = f"{signal}[{given - 1}:0]"
    connections = ",\n    ".join(f".{pin}({to})" for pin, to in inside.items() if pin in pins)
    lines = [
        f"module {name}(",
        "  " + ",\n  ".join(ports),
        ");",
        "  wire [19:0] interrupts;",
        "  assign irq = interrupts[0];",
        *wires,
        f"  {_INNER} netlist (\n    {connections}\n  );",
        "endmodule",
        "",
    ]
    return "\n".join(lines) + inner
