# amaranth: UnusedElaboratable=no
"""The register slice: no payload lost or duplicated, full throughput."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.lib import data

from penstock.hw.lib.register_slice import RegisterSlice
from tests.support.hwsim import collect, drive, run


@pytest.mark.parametrize(("give", "take"), [(0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.4, 0.6)])
def test_hands_everything_on_in_order(give: float, take: float) -> None:
    rng = random.Random(1)
    dut = RegisterSlice(shape=16)
    sent = [rng.getrandbits(16) for _ in range(300)]

    async def source(ctx: Any) -> None:
        await drive(ctx, dut.i, sent, rng=random.Random(2), stall=give)

    async def sink(ctx: Any) -> None:
        assert await collect(ctx, dut.o, len(sent), rng=random.Random(3), stall=take) == sent

    run(dut, source, sink)


def test_a_payload_a_cycle() -> None:
    dut = RegisterSlice(shape=data.StructLayout({"a": 3, "b": 5}))
    taken = []

    async def process(ctx: Any) -> None:
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for n in range(20):
            ctx.set(dut.i.payload, {"a": n % 8, "b": n})
            _, _, ready, valid, b = await ctx.tick().sample(dut.i.ready, dut.o.valid, dut.o.p.b)
            assert ready
            if valid:
                taken.append(b)

    run(dut, process)
    assert taken == list(range(19))


def test_ready_is_a_register() -> None:
    """No combinational path between the two sides."""
    dut = RegisterSlice(shape=4)

    async def process(ctx: Any) -> None:
        for _ in range(50):
            before = ctx.get(dut.i.ready), ctx.get(dut.o.valid)
            for valid in (0, 1):
                for ready in (0, 1):
                    ctx.set(dut.i.valid, valid)
                    ctx.set(dut.o.ready, ready)
                    assert (ctx.get(dut.i.ready), ctx.get(dut.o.valid)) == before
            ctx.set(dut.i.valid, rng.randrange(2))
            ctx.set(dut.o.ready, rng.randrange(2))
            await ctx.tick()

    rng = random.Random(4)
    run(dut, process)
