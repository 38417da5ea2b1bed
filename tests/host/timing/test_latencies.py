# amaranth: UnusedElaboratable=no
"""Closed forms of the engines' times, and the latencies exported by the hardware."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.host.devices.rtl import RtlDevice
from penstock.host.timing.latencies import MEMORY, Memory, Timing, block_cycles
from penstock.hw.array.psum import PartialSums
from penstock.hw.array.systolic import SystolicArray
from penstock.hw.bus.burst_splitter import BurstSplitter
from penstock.hw.bus.dma import COMMANDS
from penstock.hw.core.accel import DMA_DEPTH
from penstock.hw.core.sequencer import Gate
from penstock.hw.engines import load, weights
from penstock.hw.engines.conv import ISSUE_TO_ARRAY
from penstock.hw.engines.drain import SELECT_LATENCY
from penstock.hw.engines.lrn import LrnLanes
from penstock.hw.engines.post import UNACKNOWLEDGED, PostEngine
from penstock.hw.engines.requant import Requantise
from penstock.hw.lib.fifo import Fifo
from penstock.hw.lib.stream import Upsizer
from penstock.models.graph.graph import INPUT, ConvGeometry
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import Dest, Op
from tests.support.cost import measure
from tests.support.hwsim import run
from tests.support.netgen import make_conv, make_network, rng_of

LAB = get_arch("lab")


def post(**changes: int) -> dict[str, int]:
    """A POST that copies a row of 10 words."""
    values = {"kernel": 1, "stride": 1, "lrn": 0, "y0": 0, "out_w": 10, "out_h": 1, "beats": 20}
    return {**values, **changes}


def test_blocks_of_small_tiles_take_the_time_of_the_next_ones() -> None:
    """The shortest period of a block is the hardware's."""
    assert [block_cycles(positions, LAB) for positions in (1, 35, 36)] == [35, 35, 36]
    conv = make_conv(rng_of(1), "c", INPUT, 256, 16, ConvGeometry(kernel=(3, 3)))
    network = make_network("small", (4, 4, 256), [conv])
    with RtlDevice(LAB) as device:
        (got,) = measure(device, network)
    assert got["busy"] == 144 * 4
    # All but the first and the last block are followed by the next one.
    first = got["cycles"] - 143 * block_cycles(4, LAB)
    assert 0 < first < 1500


def through(dut: Any, **settings: int) -> int:
    """Cycles from the input of a payload to its first cycle at the output."""
    cycles = []

    async def process(ctx: Any) -> None:
        for name, value in settings.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        for cycle in range(20):
            if ctx.get(dut.o.valid):
                cycles.append(cycle)
                return
            await ctx.tick()

    run(dut, process)
    return cycles[0]


def test_a_descriptor_comes_as_late_as_its_parts_say() -> None:
    register = 1
    commands = through(Fifo(shape=8, depth=COMMANDS))
    assert Timing.read_command == register + commands + through(BurstSplitter()) + register
    queue, gate = through(Fifo(shape=8, depth=LAB.queue_depth)), through(Gate(op=Op.WEIGHTS))
    assert Timing.gate == queue + gate
    assert Timing.counted == register + gate
    assert Timing.begin == register


def test_data_comes_as_late_as_its_parts_say() -> None:
    register = 1
    beats = through(Fifo(shape=64, depth=DMA_DEPTH, block=True))
    upsizer = through(Upsizer(in_bytes=8, out_bytes=8))
    assert Timing.loaded == beats + register + upsizer + register
    words = through(Fifo(shape=8 * LAB.cols, depth=LAB.wgt_words, block=True))
    assert Timing.weights == beats + register + upsizer + words + register


def test_what_is_under_way_fits_the_hardwares_queues() -> None:
    output, back = 1, 1
    assert Timing.read_fifo == DMA_DEPTH
    assert Timing.ahead == load.AHEAD + output + back == weights.AHEAD + output + back
    assert Timing.commands == COMMANDS + output + back
    assert Timing.unacknowledged == UNACKNOWLEDGED
    for name in ("lab", "tiny", "tang-nano-20k"):
        arch = get_arch(name)
        timing = Timing(arch, MEMORY)
        assert timing.queue == (arch.queue_depth + output if arch.queue_depth else 1)
        if arch.lrn_lanes:
            assert timing.lrn_interval == PostEngine(arch=arch).interval
            lanes = LrnLanes(rows=arch.rows, lanes=arch.lrn_lanes)
            choice = 1  # between pixels with and without LRN
            pixels = timing.lrn_interval - 1  # one pixel, normalised or not
            copied, normalised = (timing.post_cycles(post(lrn=lrn))[0] for lrn in (0, 1))
            assert normalised - copied == lanes.latency + choice + pixels


def test_latencies_are_the_hardwares() -> None:
    start = issue = 1
    assert Timing.drained == start + PartialSums.READ_LATENCY + SELECT_LATENCY + Requantise.LATENCY
    for arch in (LAB, get_arch("tiny")):
        array = SystolicArray(rows=arch.rows, cols=arch.cols)
        sums = array.latency + arch.cols - 1 + PartialSums.RMW_LATENCY
        assert Timing(arch, MEMORY).filled == issue + ISSUE_TO_ARRAY + sums
    timing = Timing(LAB, Memory(latency=100))
    assert timing.read == 106
    assert timing.written == 101
    assert timing.block_beats == 32
    assert timing.params_beats == 16


def test_loads_are_as_fast_as_beats_words_and_bursts_allow() -> None:
    def rate(memory: Memory = MEMORY, **changes: int) -> float:
        values = {"dest": Dest.ACT, "plane_beats": 1 << 20, "row_beats": 20, "row_words": 10}
        return Timing(LAB, memory).load_rate({**values, **changes})

    assert rate() == 1.0
    # More words than beats, in narrow arrays: a word a cycle.
    assert rate(row_words=40) == 0.5
    assert rate(row_words=40, dest=Dest.TABLE) == 1.0
    # A plane is a burst of its own, and each takes two cycles.
    assert rate(Memory(latency=0), plane_beats=2) == 1.0
    assert rate(Memory(latency=0), plane_beats=1) == 0.5
    # 16 bursts of a beat on their way, 400 + 5 cycles for each.
    assert rate(Memory(latency=400), plane_beats=1) == pytest.approx(16 / 405)


def test_posts_walk_all_pixels_of_all_windows() -> None:
    timing = Timing(LAB, MEMORY)
    first, last, beats = timing.post_cycles(post())
    assert beats == 20
    # Two beats a word: the bus is slower than the window scan.
    assert last == first + 20
    one, five = (timing.post_cycles(post(kernel=3, stride=2, beats=6, out_h=h)) for h in (1, 5))
    # Four more rows of three input rows of 21 pixels, and three steps of the cursor for each.
    assert five[1] - one[1] == 4 * (21 * 3 + 3)
    assert five[0] == one[0]
    few, more = (timing.post_cycles(post(lrn=1, out_h=h))[1] for h in (10, 50))
    # 16 channels in 4 lanes: four cycles a pixel, in which the cursor steps.
    assert more - few == 40 * 10 * 4


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match="rate must be above 0 and at most 1, not 0"):
        Memory(rate=0)
    with pytest.raises(ValueError, match=r"rate must be above 0 and at most 1, not 1\.5"):
        Memory(rate=1.5)
    with pytest.raises(ValueError, match="latency must not be negative, not -1"):
        Memory(latency=-1)
