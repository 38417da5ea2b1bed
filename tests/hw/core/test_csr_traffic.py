"""Back-to-back accesses to registers."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.hw.core.csr import CsrBank
from penstock.models.spec.regs import MAGIC, VERSION, offset
from tests.hw.core.test_csr import ARCH, read, simulate


@pytest.mark.parametrize("delay", [0, 1, 5, 9])
def test_reads_without_a_pause(delay: int) -> None:
    """The next read is offered while one is in flight, and responses are taken late."""
    names = ("ID", "VERSION", "FINGERPRINT_LO", "FINGERPRINT_HI", "ID", "FINGERPRINT_LO")
    values = {
        "ID": MAGIC,
        "VERSION": VERSION,
        "FINGERPRINT_LO": ARCH.fingerprint & 0xFFFF_FFFF,
        "FINGERPRINT_HI": ARCH.fingerprint >> 32,
    }

    async def process(ctx: Any, dut: CsrBank) -> None:
        bus = dut.bus
        asked, waited = 0, 0
        got: list[int] = []
        ctx.set(bus.arvalid, 1)
        while len(got) < len(names):
            ctx.set(bus.araddr, offset(names[min(asked, len(names) - 1)]))
            ctx.set(bus.arvalid, asked < len(names))
            ctx.set(bus.rready, waited >= delay)
            under_way = asked - len(got)
            *_, ready, valid, data = await ctx.tick().sample(bus.arready, bus.rvalid, bus.rdata)
            # One at a time.
            assert not (ready and under_way)
            asked += ready and asked < len(names)
            if valid and waited >= delay:
                got.append(data)
                waited = 0
            else:
                waited += valid
        assert got == [values[name] for name in names]

    simulate(process)


def test_writes_without_a_pause() -> None:
    """Addresses and data are offered continuously, and responses are taken late."""
    names = ("BASE", "DESC_ADDR", "DESC_COUNT", "BASE")

    async def process(ctx: Any, dut: CsrBank) -> None:
        bus = dut.bus
        addresses, words, answers, waited = 0, 0, 0, 0
        ctx.set(bus.wstrb, 15)
        while answers < len(names):
            ctx.set(bus.awaddr, offset(names[min(addresses, len(names) - 1)]))
            ctx.set(bus.awvalid, addresses < len(names))
            ctx.set(bus.wdata, 0x1000 + words)
            ctx.set(bus.wvalid, words < len(names))
            ctx.set(bus.bready, waited >= 4)
            *_, aw, w, b = await ctx.tick().sample(bus.awready, bus.wready, bus.bvalid)
            addresses += aw and addresses < len(names)
            words += w and words < len(names)
            if b and waited >= 4:
                answers += 1
                waited = 0
            else:
                waited += b
            # A response, and the next access, which waits until it is taken.
            assert answers <= addresses <= answers + 2 and answers <= words <= answers + 2
        for name, value in zip(names[1:], (0x1001, 0x1002, 0x1003)):
            assert await read(ctx, dut, offset(name)) == value

    simulate(process)
