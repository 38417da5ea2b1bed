"""Documents of an exported core: ports and timing as Markdown and JSON, constraints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from penstock.hw.export.ports import BUSES, RULES, Port
from penstock.models.spec.arch import Arch
from penstock.models.spec.reference_pages import registers_markdown
from penstock.models.spec.regs import LOG_BASE, LOG_FIELDS, REGISTERS

__all__ = ["constraints", "ports_json", "ports_markdown", "registers_page"]


def ports_markdown(ports: Sequence[Port], arch: Arch) -> str:
    """Return the page with ports, buses and timing rules."""
    lines = [
        f"# Ports of the core, arch {arch.name}",
        "",
        f"Module `penstock` in `penstock.v`: {arch.rows}x{arch.cols}, fingerprint "
        f"{arch.fingerprint:016x}. Programs must be compiled for the same arch "
        "(`penstock compile MODEL --arch arch.toml`).",
        "",
        "| bus | protocol | for |",
        "|---|---|---|",
        *(f"| `{name}` | {kind} | {what} |" for name, (kind, what) in BUSES.items()),
        "",
        "| port | direction | bits | clock | meaning |",
        "|---|---|---:|---|---|",
    ]
    for port in ports:
        words = f"`{port.name}` | {port.direction} | {port.width} | `{port.domain}`"
        lines.append(f"| {words} | {port.meaning} |")
    lines += ["", "## Timing", "", *(f"- {rule}" for rule in RULES)]
    return "\n".join(lines) + "\n"


def ports_json(ports: Sequence[Port], arch: Arch) -> str:
    """Return ports, buses, rules and registers as JSON."""
    registers = [asdict(register) for register in REGISTERS]
    data = {
        "module": "penstock",
        "arch": asdict(arch),
        "fingerprint": f"{arch.fingerprint:016x}",
        "clock": "clk",
        "reset": {"name": "rst", "active": "high", "synchronous": True},
        "buses": [
            {"name": name, "protocol": kind, "for": what} for name, (kind, what) in BUSES.items()
        ],
        "ports": [port.as_json() for port in ports],
        "rules": list(RULES),
        "registers": registers,
        "layer_log": {"offset": LOG_BASE, "words": [name for name, _ in LOG_FIELDS]},
    }
    return json.dumps(data, indent=2) + "\n"


def registers_page() -> str:
    """Return the page of registers, without the line that says who makes it in the repository."""
    lines = registers_markdown().splitlines()
    return "\n".join(line for line in lines if not line.startswith("<!--")) + "\n"


def constraints(mhz: float) -> str:
    """Return the clock as a constraint that is both SDC and XDC."""
    return (
        "# The core has one clock and no timing exceptions; reset and interrupt belong to it.\n"
        f"create_clock -name clk -period {1000 / mhz:.3f} [get_ports clk]\n"
    )
