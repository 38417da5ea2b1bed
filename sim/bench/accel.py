"""cocotb: run one program on the whole core, with cocotbext-axi as host and memory.

`sim.bench.simulate` prepares the files this bench reads and writes.  The memory around the arena is
filled with a guard byte that must survive, and every bus channel stalls at random.
"""

from __future__ import annotations

import itertools
import json
import mmap
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiRamRead,
    AxiRamWrite,
    AxiReadBus,
    AxiWriteBus,
)

from penstock.models.spec.memory import PAGE_BYTES
from penstock.models.spec.regs import LOG_BASE, LOG_FIELDS, MAGIC, ErrorCause, field, offset
from penstock.sim.bench.runner import parameters

__all__ = ["run_program"]

_GUARD = 0xC3
_DONE = field("STATUS", "done").mask


@cocotb.test()
async def run_program(dut: Any) -> None:
    settings = parameters()
    arena = Path(settings["arena"]).read_bytes()
    # The arena lies between pages of guard bytes, and not at address 0.
    base = PAGE_BYTES
    size = base + -(-len(arena) // PAGE_BYTES) * PAGE_BYTES + PAGE_BYTES
    memory = mmap.mmap(-1, size)
    memory[:] = bytes([_GUARD]) * size
    memory[base : base + len(arena)] = arena

    Clock(dut.clk, 10, unit="ns").start()
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "csr", bus_separator="__"), dut.clk, dut.rst)
    ports = []
    for name in ("m_desc", "m_wgt", "m_act"):
        bus = AxiReadBus.from_prefix(dut, name, bus_separator="__")
        port = AxiRamRead(bus, dut.clk, dut.rst, size=size, mem=memory)
        ports += [port.ar_channel, port.r_channel]
    bus = AxiWriteBus.from_prefix(dut, "m_out", bus_separator="__")
    write = AxiRamWrite(bus, dut.clk, dut.rst, size=size, mem=memory)
    ports += [write.aw_channel, write.w_channel, write.b_channel]
    for channel in ports:
        channel.set_pause_generator(_pauses(random.randrange(1 << 30)))
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await RisingEdge(dut.clk)

    async def read(name: str) -> int:
        return int(await master.read_dword(offset(name)))

    assert await read("ID") == MAGIC
    low, high = await read("FINGERPRINT_LO"), await read("FINGERPRINT_HI")
    assert low | high << 32 == settings["fingerprint"], "the core is of another arch"
    for name, value in (
        ("BASE", base),
        ("DESC_ADDR", settings["desc_offset"]),
        ("DESC_COUNT", settings["desc_count"]),
        ("WATCHDOG", 2000),
        ("IRQ_ENABLE", 1),
        ("CTRL", 1),
    ):
        await master.write_dword(offset(name), value)
    await First(RisingEdge(dut.irq), ClockCycles(dut.clk, settings["limit"]))
    status, error = await read("STATUS"), await read("ERROR")
    cause = ErrorCause(error & 0xFF).name
    assert status == _DONE, f"status {status:#x}, error {cause} of port {error >> 8}"

    entries = []
    for entry in range(await read("LOG_COUNT")):
        start = LOG_BASE + entry * 4 * len(LOG_FIELDS)
        words = [await master.read_dword(start + 4 * word) for word in range(len(LOG_FIELDS))]
        entries.append({name: int(word) for (name, _), word in zip(LOG_FIELDS, words)})
    totals = {name: await read(name.upper()) for name, _ in LOG_FIELDS}
    after = bytes(memory[:])
    outside = after[:base] + after[base + len(arena) :]
    assert outside == bytes([_GUARD]) * len(outside), "bytes outside the arena were written"
    Path(settings["memory"]).write_bytes(after[base : base + len(arena)])
    Path(settings["result"]).write_text(json.dumps({"entries": entries, "totals": totals}))


def _pauses(seed: int) -> Iterator[bool]:
    rng = random.Random(seed)
    for _ in itertools.count():
        yield rng.random() < 0.1
