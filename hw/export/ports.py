"""The core's ports as a table: from its signature, with what each is for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from amaranth.lib.wiring import Out

from penstock.hw.bus.axi import BOUNDARY, MAX_BURST
from penstock.hw.core.accel import Accel
from penstock.models.spec.regs import CSR_BYTES, ERROR_SOURCES

__all__ = ["BUSES", "RULES", "Port", "ports"]

# The module's buses: name, protocol, what for.
BUSES = {
    "csr": ("AXI4-Lite slave", f"registers, {CSR_BYTES} bytes"),
    "m_desc": ("AXI4 master, reads", "descriptors of the program"),
    "m_wgt": ("AXI4 master, reads", "weights and parameters"),
    "m_act": ("AXI4 master, reads", "activations"),
    "m_out": ("AXI4 master, writes", "results"),
}
assert set(BUSES) == {"csr", *(f"m_{name}" for name in ERROR_SOURCES)}

_SINGLE = {
    "clk": "clock of everything; rising edge",
    "rst": "reset, synchronous, active high; hold it for a cycle or more",
    "irq": "interrupt: high while one is pending and enabled",
    "busy": "a program runs; STATUS.busy",
    "error": "the last program stopped with an error; STATUS.error",
}
_SIGNALS = {
    "id": "always 0; answers' IDs are ignored",
    "addr": "byte address",
    "len": "beats of the burst - 1",
    "size": "always 3: whole beats of 8 bytes",
    "burst": "always 1: INCR",
    "data": "data, little endian",
    "strb": "bytes that are written",
    "last": "the burst's last beat",
    "resp": "0 OKAY, 2 SLVERR, 3 DECERR",
    "valid": "the sender has something, and keeps it until it is taken",
    "ready": "the receiver takes it in this cycle",
}
_CHANNELS = {
    "aw": "write address",
    "ar": "read address",
    "w": "write data",
    "r": "read data",
    "b": "write response",
}

# Rules of the signals, as sentences.
RULES = (
    "All ports belong to one clock domain, that of `clk`.",
    "Every channel has AXI's handshake: a transfer takes place in a cycle with `valid` and "
    "`ready`; `valid` does not wait for `ready` and, with its payload, holds until then.",
    f"Bursts are INCR, of whole 64-bit beats, {MAX_BURST} beats at most (AXI3 takes them as well), "
    f"and never cross a boundary of {BOUNDARY} bytes. IDs are 0: answers come in order.",
    "Memory may have any latency, different for each port: a slow one makes a run longer but gives "
    "the same bytes. WATCHDOG cycles without any progress end the run with an error.",
    "Registers: an address is taken when no access of its kind is in flight. A write takes effect "
    "four cycles after address and data were taken; read data comes five cycles after its "
    "address. Reads have no side effect. Every address answers OKAY; "
    "unknown ones read 0 and ignore writes.",
    "A run: write BASE, DESC_ADDR, DESC_COUNT, WATCHDOG, IRQ_ENABLE, then 1 to CTRL. At its end "
    "`irq` rises and STATUS is 2 (done: every result is acknowledged by memory) or 4 (error: see "
    "ERROR). Write 1 to IRQ_PENDING to clear the interrupt.",
    "After an error, or to stop a run, write 2 to CTRL: bursts in flight complete, everything "
    "else is dropped; STATUS reads 0 when the core is idle again.",
)


@dataclass(frozen=True)
class Port:
    """One port of the module.

    Parameters
    ----------
    name : str
    direction : str
        ``input`` or ``output``.
    width : int
        Bits.
    domain : str
        Its clock.
    bus : str
        Key of `BUSES`; empty: none.
    meaning : str
    """

    name: str
    direction: str
    width: int
    domain: str
    bus: str
    meaning: str

    def as_json(self) -> dict[str, Any]:
        """The port as plain data."""
        return asdict(self)


def _meaning(name: str) -> str:
    channel = next(channel for channel in _CHANNELS if name.startswith(channel))
    return f"{_CHANNELS[channel]}: {_SIGNALS[name.removeprefix(channel)]}"


def ports(core: Accel) -> list[Port]:
    """Return the ports of the Verilog that is made of a core, clock and reset first."""
    found = [Port(name, "input", 1, "clk", "", _SINGLE[name]) for name in ("clk", "rst")]
    for path, member, value in core.signature.flatten(core):
        names = [str(part) for part in path]
        direction = "output" if member.flow is Out else "input"
        bus = names[0] if len(names) > 1 else ""
        text = _meaning(names[1]) if bus else _SINGLE[names[0]]
        found.append(Port("__".join(names), direction, len(value), "clk", bus, text))
    return found
