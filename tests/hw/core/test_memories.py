# amaranth: UnusedElaboratable=no
"""On-chip memory: the core has exactly as much as the arch specifies."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from amaranth import Elaboratable
from amaranth.back import rtlil

from penstock.hw.core.accel import DMA_DEPTH, Accel
from penstock.hw.core.sequencer import Sequencer
from penstock.hw.engines.post import PostEngine
from penstock.hw.lib.buffer import Buffer
from penstock.hw.lib.fifo import MAX_DISTRIBUTED
from penstock.models.golden.fixed import LRN_TABLE_PAIRS
from penstock.models.spec.arch import Arch, get_arch
from penstock.models.spec.isa import FIELDS, Op
from penstock.models.spec.regs import LOG_FIELDS

TINY = get_arch("tiny")


def memories(component: Elaboratable) -> Counter[tuple[str, int, int]]:
    """Name of the block, words and bits of each memory in a component; queues are `queue`."""
    found: Counter[tuple[str, int, int]] = Counter()
    text = rtlil.convert(component, name="top", emit_src=False)
    for module in text.split("\nmodule ")[1:]:
        for width, size in re.findall(r"^ *memory width (\d+) size (\d+)", module, re.MULTILINE):
            path = module.split(maxsplit=1)[0].removeprefix("\\").split(".")
            name = path[-2] if path[-1] in ("memory", "table") else path[-1]
            found[re.sub(r"_\d+", "", name), int(size), int(width)] += 1
    return found


def wanted(arch: Arch) -> Counter[tuple[str, int, int]]:
    """The same for block RAM: all memories that grow with the arch."""
    groups = arch.cols // arch.drain_lanes
    return Counter(
        {
            ("act", arch.act_words, 8 * arch.rows): 1,
            ("out", arch.out_words, 8 * arch.rows): 1,
            ("psums", arch.psum_words, 32): 2 * arch.cols,
            # Bias, multiplier, shift; of two tiles.
            ("lane", 2 * groups, 32 + 17 + 5): arch.drain_lanes,
            # A word is two entries of a gain and a difference.
            **({("lane", LRN_TABLE_PAIRS, 64): arch.lrn_lanes} if arch.lrn_lanes else {}),
            ("log", arch.log_entries * len(LOG_FIELDS), 32): 1,
            ("queue", arch.wgt_words, 8 * arch.cols): 1,
            ("queue", DMA_DEPTH, 64): 4,
        }
    )


@pytest.mark.parametrize(
    "arch",
    [
        TINY,
        replace(TINY, name="wide", rows=8, cols=16, wgt_words=128, drain_lanes=4, log_entries=16),
        replace(TINY, name="plain", lrn_lanes=0, act_words=512, out_words=1024, psum_words=128),
    ],
    ids=lambda arch: arch.name,
)
def test_block_ram(arch: Arch) -> None:
    # Queues of a few words are in LUT RAM.
    found = memories(Accel(arch=arch))
    deep = {kind: found[kind] for kind in found if kind[0] != "queue" or kind[1] > MAX_DISTRIBUTED}
    assert deep == wanted(arch)


def test_lanes_of_the_activation_buffer() -> None:
    found = memories(Accel(arch=TINY, act_lanes=2))
    assert found["act", TINY.act_words, 4 * TINY.rows] == 2
    assert memories(Buffer(depth=5, width=24, lanes=3)) == {("top", 5, 8): 3}
    assert memories(Buffer(depth=5, width=24)) == {("top", 5, 24): 1}


def test_registers_and_queues_between_dmas_and_engines() -> None:
    """They exist unless they are switched off."""
    for options, there in (({}, True), ({"slices": False}, False)):
        text = rtlil.convert(Accel(arch=TINY, **options), name="top", emit_src=False)
        for port in ("desc", "wgt", "act", "out"):
            for block in (f"beats_{port}", f"dma_{port}.commands"):
                assert (f"\nmodule \\top.{block}\n" in text) == there, block


def test_queues_of_descriptors_hold_what_is_not_known() -> None:
    """A queue for each engine, without the opcode."""
    arch = replace(TINY, queue_depth=8)
    found = memories(Sequencer(arch=arch))
    assert found == Counter(("queue", 8, sum(f.width for f in FIELDS[op]) - 8) for op in Op)


def test_tables_are_written_two_entries_at_a_time() -> None:
    assert len(PostEngine(arch=TINY).table.data) == 64
