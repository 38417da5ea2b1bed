"""Shared by the tests of hardware blocks in Amaranth's simulator.

Every process takes one port and stalls it at random.  All of them are testbenches, to be added with
``sim.add_testbench(process, background=...)``; `run` does that and stops a hung simulation.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from amaranth import Elaboratable
from amaranth.lib import data
from amaranth.sim import Simulator

__all__ = ["Process", "ReadSlave", "WriteSlave", "collect", "drive", "pass_through", "plain", "run"]

Process = Callable[[Any], Awaitable[None]]


def plain(value: Any) -> Any:
    """Return a sampled payload as an integer, or as a dict of integers for a structure."""
    if isinstance(value, data.Const):
        layout = value.shape()
        if isinstance(layout, data.StructLayout):
            return {name: plain(value[name]) for name in layout.members}
        return [plain(value[k]) for k in range(layout.length)]
    return int(value)


async def drive(
    ctx: Any, port: Any, payloads: Iterable[Any], *, rng: random.Random, stall: float = 0.3
) -> None:
    """Offer `payloads` at a stream's input, idle in a share `stall` of the cycles."""
    for payload in payloads:
        while rng.random() < stall:
            await ctx.tick()
        ctx.set(port.payload, payload)
        ctx.set(port.valid, 1)
        ready = 0
        while not ready:
            _, _, ready = await ctx.tick().sample(port.ready)
        ctx.set(port.valid, 0)


async def collect(
    ctx: Any, port: Any, count: int, *, rng: random.Random, stall: float = 0.3
) -> list[Any]:
    """Take `count` payloads from a stream's output and check that each holds until taken."""
    taken: list[Any] = []
    held = None
    while len(taken) < count:
        ready = rng.random() >= stall
        ctx.set(port.ready, ready)
        _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
        payload = plain(payload)
        assert held is None or (valid and payload == held), "a payload changed before it was taken"
        held = payload if valid and not ready else None
        if valid and ready:
            taken.append(payload)
    ctx.set(port.ready, 0)
    return taken


async def pass_through(
    ctx: Any, lane: Any, inputs: Sequence[Any], rows: Iterable[Sequence[int]]
) -> list[int]:
    """Give a pipelined lane a row of inputs every cycle; return its `y` of each of them."""
    results: list[int] = []
    given = 0
    for row in rows:
        for port, value in zip(inputs, row, strict=True):
            ctx.set(port, int(value))
        given += 1
        await ctx.tick()
        results.append(ctx.get(lane.y))
    for _ in range(lane.LATENCY):
        await ctx.tick()
        results.append(ctx.get(lane.y))
    return results[lane.LATENCY - 1 :][:given]


def run(
    dut: Elaboratable,
    *processes: Process,
    background: Iterable[Process] = (),
    cycles: int = 20_000,
    waves: str | None = None,
) -> None:
    """Simulate `dut` until all `processes` have ended; `background` ones may run for ever.

    Raises
    ------
    TimeoutError
        If they have not ended after `cycles`.
    """
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    left = len(processes)
    failures: list[BaseException] = []

    def guarded(process: Process) -> Process:
        async def body(ctx: Any) -> None:
            nonlocal left
            try:
                await process(ctx)
            except Exception as error:
                failures.append(error)
            left -= 1

        return body

    async def watchdog(ctx: Any) -> None:
        for _ in range(cycles):
            await ctx.tick()
            if not left or failures:
                return
        raise TimeoutError(f"{left} processes still wait after {cycles} cycles")

    for process in (*background, *processes):
        sim.add_testbench(guarded(process), background=True)
    sim.add_testbench(watchdog)
    if waves is None:
        sim.run()
    else:
        with sim.write_vcd(waves):
            sim.run()
    if failures:
        raise failures[0]


class _Slave:
    """Common to both directions of a memory: bursts and their rules."""

    def __init__(
        self,
        bus: Any,
        memory: bytearray,
        *,
        rng: random.Random,
        latency: int = 8,
        stall: float = 0.2,
        fault: tuple[int, int] | None = None,
        mute: int | None = None,
    ) -> None:
        self.bus = bus
        self.memory = memory
        self.rng = rng
        self.latency = latency
        self.stall = stall
        self.fault = fault
        self.mute = mute
        self.bursts: list[tuple[int, int]] = []
        self.beats = 0
        self.outstanding = 0
        self.max_outstanding = 0
        self._held: tuple[int, ...] | None = None

    def _address(self, values: tuple[int, ...], taken: bool) -> tuple[int, int] | None:
        """Check one cycle of the address channel; return address and beats of a taken burst."""
        valid, address, length, size, burst, ident = values
        if self._held is not None:
            assert values == self._held, "an address changed before it was taken"
        self._held = values if valid and not taken else None
        if not (valid and taken):
            return None
        beats = length + 1
        assert (size, burst, ident) == (3, 1, 0)
        assert beats <= 16
        assert address % 8 == 0
        assert address // 4096 == (address + beats * 8 - 1) // 4096, "a burst crosses 4 KiB"
        assert address + beats * 8 <= len(self.memory), "a burst leaves memory"
        self.bursts.append((address, beats))
        self.outstanding += 1
        self.max_outstanding = max(self.max_outstanding, self.outstanding)
        return address, beats

    def _response(self, beat: int) -> int:
        if self.fault is None:
            return 0
        at, response = self.fault
        if beat == at:
            return response
        # OKAY before it; after it other errors as well, which are not the first.
        return beat % 2 if beat < at else beat % 4


