# amaranth: UnusedElaboratable=no
"""The layer log: snapshots in order, for any distance of the marks; full, cleared, busy."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.hw.core.layer_log import LayerLog
from penstock.models.spec.regs import LOG_FIELDS
from tests.support.hwsim import run

WORDS = len(LOG_FIELDS)
ENTRIES = 5


def counts(cycle: int) -> list[int]:
    """Values of the counters in a cycle."""
    return [(word & 1) << 31 | cycle << 8 | word for word in range(WORDS)]


def test_all_numbers_have_32_bits() -> None:
    dut = LayerLog(entries=ENTRIES)
    assert {len(signal) for signal in (*dut.counts, dut.count, dut.r.data)} == {32}


async def mark(ctx: Any, dut: LayerLog, marks: set[int], cycles: int, clear: int = -1) -> list[int]:
    """Go through `cycles`, with marks in some of them; return `busy` in each."""
    busy = []
    for cycle in range(cycles):
        ctx.set(dut.mark, cycle in marks)
        ctx.set(dut.clear, cycle == clear)
        for word, value in enumerate(counts(cycle)):
            ctx.set(dut.counts[word], value)
        busy.append(ctx.get(dut.busy))
        await ctx.tick()
    return busy


async def entries(ctx: Any, dut: LayerLog) -> list[list[int]]:
    """Read the whole memory."""
    words = []
    for address in range(ENTRIES * WORDS):
        ctx.set(dut.r.en, 1)
        ctx.set(dut.r.addr, address)
        await ctx.tick()
        ctx.set(dut.r.en, 0)
        await ctx.tick().repeat(dut.READ_LATENCY - 1)
        words.append(ctx.get(dut.r.data))
    return [words[k : k + WORDS] for k in range(0, len(words), WORDS)]


def test_an_entry_is_what_the_counts_are_two_cycles_later() -> None:
    dut = LayerLog(entries=ENTRIES)

    async def process(ctx: Any) -> None:
        # Complete when `busy` has been low for a cycle.
        busy = await mark(ctx, dut, {3}, 4 + dut.DELAY + WORDS)
        # From the mark on: two cycles until the snapshot, then a word a cycle, but the last.
        assert busy == [0] * 3 + [1] * (dut.DELAY + WORDS) + [0]
        assert ctx.get(dut.count) == 1
        assert (await entries(ctx, dut))[0] == counts(3 + dut.DELAY)

    run(dut, process)


@pytest.mark.parametrize("gap", [1, 2, 5, WORDS, WORDS + 1, WORDS + 2])
def test_a_mark_during_a_write_waits(gap: int) -> None:
    dut = LayerLog(entries=ENTRIES)

    async def process(ctx: Any) -> None:
        busy = await mark(ctx, dut, {2, 2 + gap}, 50)
        # Its snapshot is taken when the entry before is written.
        first = 2 + dut.DELAY
        second = max(first + gap, first + 1 + WORDS)
        assert busy == [
            int(2 <= k < first + WORDS or 2 + gap <= k < second + WORDS) for k in range(50)
        ]
        assert (await entries(ctx, dut))[:2] == [counts(first), counts(second)]
        assert ctx.get(dut.count) == 2

    run(dut, process)


def test_what_does_not_fit_is_dropped() -> None:
    """Marks beyond the last entry, and those while another one waits already."""
    dut = LayerLog(entries=ENTRIES)
    kept = [2, 14, 17, 26, 38]
    lost = [19, 50, 62, 74]
    # A snapshot waits for the end of the entry before.
    snapshots = [kept[0] + dut.DELAY]
    for place in kept[1:]:
        snapshots.append(max(place + dut.DELAY, snapshots[-1] + 1 + WORDS))

    async def process(ctx: Any) -> None:
        await mark(ctx, dut, {*kept, *lost}, 120)
        assert ctx.get(dut.count) == ENTRIES
        assert ctx.get(dut.busy) == 0
        assert await entries(ctx, dut) == [counts(cycle) for cycle in snapshots]

    run(dut, process)


@pytest.mark.parametrize("at", range(2, 16))
def test_clear_forgets_everything(at: int) -> None:
    """Clear with a mark in the pipeline, one waiting, and one half written."""
    dut = LayerLog(entries=ENTRIES)

    async def process(ctx: Any) -> None:
        busy = await mark(ctx, dut, {k for k in (1, 4) if k < at}, 30, clear=at)
        assert busy[at + 1 :] == [0] * (29 - at)
        assert ctx.get(dut.count) == 0
        await mark(ctx, dut, {2, 20}, 50)
        assert ctx.get(dut.count) == 2
        assert (await entries(ctx, dut))[:2] == [counts(2 + dut.DELAY), counts(20 + dut.DELAY)]

    run(dut, process)
