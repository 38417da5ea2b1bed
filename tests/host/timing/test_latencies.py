"""Closed forms of the engines' times, and the latencies that the hardware states itself."""

from __future__ import annotations

import pytest

from penstock.host.devices.rtl import RtlDevice
from penstock.host.timing.latencies import MEMORY, Memory, Timing, block_cycles
from penstock.hw.array.psum import PartialSums
from penstock.hw.engines.drain import SELECT_LATENCY
from penstock.hw.engines.requant import Requantise
from penstock.models.graph.graph import INPUT, ConvGeometry
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import Dest
from tests.support.cost import measure
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


def test_latencies_are_the_hardwares() -> None:
    start = 1
    assert Timing.drained == start + PartialSums.READ_LATENCY + SELECT_LATENCY + Requantise.LATENCY
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
    # Two beats a word: the bus is slower than the walk.
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
    with pytest.raises(ValueError, match="latency must not be negative, not be -1"):
        Memory(latency=-1)