class ReadSlave(_Slave):
    """A memory behind an `axi_read` port; the instance's `process` serves it for ever.

    Parameters
    ----------
    bus : interface of axi_read()
        The master's port.
    memory : bytearray
    rng : random.Random
    latency : int
        Cycles from an address to its first beat; bursts overlap.
    stall : float
        Share of cycles in which a channel is not ready, or has no beat.
    fault : (int, int) or None
        A beat's index and the response it gets: the first error, not the only one.
    mute : int or None
        Beats after which no more come.

    Attributes
    ----------
    bursts : list of (address, beats)
    max_outstanding : int
        Most bursts in flight at once.
    """

    async def process(self, ctx: Any) -> None:
        bus = self.bus
        now = 0
        queue: deque[tuple[int, int, bool]] = deque()  # due cycle, address, last
        offered = False
        while True:
            ready = self.rng.random() >= self.stall
            ctx.set(bus.arready, ready)
            muted = self.mute is not None and self.beats >= self.mute
            due = bool(queue) and queue[0][0] <= now and not muted
            offered = due and (offered or self.rng.random() >= self.stall)
            ctx.set(bus.rvalid, offered)
            if offered:
                _, address, last = queue[0]
                ctx.set(bus.rdata, int.from_bytes(self.memory[address : address + 8], "little"))
                ctx.set(bus.rlast, last)
                ctx.set(bus.rresp, self._response(self.beats))
            _, _, rready, *values = await ctx.tick().sample(
                bus.rready, bus.arvalid, bus.araddr, bus.arlen, bus.arsize, bus.arburst, bus.arid
            )
            if offered and rready:
                self.beats += 1
                self.outstanding -= queue.popleft()[2]
                offered = False
            burst = self._address(tuple(values), ready)
            if burst is not None:
                for k in range(burst[1]):
                    queue.append((now + self.latency, burst[0] + 8 * k, k == burst[1] - 1))
            now += 1


class WriteSlave(_Slave):
    """A memory behind an `axi_write` port; parameters and attributes as in `ReadSlave`.

    ``fault`` and ``mute`` count bursts: the index of the acknowledgement with another response, and
    the number of acknowledgements after which no more come.  `latency` is from a burst's last beat
    to its acknowledgement.
    """

    async def process(self, ctx: Any) -> None:
        bus = self.bus
        now = 0
        beats: deque[tuple[int, bool]] = deque()  # address, last
        acks: deque[int] = deque()  # due cycle
        held: tuple[int, ...] | None = None
        done = 0
        offered = False
        while True:
            ready = self.rng.random() >= self.stall
            ctx.set(bus.awready, ready)
            wready = bool(beats) and self.rng.random() >= self.stall
            ctx.set(bus.wready, wready)
            muted = self.mute is not None and done >= self.mute
            due = bool(acks) and acks[0] <= now and not muted
            offered = due and (offered or self.rng.random() >= self.stall)
            ctx.set(bus.bvalid, offered)
            ctx.set(bus.bresp, self._response(done))
            _, _, bready, wvalid, wdata, wstrb, wlast, *values = await ctx.tick().sample(
                *(bus.bready, bus.wvalid, bus.wdata, bus.wstrb, bus.wlast, bus.awvalid),
                *(bus.awaddr, bus.awlen, bus.awsize, bus.awburst, bus.awid),
            )
            if offered and bready:
                acks.popleft()
                done += 1
                self.outstanding -= 1
                offered = False
            beat = (wvalid, wdata, wstrb, wlast)
            assert held is None or beat == held, "a beat changed before it was taken"
            held = beat if wvalid and not wready else None
            if wvalid and wready:
                address, last = beats.popleft()
                assert wlast == last, "wlast is wrong"
                for k in range(8):
                    if wstrb >> k & 1:
                        self.memory[address + k] = wdata >> 8 * k & 0xFF
                self.beats += 1
                if last:
                    acks.append(now + self.latency)
            burst = self._address(tuple(values), ready)
            if burst is not None:
                for k in range(burst[1]):
                    beats.append((burst[0] + 8 * k, k == burst[1] - 1))
            now += 1
