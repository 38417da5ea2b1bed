"""cocotb: the CSR bank behind cocotbext-axi's AXI4-Lite master, with stalls on every channel."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from penstock.models.spec.regs import (
    CSR_BYTES,
    LOG_BASE,
    LOG_FIELDS,
    MAGIC,
    REGISTERS,
    VERSION,
    ErrorCause,
    offset,
)
from penstock.sim.bench.runner import parameters

__all__ = ["commands_and_interrupt", "every_address", "random_accesses"]

_IN = (
    *("program__complete", "program__bad", "program__fetched", "progress"),
    *("activity__busy", "activity__wait_weights", "activity__wait_bank"),
    *("wait_input", "act_waiting", "wgt_waiting"),
    *("read_beat", "write_beat", "mark"),
)


async def setup(dut: Any, *, stall: bool = True) -> AxiLiteMaster:
    for name in _IN:
        getattr(dut, name).value = 0
    for index in range(4):
        getattr(dut, f"program__done__{index}").value = 0
        for name in ("idle", "error", "expected", "received"):
            getattr(dut, f"dmas__{index}__{name}").value = 0
    Clock(dut.clk, 10, unit="ns").start()
    bus = AxiLiteBus.from_prefix(dut, "bus", bus_separator="__")
    master = AxiLiteMaster(bus, dut.clk, dut.rst)
    if stall:
        channels = (
            master.write_if.aw_channel,
            master.write_if.w_channel,
            master.write_if.b_channel,
            master.read_if.ar_channel,
            master.read_if.r_channel,
        )
        for channel in channels:
            channel.set_pause_generator(_pauses(random.randrange(1 << 30)))
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    return master


def _pauses(seed: int) -> Iterator[bool]:
    rng = random.Random(seed)
    for _ in itertools.count():
        yield rng.random() < 0.4


@cocotb.test()
async def every_address(dut: Any) -> None:
    """Every register has its value after reset, everything else reads 0; all answer OKAY."""
    master = await setup(dut, stall=False)
    fingerprint = parameters()["fingerprint"]
    expected = dict.fromkeys((register.offset for register in REGISTERS), 0)
    expected[offset("ID")] = MAGIC
    expected[offset("VERSION")] = VERSION
    expected[offset("FINGERPRINT_LO")] = fingerprint & 0xFFFF_FFFF
    expected[offset("FINGERPRINT_HI")] = fingerprint >> 32
    log_end = LOG_BASE + parameters()["log_entries"] * len(LOG_FIELDS) * 4
    for address in (*range(0, 0x100, 4), *range(0x100, CSR_BYTES, 0x1FC)):
        if LOG_BASE <= address < log_end:
            continue
        read = await master.read(address, 4)
        assert read.resp == AxiResp.OKAY
        assert int.from_bytes(read.data, "little") == expected.get(address, 0), hex(address)
        written = await master.write(address + 0x100 if address < 0x100 else address, b"\xff" * 4)
        assert written.resp == AxiResp.OKAY


@cocotb.test()
async def random_accesses(dut: Any) -> None:
    """Byte writes to the writable registers, mixed with reads, against a model."""
    master = await setup(dut)
    names = [r.name for r in REGISTERS if r.access == "rw" and not r.fields]
    model = {name: bytearray(4) for name in names}
    for _ in range(120):
        name = random.choice(names)
        if random.random() < 0.5:
            start = random.randrange(4)
            data = random.randbytes(random.randint(1, 4 - start))
            model[name][start : start + len(data)] = data
            written = await master.write(offset(name) + start, data)
            assert written.resp == AxiResp.OKAY
        else:
            read = await master.read(offset(name), 4)
            assert bytes(read.data) == bytes(model[name]), name
    assert int(dut.dmas__0__base.value) == int.from_bytes(model["BASE"], "little")
    assert int(dut.program__desc_count.value) == int.from_bytes(model["DESC_COUNT"], "little")


@cocotb.test()
async def commands_and_interrupt(dut: Any) -> None:
    """Start, done, interrupt; then a timeout with its error."""
    master = await setup(dut)
    for index in range(4):
        getattr(dut, f"dmas__{index}__idle").value = 1

    async def status() -> int:
        return await master.read_dword(offset("STATUS"))

    await master.write_dword(offset("IRQ_ENABLE"), 1)
    await master.write_dword(offset("WATCHDOG"), 100)
    await master.write_dword(offset("CTRL"), 1)
    assert await status() == 1
    dut.progress.value = 1
    await ClockCycles(dut.clk, 200)
    assert await status() == 1
    assert int(dut.irq.value) == 0
    dut.program__complete.value = 1
    await ClockCycles(dut.clk, 5)
    dut.program__complete.value = 0
    assert int(dut.irq.value) == 1
    assert await status() == 2
    await master.write_dword(offset("IRQ_PENDING"), 1)
    await ClockCycles(dut.clk, 3)
    assert int(dut.irq.value) == 0
    dut.progress.value = 0
    await master.write_dword(offset("CTRL"), 1)
    await RisingEdge(dut.irq)
    assert await master.read_dword(offset("ERROR")) == ErrorCause.TIMEOUT
    await ClockCycles(dut.clk, 5)
    assert await status() == 4
