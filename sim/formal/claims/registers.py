"""The register bank: every access is answered, and reads have no side effect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from amaranth import Cat, Signal, Value
from amaranth.lib.wiring import In

from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import REGISTERS
from penstock.sim.formal.checking.harness import Harness
from penstock.sim.formal.checking.monitors import outstanding, stays, within

__all__ = ["answers", "no_side_effects"]

# Entries of the layer log: one, as the time of the proofs grows with it.
_ARCH = replace(get_arch("tiny"), log_entries=1)


def answers(hw: Any) -> Harness:
    """Environment: a master with arbitrary addresses that stalls at will."""
    h = Harness()
    h.m.submodules.dut = dut = hw.CsrBank(arch=_ARCH)
    h.free_inputs(dut)
    bus = dut.bus
    asked, answered = bus.arvalid & bus.arready, bus.rvalid & bus.rready
    reads = outstanding(h, asked, answered, 1, "reads")
    within(h, "a read is answered", 6, (reads == 0) | bus.rvalid)
    within(h, "a read is taken", 1, (reads != 0) | bus.arready)
    stays(h, "R", bus.rvalid, bus.rready, bus.rdata, bus.rresp)
    h.claim("reads are answered OKAY", ~bus.rvalid | (bus.rresp == 0))

    addresses, words = Signal(2, name="addresses"), Signal(2, name="words")
    took = bus.bvalid & bus.bready
    h.m.d.sync += [
        addresses.eq(addresses + (bus.awvalid & bus.awready) - took),
        words.eq(words + (bus.wvalid & bus.wready) - took),
    ]
    h.claim("an answer is a write's", ~bus.bvalid | ((addresses != 0) & (words != 0)))
    h.claim("at most two writes are taken", (addresses <= 2) & (words <= 2))
    within(h, "a write is answered", 2, (addresses == 0) | (words == 0) | bus.bvalid)
    within(h, "an address is taken", 1, (addresses != 0) | bus.awready)
    within(h, "data are taken", 1, (words != 0) | bus.wready)
    stays(h, "B", bus.bvalid, bus.bready, bus.bresp)
    h.claim("writes are answered OKAY", ~bus.bvalid | (bus.bresp == 0))

    # Constant registers, and addresses without a register.
    address = Signal(14, reset_less=True, name="address")
    with h.m.If(asked):
        h.m.d.sync += address.eq(bus.araddr)
    (identity,) = (register for register in REGISTERS if register.name == "ID")
    at_identity = address[2:] == identity.offset >> 2
    h.claim("ID reads as it must", ~bus.rvalid | ~at_identity | (bus.rdata == hw.MAGIC))
    known = Cat(address[2:] == register.offset >> 2 for register in REGISTERS).any()
    nothing = ~known & (address < hw.LOG_BASE)
    h.claim("what is not there reads 0", ~bus.rvalid | ~nothing | (bus.rdata == 0))
    h.cover("ID is read", bus.rvalid & at_identity)
    h.cover("a write is answered", took)
    return h


def no_side_effects(hw: Any) -> Harness:
    """Two banks, of which one is read and the other is not, until a final read of both."""
    h = Harness(arbitrary=False)
    h.m.submodules.one = one = hw.CsrBank(arch=_ARCH)
    h.m.submodules.other = other = hw.CsrBank(arch=_ARCH)
    h.free_inputs(one)
    same = Signal(name="same")
    with h.m.If(h.free(1, "from_now_on") & one.bus.arready & ~one.bus.arvalid):
        h.m.d.sync += same.eq(1)
    for path, member, value in one.signature.flatten(one):
        counterpart: Any = other
        for key in path:
            counterpart = counterpart[key] if isinstance(key, int) else getattr(counterpart, key)
        value, counterpart = Value.cast(value), Value.cast(counterpart)
        if member.flow == In:
            reads = path[-1] in ("arvalid", "rready")
            h.m.d.comb += counterpart.eq(value & same if reads else value)
        elif path[0] == "bus" and path[-1].startswith(("r", "ar")):
            payload = path[-1] in ("rdata", "rresp")
            look = same & one.bus.rvalid if payload else same
            h.claim(f"the same is read: {path[-1]}", ~look | (value == counterpart))
        else:
            name = "_".join(str(key) for key in path)
            h.claim(f"reads do not change {name}", value == counterpart)
    read = Signal(name="read")
    with h.m.If(one.bus.rvalid & ~same):
        h.m.d.sync += read.eq(1)
    h.cover("a read that only one bank saw, then one of both", read & same & one.bus.rvalid)
    return h
