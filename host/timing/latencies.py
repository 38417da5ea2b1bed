"""Latencies of the engines, and closed forms for their run times, taken from the hardware.

Latencies are cycles from one visible event to the next, composed from the pipelines in `hw` that
they cross.  ``tests/host/timing/test_latencies.py`` holds them to those pipelines, and
``tests/host/compiler/planning/test_cost.py`` compares what they predict with the RTL.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.host.program.tensor_layout import BEAT
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Dest

__all__ = ["BEAT", "MEMORY", "Memory", "Timing", "Values", "block_cycles"]

Values = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory shared by all ports.

    Parameters
    ----------
    latency : int
        Cycles from an accepted address to the first beat, and from a last write beat to its
        response.
    rate : float
        Beats per cycle, all ports together.
    outstanding : int
        Bursts of a port that may be in flight.
    """

    latency: int = 40
    rate: float = 0.95
    outstanding: int = 16

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate must be above 0 and at most 1, not {self.rate!r}")
        if self.latency < 0:
            raise ValueError(f"latency must not be negative, not {self.latency!r}")


# The memory model of every figure (design, section 6).
MEMORY = Memory()


def block_cycles(positions: int, arch: Arch) -> int:
    """Cycles the array needs for one weight block of a tile of `positions`.

    At least twice the array's rows plus 3: the next block is shifted in one row per cycle, after
    the wavefront of the block before has passed.
    """
    return max(positions, 2 * arch.rows + 3)


class Timing:
    """Latencies and capacities of one arch with one memory, in cycles.

    Parameters
    ----------
    arch : Arch
    memory : Memory

    Attributes
    ----------
    read : int
        From the cycle an engine takes a descriptor to the first beat on the bus: command register
        1, command FIFO 2, splitter 2, address register 1, memory.
    hand_out : int
        From a descriptor's last beat on the bus until it is dispatched: FIFO 3, rest of the
        checksum, check.
    between : int
        Minimum distance between two dispatches.
    gate : int
        From dispatch to the engine: queue 2, wait gate 1.
    counted : int
        From a completion pulse to the engine that waited for it: count 1, wait gate 1.
    loaded : int
        From LOAD's last beat on the bus to its completion: FIFO 3, the engine's register 1,
        upsizer 1, write 1.
    weights : int
        From a weight block's last beat on the bus until the array can take it: FIFO 3, the
        engine's register 1, upsizer 1, weight FIFO 3, shift 1.
    begin : int
        From a CONV at the engine to its first block: register 1.
    filled : int
        From a tile's last word to the drain: issue 1, read 2, padding 1, rows and columns of the
        array, accumulator 5, counts.
    drained : int
        DRAIN's cycles beyond one for each group: start 1, read 3, select 2, requantise 8.
    read_fifo, write_fifo : int
        Beats of the DMAs' FIFOs.
    weight_beats : float
        Beats the weight FIFO holds.
    queue : int
        Descriptors a queue holds, its output register included.
    """

    read_command = 6
    gate = 3
    counted = 2
    loaded = 6
    weights = 9
    begin = 1
    drained = 14
    read_fifo = 128
    # Descriptors between an engine's front and back: FIFO, its register, the back's.
    ahead = 6
    # Plane commands that a front issues before the DMA accepts them.
    commands = 6
    # POSTs whose writes are not yet acknowledged.
    unacknowledged = 4
    write_fifo = 64 + 3
    # From POST's last beat at the DMA to its burst on the bus: FIFO, compare, address, begin.
    flush = 5
    # The start pulse of the fetcher; cycles are counted from the start bit.
    start = 2

    def __init__(self, arch: Arch, memory: Memory) -> None:
        self.arch = arch
        self.memory = memory
        beats = DESCRIPTOR_BYTES // BEAT
        checked = beats * (8 * BEAT // arch.check_bits)
        self.hand_out = 4 + checked - (beats - 1)
        self.between = checked + 2
        self.read = self.read_command + memory.latency
        self.written = memory.latency + 1
        self.filled = arch.rows + arch.cols + 9
        # Its memory and its register; the shallowest is a register alone, or the fetcher's.
        self.queue = max(1, arch.queue_depth + (arch.queue_depth > 1))
        self.weight_beats = (arch.wgt_words + 3) * arch.cols / BEAT
        self.block_beats = arch.block_bytes / BEAT
        self.params_beats = arch.params_bytes // BEAT
        self.weight_rate = min(1.0, arch.cols / BEAT)
        self.lrn_interval = max(3, arch.rows // arch.lrn_lanes) if arch.lrn_lanes else 1

    def load_rate(self, v: Values) -> float:
        """Beats per cycle that a LOAD accepts when nothing else is read.

        One beat or one word per cycle, whichever is slower.  Bursts end on multiples of 16 beats,
        each takes the splitter two cycles, and the number of outstanding bursts is limited.
        """
        plane = v["plane_beats"]
        bursts = 1 + (plane + 7) // 16  # a start anywhere costs half a burst on average
        trip = self.memory.latency + 5
        words = 1.0 if v["dest"] == Dest.TABLE else v["row_beats"] / v["row_words"]
        return min(
            1.0, words, plane / (2 * bursts), self.memory.outstanding * plane / bursts / trip
        )

    def post_cycles(self, v: Values) -> tuple[int, int, int]:
        """Return when a POST outputs its first and last beat, and how many beats.

        Returns
        -------
        (int, int, int)
            Cycles from taking the descriptor to the first beat, and to the last one; number of
            beats.
        """
        kernel, stride = v["kernel"], v["stride"]
        interval = self.lrn_interval if v["lrn"] else 1
        pixels = ((v["out_w"] - 1) * stride + kernel) * kernel
        # The cursor steps through a window's rows while the last pixel is in the LRN lanes.
        step = max(kernel, stride + 1)
        row = pixels * interval + max(0, step + 1 - interval)
        begin = 2 + max(v["y0"], 0) + step
        pipeline = 9 + (5 + 11 + 2 + self.arch.rows // self.arch.lrn_lanes if v["lrn"] else 0)
        first = begin + ((kernel - 1) * kernel + kernel) * interval + pipeline
        last = begin + v["out_h"] * row - step + pipeline + max(1, self.arch.rows // BEAT)
        return first, max(last, first + v["beats"]), v["beats"]
