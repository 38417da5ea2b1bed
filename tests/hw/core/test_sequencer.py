# amaranth: UnusedElaboratable=no
"""The sequencer: order, waits, completion and bad descriptors, with slow engines."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib.wiring import connect

from penstock.hw.bus.dma import ReadDma
from penstock.hw.core.fetch import limits
from penstock.hw.core.sequencer import COUNTED, Gate, Sequencer
from penstock.models.spec.arch import ARCHES, Arch, get_arch
from penstock.models.spec.isa import (
    CHECK_BYTES,
    DESCRIPTOR_BYTES,
    ENGINE_WAITS,
    FIELDS,
    Op,
    decode,
    encode,
    seal,
)
from tests.support.hwsim import ReadSlave, plain, run

ARCH = ARCHES["tiny"]
# Without queues, checksums are made a byte at a time.
NARROW = replace(ARCH, queue_depth=0)
BASE, OFFSET = 4096, 128
MEMORY = 5 * 4096
BODY = DESCRIPTOR_BYTES - CHECK_BYTES


def random_fields(rng: random.Random, op: Op, before: dict[Op, int]) -> dict[str, int]:
    """Fields within the limits, with waits for some of the descriptors `before` this one."""
    fields = {}
    for field in FIELDS[op][1:]:
        low, high = limits(ARCH)[op].get(field.name, (0, None))
        top = (1 << field.width - field.signed) - 1
        fields[field.name] = rng.randint(low, top if high is None else high)
        if field.signed:
            fields[field.name] = rng.randint(-top - 1, top)
    for wait in ENGINE_WAITS[op]:
        fields[f"wait_{wait.name.lower()}"] = max(0, before[wait] - rng.randrange(4))
    return fields


def random_program(rng: random.Random, count: int) -> list[tuple[Op, dict[str, int]]]:
    before = dict.fromkeys(Op, 0)
    program = []
    for _ in range(count):
        op = rng.choice(list(Op))
        program.append((op, random_fields(rng, op, before)))
        before[op] += 1
    return program


class Bench:
    """A sequencer with its DMA, a program in memory, and engines."""

    def __init__(
        self, image: bytes, rng: random.Random, *, arch: Arch = ARCH, **slave: Any
    ) -> None:
        self.rng = rng
        self.module = m = Module()
        m.submodules.dut = self.dut = dut = Sequencer(arch=arch)
        m.submodules.dma = self.dma = dma = ReadDma(depth=64)
        connect(m, dut.cmd, dma.cmd)
        connect(m, dma.o, dut.data)
        m.d.comb += [dma.control.base.eq(BASE), dut.program.desc_addr.eq(OFFSET)]
        memory = bytearray(rng.randbytes(MEMORY))
        memory[BASE + OFFSET : BASE + OFFSET + len(image)] = image
        self.slave = ReadSlave(dma.bus, memory, rng=rng, latency=10, stall=0.1, **slave)
        self.taken: dict[Op, list[dict[str, int]]] = {op: [] for op in Op}
        self.completed = dict.fromkeys(Op, 0)

    async def engines(self, ctx: Any) -> None:
        """Take descriptors, check their waits, complete them one by one some time later."""
        ports = self.dut.engines
        while True:
            ready = {op: self.rng.random() < 0.5 for op in Op}
            done = {
                op: self.completed[op] < len(self.taken[op]) and self.rng.random() < 0.1
                for op in Op
            }
            for op in Op:
                ctx.set(ports[op].ready, ready[op])
                ctx.set(self.dut.done[op], done[op])
            sampled = [port.valid for port in ports.values()]
            sampled += [port.payload for port in ports.values()]
            _, _, *values = await ctx.tick().sample(*sampled)
            for index, op in enumerate(Op):
                if values[index] and ready[op]:
                    fields = plain(values[len(Op) + index])
                    assert fields.pop("op") == op
                    for wait in ENGINE_WAITS[op]:
                        assert self.completed[wait] >= fields[f"wait_{wait.name.lower()}"]
                    self.taken[op].append(fields)
            for op in Op:
                self.completed[op] += done[op]

    async def start(self, ctx: Any, count: int) -> None:
        ctx.set(self.dut.program.desc_count, count)
        await ctx.tick()
        ctx.set(self.dut.program.start, 1)
        await ctx.tick()
        ctx.set(self.dut.program.start, 0)

    def run(self, *processes: Any) -> None:
        run(self.module, *processes, background=[self.slave.process, self.engines])


def test_checksums_are_narrow_without_queues() -> None:
    assert (ARCH.check_bits, NARROW.check_bits) == (64, 8)


@pytest.mark.parametrize("arch", [ARCH, NARROW], ids=["beats", "bytes"])
@pytest.mark.parametrize("seed", range(3))
def test_runs_a_program(seed: int, arch: Arch) -> None:
    rng = random.Random(seed)
    program = random_program(rng, 60)
    bench = Bench(b"".join(encode(op, fields) for op, fields in program), rng, arch=arch)
    dut = bench.dut

    async def watch(ctx: Any) -> None:
        await bench.start(ctx, len(program))
        complete = 0
        while not complete:
            _, _, complete, bad = await ctx.tick().sample(dut.program.complete, dut.program.bad)
            assert not bad
            if complete:
                assert sum(bench.completed.values()) == len(program)
        assert ctx.get(dut.program.fetched) == len(program)
        for op in COUNTED:
            assert ctx.get(dut.count[op]) == bench.completed[op]
        for op in Op:
            assert bench.taken[op] == [fields for which, fields in program if which == op]
        await ctx.tick().repeat(20)
        assert ctx.get(dut.program.complete) == 1

    bench.run(watch)
    assert sum(beats for _, beats in bench.slave.bursts) == 8 * len(program)


def test_no_descriptors_complete_at_once() -> None:
    bench = Bench(b"", random.Random(1))

    async def watch(ctx: Any) -> None:
        await ctx.tick().repeat(5)
        assert ctx.get(bench.dut.program.complete) == 0
        await bench.start(ctx, 0)
        await ctx.tick().repeat(3)
        assert ctx.get(bench.dut.program.complete) == 1
        assert ctx.get(bench.dut.program.bad) == 0
        await ctx.tick().repeat(20)

    bench.run(watch)
    assert bench.slave.bursts == []


def bad_descriptors() -> list[Any]:
    """Descriptors beyond each limit of each field, with invalid opcodes, and damaged ones."""
    rng = random.Random(7)
    cases = [
        pytest.param(seal(bytes([op]) + rng.randbytes(BODY - 1)), id=f"op-{op}")
        for op in (0, 6, 255)
    ]
    whole = encode(Op.CONV, random_fields(rng, Op.CONV, dict.fromkeys(Op, 0)))
    for bit in (0, 100, 479, 480, 511):
        flipped = int.from_bytes(whole, "little") ^ 1 << bit
        image = flipped.to_bytes(DESCRIPTOR_BYTES, "little")
        cases.append(pytest.param(image, id=f"bit-{bit}"))
    for op, fields in limits(ARCH).items():
        good = random_fields(rng, op, dict.fromkeys(Op, 0))
        widths = {field.name: field.width for field in FIELDS[op]}
        for name, (low, high) in fields.items():
            for value in (low - 1,) if high is None else (low - 1, high + 1):
                if 0 <= value < 1 << widths[name]:
                    image = encode(op, {**good, name: value})
                    cases.append(pytest.param(image, id=f"{op.name}-{name}-{value}"))
    return cases


@pytest.mark.parametrize("arch", [ARCH, NARROW], ids=["beats", "bytes"])
@pytest.mark.parametrize("bad", bad_descriptors())
def test_stops_at_a_bad_descriptor(bad: bytes, arch: Arch) -> None:
    rng = random.Random(11)
    program = random_program(rng, 4)
    image = b"".join(encode(op, fields) for op, fields in program)
    bench = Bench(image[:128] + bad + image[128:], rng, arch=arch)
    dut = bench.dut

    async def watch(ctx: Any) -> None:
        await bench.start(ctx, 5)
        await ctx.tick().until(dut.program.bad)
        await ctx.tick().repeat(100)
        assert ctx.get(dut.program.fetched) == 3
        assert ctx.get(dut.program.bad) == 1
        assert ctx.get(dut.program.complete) == 0
        assert sum(map(len, bench.taken.values())) == 2

    bench.run(watch)


@pytest.mark.parametrize("name", ["tiny", "lab", "4x8"])
def test_limits(name: str) -> None:
    """The limits used above: no value at which an engine would hang or leave its memories."""
    arch = get_arch(name)
    some = (1, None)
    assert limits(arch) == {
        Op.LOAD: {"dest": (0, 2), "plane_beats": some, "planes": some},
        Op.WEIGHTS: {"beats": some},
        Op.CONV: dict.fromkeys(("n_cb", "n_ky", "n_kx", "n_y", "n_x"), some),
        Op.DRAIN: {
            "offset": (0, arch.rows - 1),
            "lane_groups": (1, arch.cols // arch.drain_lanes),
            "count": (1, arch.psum_words),
        },
        Op.POST: {
            **dict.fromkeys(("stride", "out_h", "out_w", "row_beats", "beats"), some),
            "kernel": (1, 3),
            "channels": (1, arch.rows),
        },
    }


def test_limits_accept_what_they_allow() -> None:
    """The extremes themselves pass: a program of descriptors at their limits completes."""
    rng = random.Random(3)
    image = b""
    count = 0
    for op, fields in limits(ARCH).items():
        good = random_fields(rng, op, dict.fromkeys(Op, 0))
        widths = {field.name: field.width for field in FIELDS[op]}
        for extreme in (0, 1):
            values = {
                name: bounds[extreme] if bounds[extreme] is not None else (1 << widths[name]) - 1
                for name, bounds in fields.items()
            }
            image += encode(op, {**good, **values})
            count += 1
    bench = Bench(image, rng)

    async def watch(ctx: Any) -> None:
        await bench.start(ctx, count)
        await ctx.tick().until(bench.dut.program.complete | bench.dut.program.bad)
        assert ctx.get(bench.dut.program.bad) == 0

    bench.run(watch)
    assert decode(image[:DESCRIPTOR_BYTES])[1] == bench.taken[Op.LOAD][0]


@pytest.mark.parametrize(
    ("done", "wait", "is_open"),
    [
        (0, 0, True),
        (0, 1, False),
        (5, 5, True),
        (4, 5, False),
        (65535, 2, False),
        (2, 65535, True),
        (32767, 0, True),
        (32768, 1, True),
    ],
)
def test_gate_compares_modulo(done: int, wait: int, is_open: bool) -> None:
    dut = Gate(op=Op.CONV)
    fields = random_fields(random.Random(1), Op.CONV, dict.fromkeys(Op, 0))

    async def process(ctx: Any) -> None:
        ctx.set(dut.count_load, done)
        ctx.set(dut.i.payload, {**fields, "op": int(Op.CONV), "wait_load": wait})
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.o.valid) == is_open
        assert ctx.get(dut.waiting) == (not is_open)
        if not is_open:
            ctx.set(dut.count_load, wait)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.o.valid) == 1

    run(dut, process)


def test_waiting_conv_is_reported() -> None:
    rng = random.Random(5)
    load = random_fields(rng, Op.LOAD, dict.fromkeys(Op, 0))
    conv = {**random_fields(rng, Op.CONV, dict.fromkeys(Op, 0)), "wait_load": 1}
    bench = Bench(encode(Op.LOAD, load) + encode(Op.CONV, conv), rng)
    dut = bench.dut
    waited = []

    async def watch(ctx: Any) -> None:
        await bench.start(ctx, 2)
        complete = 0
        while not complete:
            _, _, complete, waiting = await ctx.tick().sample(
                dut.program.complete, dut.conv_waiting
            )
            if waiting:
                waited.append(bench.completed[Op.LOAD])
        assert waited
        # The gate follows the count after two cycles.
        assert sum(waited) <= 2

    bench.run(watch)


def test_queues_decouple_the_engines() -> None:
    """An engine that does not take descriptors stops the others only when its queue is full."""
    rng = random.Random(9)
    none = dict.fromkeys(Op, 0)
    fits = ARCH.queue_depth + 1
    order = [Op.LOAD] * fits + [Op.WEIGHTS] + [Op.LOAD] * 2 + [Op.WEIGHTS]
    image = b"".join(encode(op, random_fields(rng, op, none)) for op in order)
    bench = Bench(image, rng)
    ports = bench.dut.engines

    async def watch(ctx: Any) -> None:
        ctx.set(ports[Op.WEIGHTS].ready, 1)
        await bench.start(ctx, len(order))
        await ctx.tick().repeat(400)
        assert ctx.get(bench.dut.count[Op.LOAD]) == 0
        assert ctx.get(bench.dut.program.fetched) in (fits + 2, fits + 3)

    run(bench.module, watch, background=[bench.slave.process])
