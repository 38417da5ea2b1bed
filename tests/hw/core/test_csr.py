"""The CSR bank in Amaranth's simulator, and against cocotbext-axi."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.hw.core.csr import CsrBank
from penstock.models.spec.arch import get_arch
from penstock.models.spec.regs import (
    DONE_COUNTS,
    ERROR_SOURCES,
    LOG_BASE,
    LOG_FIELDS,
    MAGIC,
    REGISTERS,
    VERSION,
    ErrorCause,
    offset,
)
from penstock.sim.bench import runner
from tests.support.hwsim import run

ARCH = get_arch("tiny")
START, RESET = 1, 2
BUSY, DONE, ERROR, RESETTING = 1, 2, 4, 8


async def write(ctx: Any, dut: CsrBank, address: int, data: int, strobe: int = 15) -> None:
    bus = dut.bus
    ctx.set(bus.awaddr, address)
    ctx.set(bus.wdata, data)
    ctx.set(bus.wstrb, strobe)
    ctx.set(bus.awvalid, 1)
    ctx.set(bus.wvalid, 1)
    ctx.set(bus.bready, 1)
    await ctx.tick().until(bus.awready & bus.wready)
    ctx.set(bus.awvalid, 0)
    ctx.set(bus.wvalid, 0)
    _, response = await ctx.tick().sample(bus.bresp).until(bus.bvalid), 0
    ctx.set(bus.bready, 0)
    assert ctx.get(bus.bresp) == response


async def read(ctx: Any, dut: CsrBank, address: int) -> int:
    bus = dut.bus
    ctx.set(bus.araddr, address)
    ctx.set(bus.arvalid, 1)
    await ctx.tick().until(bus.arready)
    ctx.set(bus.arvalid, 0)
    ctx.set(bus.rready, 1)
    (data,) = await ctx.tick().sample(bus.rdata).until(bus.rvalid)
    ctx.set(bus.rready, 0)
    return int(data)


async def command(ctx: Any, dut: CsrBank, bits: int) -> None:
    await write(ctx, dut, offset("CTRL"), bits)


async def until_run(ctx: Any, dut: CsrBank) -> None:
    await command(ctx, dut, START)
    await ctx.tick().repeat(6)


def set_idle(ctx: Any, dut: CsrBank) -> None:
    """Let no DMA have anything under way."""
    for dma in dut.dmas:
        ctx.set(dma.idle, 1)


def simulate(process: Callable[[Any, CsrBank], Any]) -> None:
    dut = CsrBank(arch=ARCH)

    async def testbench(ctx: Any) -> None:
        await process(ctx, dut)

    run(dut, testbench, cycles=5000)


def test_identity_and_writable_registers() -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        assert await read(ctx, dut, offset("ID")) == MAGIC
        assert await read(ctx, dut, offset("VERSION")) == VERSION
        low = await read(ctx, dut, offset("FINGERPRINT_LO"))
        high = await read(ctx, dut, offset("FINGERPRINT_HI"))
        assert low | high << 32 == ARCH.fingerprint
        for index, register in enumerate(REGISTERS):
            await write(ctx, dut, register.offset, 0xFFFF_FF00 + index)
            value = await read(ctx, dut, register.offset)
            if register.access == "rw" and not register.fields:
                assert value == 0xFFFF_FF00 + index, register.name
            elif register.name not in ("ID", "VERSION", "FINGERPRINT_LO", "FINGERPRINT_HI"):
                assert value in (0, 1, RESETTING), register.name
        await write(ctx, dut, offset("BASE"), 0x1122_3344)
        await write(ctx, dut, offset("BASE"), 0xAABB_CCDD, strobe=0b0101)
        assert await read(ctx, dut, offset("BASE")) == 0x11BB_33DD
        assert [ctx.get(dma.base) for dma in dut.dmas] == [0x11BB_33DD] * 4
        for address in (0x3C, 0xB0, 0x1000, 0x3FFC):
            await write(ctx, dut, address, 0xFFFF_FFFF)
            assert await read(ctx, dut, address) == 0

    simulate(process)


def test_cycles_of_a_write() -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        bus = dut.bus
        ctx.set(bus.wstrb, 15)
        ctx.set(bus.bready, 1)

        async def follow(name: str, data: int, *members: Any) -> list[tuple[int, ...]]:
            """Write a register; return members from the cycle in which the bus accepts it."""
            ctx.set(bus.awaddr, offset(name))
            ctx.set(bus.wdata, data)
            ctx.set(bus.awvalid, 1)
            ctx.set(bus.wvalid, 1)
            seen = []
            for _ in range(8):
                seen.append(tuple(ctx.get(member) for member in members))
                await ctx.tick()
                ctx.set(bus.awvalid, 0)
                ctx.set(bus.wvalid, 0)
            return seen

        assert await follow("BASE", 7, dut.dmas[1].base, bus.bvalid) == [
            # Each DMA has a register of its own behind it.
            *[(0, 0), (0, 0), (0, 0), (0, 1), (0, 0)],
            *[(7, 0)] * 3,
        ]
        # The command is a register; then the run's own steps begin.
        assert await follow("CTRL", START, dut.busy, dut.core_reset, dut.program.start) == [
            *[(0, 0, 0)] * 5,
            *[(1, 1, 0), (1, 0, 1), (1, 0, 0)],
        ]
        await follow("IRQ_ENABLE", 1)
        # The run's end: done and its event, then pending, then the line.
        ctx.set(dut.program.complete, 1)
        seen = []
        for _ in range(5):
            seen.append((ctx.get(dut.busy), ctx.get(dut.irq)))
            await ctx.tick()
        assert seen == [(1, 0), (0, 0), (0, 0), (0, 1), (0, 1)]
        assert await follow("IRQ_PENDING", 1, dut.irq) == [*[(1,)] * 5, *[(0,)] * 3]

    simulate(process)


@pytest.mark.parametrize("name", ["DESC_FETCHED", "ACT_RECEIVED"])
def test_cycles_of_a_read(name: str) -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        bus = dut.bus
        source = dut.program.fetched if name == "DESC_FETCHED" else dut.dmas[2].received
        await until_run(ctx, dut)
        ctx.set(bus.araddr, offset(name))
        ctx.set(bus.arvalid, 1)
        ctx.set(bus.rready, 1)
        seen = []
        for cycle in range(8):
            # During a run, the register follows a cycle later.
            ctx.set(source, 100 + cycle)
            seen.append((ctx.get(bus.rvalid), ctx.get(bus.rdata) if ctx.get(bus.rvalid) else None))
            await ctx.tick()
            ctx.set(bus.arvalid, 0)
        assert seen == [(0, None)] * 5 + [(1, 101)] + [(0, None)] * 2

    simulate(process)


def test_address_and_data_may_come_in_any_order() -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        bus = dut.bus
        for value, first in ((0x1234, "aw"), (0x5678, "w")):
            ctx.set(bus.awaddr, offset("DESC_ADDR"))
            ctx.set(bus.wdata, value)
            ctx.set(bus.wstrb, 15)
            for channel in (first, "w" if first == "aw" else "aw"):
                assert ctx.get(bus.bvalid) == 0
                ctx.set(getattr(bus, f"{channel}valid"), 1)
                await ctx.tick().until(getattr(bus, f"{channel}ready"))
                ctx.set(getattr(bus, f"{channel}valid"), 0)
                await ctx.tick().repeat(3)
            # The response waits until it is taken.
            assert ctx.get(bus.bvalid) == 1
            ctx.set(bus.bready, 1)
            await ctx.tick()
            ctx.set(bus.bready, 0)
            assert ctx.get(bus.bvalid) == 0
            assert await read(ctx, dut, offset("DESC_ADDR")) == value

    simulate(process)


def test_run_done_and_interrupt() -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        set_idle(ctx, dut)
        # The sequencer still shows the end of the previous run.
        ctx.set(dut.program.complete, 1)
        await write(ctx, dut, offset("IRQ_ENABLE"), 1)
        await command(ctx, dut, START)
        seen = []
        for _ in range(8):
            seen.append((ctx.get(dut.core_reset), ctx.get(dut.program.start)))
            if ctx.get(dut.core_reset):
                ctx.set(dut.program.complete, 0)
            await ctx.tick()
        assert seen.count((1, 0)) == 1 and seen.count((0, 1)) == 1
        assert seen.index((0, 1)) == seen.index((1, 0)) + 1
        assert await read(ctx, dut, offset("STATUS")) == BUSY
        assert ctx.get(dut.irq) == 0
        # A start while busy changes nothing.
        await command(ctx, dut, START)
        for _ in range(5):
            assert ctx.get(dut.core_reset) == 0
            await ctx.tick()
        for index in range(len(ERROR_SOURCES)):
            ctx.set(dut.dmas[index].expected, 100 + index)
            ctx.set(dut.dmas[index].received, 200 + index)
        for index in range(len(DONE_COUNTS)):
            ctx.set(dut.program.done[index], 300 + index)
        ctx.set(dut.program.fetched, 17)
        ctx.set(dut.program.complete, 1)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.irq) == 1
        assert await read(ctx, dut, offset("STATUS")) == DONE
        assert await read(ctx, dut, offset("IRQ_PENDING")) == 1
        await write(ctx, dut, offset("IRQ_PENDING"), 0)
        assert ctx.get(dut.irq) == 1
        await write(ctx, dut, offset("IRQ_PENDING"), 1)
        await ctx.tick()
        assert ctx.get(dut.irq) == 0
        # Diagnostics keep their values when the core clears its own.
        counts = (count for dma in dut.dmas for count in (dma.expected, dma.received))
        for signal in (*counts, *dut.program.done, dut.program.fetched):
            ctx.set(signal, 0)
        for index, port in enumerate(ERROR_SOURCES):
            assert await read(ctx, dut, offset(f"{port.upper()}_EXPECTED")) == 100 + index
            assert await read(ctx, dut, offset(f"{port.upper()}_RECEIVED")) == 200 + index
        for index, engine in enumerate(DONE_COUNTS):
            assert await read(ctx, dut, offset(f"{engine}_DONE")) == 300 + index
        assert await read(ctx, dut, offset("DESC_FETCHED")) == 17

    simulate(process)


@pytest.mark.parametrize("index", range(len(ERROR_SOURCES)))
@pytest.mark.parametrize(("response", "cause"), [(2, ErrorCause.SLVERR), (3, ErrorCause.DECERR)])
def test_port_error(index: int, response: int, cause: ErrorCause) -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        await until_run(ctx, dut)
        ctx.set(dut.dmas[index].received, 5)
        ctx.set(dut.dmas[index].error, response)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.dmas[index].halt) == 1
        # Reported although a burst is still outstanding.
        assert await read(ctx, dut, offset("STATUS")) == ERROR | RESETTING
        assert await read(ctx, dut, offset("ERROR")) == cause | index << 8
        ctx.set(dut.dmas[index].received, 6)
        await command(ctx, dut, START)
        assert await read(ctx, dut, offset("STATUS")) == ERROR | RESETTING
        set_idle(ctx, dut)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.core_reset) == 1 and ctx.get(dut.dmas[index].halt) == 1
        ctx.set(dut.dmas[index].error, 0)
        ctx.set(dut.dmas[index].received, 0)
        await ctx.tick()
        assert ctx.get(dut.core_reset) == 0 and ctx.get(dut.dmas[index].halt) == 0
        assert await read(ctx, dut, offset("STATUS")) == ERROR
        assert await read(ctx, dut, offset(f"{ERROR_SOURCES[index].upper()}_RECEIVED")) == 5
        await until_run(ctx, dut)
        assert await read(ctx, dut, offset("STATUS")) == BUSY
        assert await read(ctx, dut, offset("ERROR")) == 0

    simulate(process)


def test_leds() -> None:
    """`busy` and `error` are the register STATUS, in every state."""

    async def process(ctx: Any, dut: CsrBank) -> None:
        async def leds() -> tuple[int, int]:
            status = await read(ctx, dut, offset("STATUS"))
            assert (ctx.get(dut.busy), ctx.get(dut.error)) == (status & BUSY, status >> 2 & 1)
            return ctx.get(dut.busy), ctx.get(dut.error)

        set_idle(ctx, dut)
        assert await leds() == (0, 0)
        await until_run(ctx, dut)
        assert await leds() == (1, 0)
        ctx.set(dut.dmas[2].error, 2)
        await ctx.tick().until(dut.core_reset)
        ctx.set(dut.dmas[2].error, 0)
        await ctx.tick().repeat(3)
        assert await leds() == (0, 1)
        await until_run(ctx, dut)
        assert await leds() == (1, 0)
        ctx.set(dut.program.complete, 1)
        await ctx.tick().repeat(3)
        assert await leds() == (0, 0)
        assert await read(ctx, dut, offset("STATUS")) == DONE

    simulate(process)


def test_bad_descriptor() -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        set_idle(ctx, dut)
        await until_run(ctx, dut)
        ctx.set(dut.program.fetched, 3)
        ctx.set(dut.program.bad, 1)
        await ctx.tick().until(dut.core_reset)
        ctx.set(dut.program.bad, 0)
        assert await read(ctx, dut, offset("STATUS")) == ERROR
        assert await read(ctx, dut, offset("ERROR")) == ErrorCause.BAD_DESCRIPTOR
        assert await read(ctx, dut, offset("DESC_FETCHED")) == 3
        assert await read(ctx, dut, offset("IRQ_PENDING")) == 1

    simulate(process)


def test_watchdog() -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        set_idle(ctx, dut)
        await write(ctx, dut, offset("WATCHDOG"), 20)
        await until_run(ctx, dut)
        for _ in range(3):
            await ctx.tick().repeat(15)
            ctx.set(dut.progress, 1)
            await ctx.tick()
            ctx.set(dut.progress, 0)
        assert await read(ctx, dut, offset("STATUS")) == BUSY
        await ctx.tick().repeat(25)
        assert await read(ctx, dut, offset("STATUS")) == ERROR
        assert await read(ctx, dut, offset("ERROR")) == ErrorCause.TIMEOUT
        # 0 switches it off.
        await write(ctx, dut, offset("WATCHDOG"), 0)
        await until_run(ctx, dut)
        await ctx.tick().repeat(60)
        assert await read(ctx, dut, offset("STATUS")) == BUSY

    simulate(process)


def test_soft_reset() -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        await write(ctx, dut, offset("BASE"), 0x4000)
        await until_run(ctx, dut)
        await command(ctx, dut, RESET | START)
        assert await read(ctx, dut, offset("STATUS")) == RESETTING
        await ctx.tick().repeat(20)
        assert ctx.get(dut.dmas[0].halt) == 1
        set_idle(ctx, dut)
        await ctx.tick().until(dut.core_reset)
        await ctx.tick().repeat(2)
        assert await read(ctx, dut, offset("STATUS")) == 0
        assert await read(ctx, dut, offset("IRQ_PENDING")) == 0
        assert await read(ctx, dut, offset("BASE")) == 0x4000
        # It clears an error, too, and a run can follow.
        await until_run(ctx, dut)
        ctx.set(dut.program.bad, 1)
        await ctx.tick().until(dut.core_reset)
        ctx.set(dut.program.bad, 0)
        await command(ctx, dut, RESET)
        await ctx.tick().repeat(4)
        assert await read(ctx, dut, offset("STATUS")) == 0
        assert await read(ctx, dut, offset("ERROR")) == 0
        await until_run(ctx, dut)
        assert await read(ctx, dut, offset("STATUS")) == BUSY

    simulate(process)


async def entry(ctx: Any, dut: CsrBank, index: int) -> dict[str, int]:
    size = 4 * len(LOG_FIELDS)
    return {
        name: await read(ctx, dut, LOG_BASE + index * size + 4 * word)
        for word, (name, _) in enumerate(LOG_FIELDS)
    }


def test_counters_and_layer_log() -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        set_idle(ctx, dut)
        for _ in range(2):
            await until_run(ctx, dut)
            for signal, cycles in (
                ((dut.activity.busy, dut.wait_input), 7),
                ((dut.wait_input,), 3),
                ((dut.wait_input, dut.act_waiting), 4),
                ((dut.activity.wait_weights, dut.act_waiting), 5),
                ((dut.activity.wait_weights, dut.wgt_waiting), 6),
                ((dut.activity.wait_bank, dut.wgt_waiting), 2),
                ((dut.act_waiting, dut.wgt_waiting), 1),
            ):
                for member in signal:
                    ctx.set(member, 1)
                await ctx.tick().repeat(cycles)
                for member in signal:
                    ctx.set(member, 0)
            for beats in (0b111, 0b101, 0b010):
                ctx.set(dut.read_beat, beats)
                await ctx.tick()
            ctx.set(dut.read_beat, 0)
            ctx.set(dut.write_beat, 1)
            await ctx.tick().repeat(2)
            ctx.set(dut.write_beat, 0)
            # An event in the cycle of the mark belongs to the entry; one after it does not.
            ctx.set(dut.mark, 1)
            ctx.set(dut.activity.busy, 1)
            await ctx.tick()
            ctx.set(dut.mark, 0)
            await ctx.tick()
            ctx.set(dut.activity.busy, 0)
            ctx.set(dut.mark, 1)
            await ctx.tick()
            ctx.set(dut.mark, 0)
            ctx.set(dut.program.complete, 1)
            await ctx.tick().repeat(1)
            # Done waits for the two entries.
            assert await read(ctx, dut, offset("STATUS")) == BUSY
            await ctx.tick().repeat(20)
            ctx.set(dut.program.complete, 0)
            assert await read(ctx, dut, offset("STATUS")) == DONE
            # Nothing counts after done.
            ctx.set(dut.read_beat, 7)
            ctx.set(dut.mark, 1)
            await ctx.tick().repeat(3)
            ctx.set(dut.read_beat, 0)
            ctx.set(dut.mark, 0)
            assert await read(ctx, dut, offset("LOG_COUNT")) == 2
            first, second = await entry(ctx, dut, 0), await entry(ctx, dut, 1)
            cycles = first.pop("cycles")
            assert first == {
                "busy": 8,
                "stall_input": 7,
                "stall_weights": 11,
                "stall_output": 2,
                "stall_memory": 10,
                "read_beats": 6,
                "write_beats": 2,
            }
            assert second["busy"] == 9
            assert cycles < second["cycles"] <= cycles + 16
            totals = {name: await read(ctx, dut, offset(name.upper())) for name, _ in LOG_FIELDS}
            assert totals["cycles"] > second["cycles"]
            assert totals["read_beats"] == 6 and totals["busy"] == 9
            assert await entry(ctx, dut, ARCH.log_entries) == dict.fromkeys(totals, 0)

    simulate(process)


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_bus_in_cocotb(simulator: str) -> None:
    runner.run(
        CsrBank(arch=ARCH),
        "penstock.sim.bench.csr",
        simulator=simulator,
        parameters={"fingerprint": ARCH.fingerprint, "log_entries": ARCH.log_entries},
    )


def test_an_interrupt_that_is_masked_goes_down_and_stays_pending() -> None:
    async def process(ctx: Any, dut: CsrBank) -> None:
        set_idle(ctx, dut)
        await write(ctx, dut, offset("IRQ_ENABLE"), 1)
        await command(ctx, dut, START)
        await ctx.tick().repeat(8)
        ctx.set(dut.program.complete, 1)
        await ctx.tick().repeat(4)
        for enabled in (1, 0, 1, 0):
            await write(ctx, dut, offset("IRQ_ENABLE"), enabled)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.irq) == enabled
            assert await read(ctx, dut, offset("IRQ_PENDING")) == 1

    simulate(process)
