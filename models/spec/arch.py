"""The accelerator's parameters: one frozen description, with named presets.

Everything that depends on the shape of the hardware (the Verilog, the compiler's tiling, the
layout of feature maps in memory) reads it from an `Arch`.  Two arches with equal parameters are
the same arch whatever they are called; `Arch.fingerprint` is what programs, bitstreams and devices
compare.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields, replace

__all__ = ["ARCHES", "Arch", "get_arch", "lanes_for"]

# Raised whenever a program made by an older version would no longer run correctly.
ISA_VERSION = 3

MAX_WORDS = 1 << 16

# The log window of the register map holds this many entries of 32 bytes.
MAX_LOG_ENTRIES = 256


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class Arch:
    """Parameters of one accelerator.

    Parameters
    ----------
    name : str
        What people call it; not part of the fingerprint.
    rows : int
        Rows of the systolic array: the reduction dimension, and the number of channels (bytes) in
        one activation word, 2 to 64.
    cols : int
        Columns of the systolic array: output channels computed at once, 2 to 64.
    act_words : int
        Depth of the activation buffer, in words of ``rows`` bytes.  A power of two: addresses wrap.
    psum_words : int
        Output positions one bank of the partial-sum memory holds (there are two banks).
    out_words : int
        Depth of the output buffer, in words of ``rows`` bytes.  A power of two: addresses wrap.
    wgt_words : int
        Depth of the weight FIFO, in words of ``cols`` bytes; at least two weight blocks (2 * rows).
    drain_lanes : int
        Requantise lanes; a power of two that divides ``rows`` and ``cols``.
    lrn_lanes : int
        Channels normalised per cycle; divides ``rows``.  0 leaves the LRN engine out.
    bus_bytes : int
        Width of the AXI data buses.  Only 8 is supported.
    queue_depth : int
        Descriptors that each engine's queue holds; 0: each waits in the fetcher for its engine.
    log_entries : int
        Entries of the layer log (one for each layer of a program).
    count_bits : int
        Width of the counts of cycles and beats, 16 to 32; they wrap.
    """

    name: str
    rows: int
    cols: int
    act_words: int
    psum_words: int
    out_words: int
    wgt_words: int
    drain_lanes: int
    lrn_lanes: int
    bus_bytes: int = 8
    queue_depth: int = 8
    log_entries: int = 128
    count_bits: int = 32

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "name" and type(value) is not int:
                raise ValueError(f"{field.name} must be an integer, not {value!r}")
        for name in ("rows", "cols"):
            value = getattr(self, name)
            if not 2 <= value <= 64:
                raise ValueError(f"{name} must be an integer from 2 to 64, not {value!r}")
        for name, most in (
            ("act_words", MAX_WORDS),
            ("psum_words", MAX_WORDS),
            ("out_words", MAX_WORDS),
            ("wgt_words", MAX_WORDS),
            ("log_entries", MAX_LOG_ENTRIES),
        ):
            value = getattr(self, name)
            if not _power_of_two(value) or value > most:
                raise ValueError(f"{name} must be a power of two of at most {most}, not {value!r}")
        if self.bus_bytes != 8:
            raise ValueError(f"bus_bytes must be 8, not {self.bus_bytes!r}")
        if self.rows * self.cols % self.bus_bytes:
            raise ValueError(
                f"rows * cols must be a multiple of {self.bus_bytes}, not {self.rows * self.cols}"
            )
        if self.wgt_words < 2 * self.rows:
            raise ValueError(f"wgt_words must be at least {2 * self.rows}, not {self.wgt_words!r}")
        lanes = self.drain_lanes
        if not _power_of_two(lanes) or self.rows % lanes or self.cols % lanes:
            raise ValueError(
                f"drain_lanes must be a power of two that divides rows and cols, not {lanes!r}"
            )
        if self.lrn_lanes < 0 or (self.lrn_lanes and self.rows % self.lrn_lanes):
            raise ValueError(f"lrn_lanes must be 0 or divide rows, not be {self.lrn_lanes!r}")
        if not 0 <= self.queue_depth <= 64:
            raise ValueError(f"queue_depth must be from 0 to 64, not {self.queue_depth!r}")
        if not 16 <= self.count_bits <= 32:
            raise ValueError(f"count_bits must be from 16 to 32, not {self.count_bits!r}")

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates the array does each cycle at its peak."""
        return self.rows * self.cols

    @property
    def check_bits(self) -> int:
        """Bits of a descriptor that the checksum unit processes per cycle.

        A whole beat, or one byte in an arch without queues, where it needs a quarter of the cells.
        """
        return 8 * self.bus_bytes if self.queue_depth else 8

    @property
    def block_bytes(self) -> int:
        """Bytes of one weight block: ``rows`` words of ``cols`` int8 weights."""
        return self.rows * self.cols

    @property
    def params_bytes(self) -> int:
        """Bytes of one tile's requantisation parameters: 8 for each column."""
        return self.cols * 8

    def row_beats(self, words: int) -> int:
        """Bus beats of one row of `words` activation words (rows start on a beat boundary)."""
        return -(-words * self.rows // self.bus_bytes)

    @property
    def fingerprint(self) -> int:
        """64-bit identity of the parameters and the ISA version."""
        values = asdict(self)
        del values["name"]
        values["isa"] = ISA_VERSION
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")

    def __str__(self) -> str:
        return f"{self.name} ({self.rows}x{self.cols}, {self.fingerprint:016x})"


ARCHES: dict[str, Arch] = {
    arch.name: arch
    for arch in (
        Arch(
            name="tiny",
            rows=4,
            cols=4,
            act_words=4096,
            psum_words=256,
            out_words=2048,
            wgt_words=64,
            drain_lanes=2,
            lrn_lanes=2,
            queue_depth=4,
        ),
        Arch(
            name="lab",
            rows=16,
            cols=16,
            act_words=16384,
            psum_words=1024,
            out_words=8192,
            wgt_words=512,
            drain_lanes=4,
            lrn_lanes=4,
        ),
        # The largest that fits a Zynq-7020: 192 of its 220 DSPs, 93 of its 140 block RAMs.
        Arch(
            name="pynq-z2",
            rows=12,
            cols=32,
            act_words=8192,
            psum_words=512,
            out_words=8192,
            wgt_words=512,
            drain_lanes=4,
            lrn_lanes=2,
        ),
        # Of the 156 multipliers of an LFE5U-85F the array uses 144, the lanes 11.
        Arch(
            name="ulx3s-85f",
            rows=12,
            cols=12,
            act_words=8192,
            psum_words=1024,
            out_words=4096,
            wgt_words=512,
            drain_lanes=2,
            lrn_lanes=1,
        ),
        # Of the 72 multipliers of an LFE5U-45F the array uses 64, the lanes 6.
        Arch(
            name="ulx3s-45f",
            rows=8,
            cols=8,
            act_words=8192,
            psum_words=512,
            out_words=4096,
            wgt_words=512,
            drain_lanes=2,
            lrn_lanes=1,
        ),
        # All 28 multipliers of an LFE5U-25F: the array uses 24, the lanes 4.
        Arch(
            name="ulx3s-25f",
            rows=4,
            cols=6,
            act_words=8192,
            psum_words=512,
            out_words=2048,
            wgt_words=256,
            drain_lanes=1,
            lrn_lanes=1,
        ),
        # For an XC7A100T, about half of whose block RAMs are the board's memory.
        Arch(
            name="arty-a7-100t",
            rows=8,
            cols=16,
            act_words=4096,
            psum_words=512,
            out_words=2048,
            wgt_words=256,
            drain_lanes=2,
            lrn_lanes=1,
            log_entries=64,
        ),
        # The largest that fits a GW2AR-18 together with 32 KiB of memory, enough for LeNet-5.  A
        # program that small never reaches a million cycles, so the counters can be narrow.
        Arch(
            name="tang-nano-20k",
            rows=4,
            cols=2,
            act_words=2048,
            psum_words=256,
            out_words=1024,
            wgt_words=16,
            drain_lanes=1,
            lrn_lanes=0,
            queue_depth=0,
            log_entries=16,
            count_bits=20,
        ),
    )
}


def lanes_for(*sizes: int) -> int:
    """Return the largest of 4, 2 and 1 that divides all sizes."""
    return max(n for n in (1, 2, 4) if all(size % n == 0 for size in sizes))


def get_arch(name: str) -> Arch:
    """Return the preset called `name`, or the `lab` preset resized when `name` is like ``12x32``.

    Raises
    ------
    ValueError
        If there is no such preset and the name is not a size the hardware can have.
    """
    if name in ARCHES:
        return ARCHES[name]
    match = re.fullmatch(r"(\d{1,3})x(\d{1,3})", name)
    if match is None:
        known = ", ".join(ARCHES)
        raise ValueError(f"arch must be one of {known}, or ROWSxCOLS such as 12x32, not {name!r}")
    rows, cols = int(match[1]), int(match[2])
    return replace(
        ARCHES["lab"],
        name=name,
        rows=rows,
        cols=cols,
        drain_lanes=lanes_for(rows, cols),
        lrn_lanes=lanes_for(rows),
    )
