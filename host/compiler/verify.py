"""Static check that a program's waits exclude every data race, whatever the timing.

For each descriptor the waits imply how much every engine has completed before it starts.  All
earlier readers and writers of what a descriptor overwrites must be complete by then, and so must
the writers of what it reads.  Checked word by word for the activation buffer, the output buffer,
the LRN table and the maps in memory.

Assumed of the hardware: an engine starts and completes its descriptors in order, and accesses one
memory in order; DRAIN starts a tile when CONV has completed it; CONV starts a tile when the drain
of the tile two before is complete.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from penstock.host.program.program import Program
from penstock.host.program.tensor_layout import BEAT
from penstock.models.golden.fixed import LRN_TABLE_PAIRS
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import ENGINE_WAITS, Dest, Op

__all__ = ["VerifyError", "verify"]

Values = dict[str, int]
Clock = dict[Op, int]
Words = NDArray[np.int64]


class VerifyError(ValueError):
    """A program has a race, or waits for work that comes later."""


class _Store:
    """A memory, with the last writer and last readers of each word.

    Parameters
    ----------
    name : str
    words : int
    """

    def __init__(self, name: str, words: int) -> None:
        self.name = name
        self.written = {op: np.zeros(words, np.int64) for op in (Op.LOAD, Op.DRAIN, Op.POST)}
        self.read = {op: np.zeros(words, np.int64) for op in (Op.LOAD, Op.CONV, Op.POST)}

    def _check(
        self, marks: dict[Op, Words], words: Words, who: Op, known: Clock, what: str
    ) -> None:
        for op, last in marks.items():
            if op is who or not len(words):
                continue
            needed = int(last[words].max())
            if needed > known.get(op, 0):
                raise VerifyError(
                    f"{who.name} {what} the {self.name} before {op.name} {needed} is known to be "
                    f"complete, only {known.get(op, 0)} are"
                )

    def access(self, words: Words, who: Op, count: int, known: Clock, *, write: bool) -> None:
        """Check and note that descriptor number `count` of engine `who` reads or writes words."""
        self._check(self.written, words, who, known, "writes" if write else "reads")
        if write:
            self._check(self.read, words, who, known, "overwrites")
        (self.written if write else self.read)[who][words] = count


def _memory_beats(start: int, beats: int) -> Words:
    return start // BEAT + np.arange(beats)


# The fields of a CONV that say which words of one plane its windows cover.
_WINDOW = (
    *("n_y", "n_x", "n_ky", "n_kx", "y0", "x0", "stride_y", "stride_x"),
    *("in_h", "in_w", "step_ky", "step_y"),
)


@functools.lru_cache(maxsize=256)
def _window_words(window: tuple[int, ...]) -> Words:
    """Words of one plane that a CONV's windows cover, counted from its base; padding has none."""
    v = dict(zip(_WINDOW, window, strict=True))
    y, x, ky, kx = np.ix_(*(np.arange(v[n]) for n in ("n_y", "n_x", "n_ky", "n_kx")))
    rows = v["y0"] + y * v["stride_y"] + ky
    columns = v["x0"] + x * v["stride_x"] + kx
    inside = (rows >= 0) & (rows < v["in_h"]) & (columns >= 0) & (columns < v["in_w"])
    address = ky * v["step_ky"] + kx + y * v["step_y"] + x * v["stride_x"]
    return np.unique(np.broadcast_to(address, inside.shape)[inside])


def _conv_words(v: Values, arch: Arch) -> Words:
    """Words of the activation buffer that a CONV reads, padding excluded."""
    one = _window_words(tuple(v[name] for name in _WINDOW))
    planes = np.arange(v["n_cb"])[:, None] * v["step_cb"]
    images = np.arange(v["more_images"] + 1)[:, None, None] * v["step_image"]
    return np.asarray((v["base"] + images + planes + one).reshape(-1) % arch.act_words)


def _drain_words(v: Values, arch: Arch) -> Words:
    planes = (v["offset"] + v["lane_groups"] * arch.drain_lanes - 1) // arch.rows + 1
    address = v["base"] + np.arange(planes)[:, None] * v["plane_step"] + np.arange(v["count"])
    return np.asarray(address.reshape(-1) % arch.out_words)


def _post_words(v: Values, arch: Arch) -> Words:
    """Words of the output buffer in the rows and columns a POST's windows cover."""
    low = max(v["y0"], 0)
    high = min(v["y0"] + (v["out_h"] - 1) * v["stride"] + v["kernel"], v["in_h"])
    left = max(v["x0"], 0)
    right = min(v["x0"] + (v["out_w"] - 1) * v["stride"] + v["kernel"], v["in_w"])
    row = np.arange(low, high)[:, None]
    column = np.arange(left, right)
    result = []
    planes = [0]
    if v["lrn"]:
        planes += [-1] * v["has_prev"] + [1] * (v["next_channels"] > 0)
    for plane in planes:
        halo = v["halo_base"] + plane * v["halo_step"] + row * v["in_w"]
        own = v["base"] + plane * v["step"] + (row - v["halo_rows"]) * v["in_w"]
        result.append((np.where(row < v["halo_rows"], halo, own) + column).reshape(-1))
    return np.asarray(np.concatenate(result) % arch.out_words)


class _ProgramState:
    """The state of one pass over a program."""

    def __init__(self, program: Program, arch: Arch) -> None:
        self.arch = arch
        self.count: Clock = dict.fromkeys(Op, 0)
        # For each engine, what is known to be complete when each of its descriptors starts.
        self.clocks: dict[Op, list[Clock]] = {op: [{}] for op in Op}
        self.act = _Store("activation buffer", arch.act_words)
        self.out = _Store("output buffer", arch.out_words)
        self.table = _Store("LRN table", LRN_TABLE_PAIRS)
        self.memory = _Store("memory", -(-program.arena_bytes // BEAT))
        self.tiles = 0
        self.tile_ends: list[int] = []

    def know(self, op: Op, values: Values) -> Clock:
        """What is known to be complete when the next descriptor of `op` starts."""
        known = dict(self.clocks[op][-1])

        def join(engine: Op, count: int) -> None:
            for other, number in self.clocks[engine][count].items():
                known[other] = max(known.get(other, 0), number)
            known[engine] = max(known.get(engine, 0), count)

        for engine in ENGINE_WAITS[op]:
            behind = (self.count[engine] - values[f"wait_{engine.name.lower()}"]) & 0xFFFF
            if behind & 0x8000:
                raise VerifyError(f"{op.name} waits for {engine.name} that come later")
            join(engine, max(self.count[engine] - behind, 0))
        if op is Op.DRAIN:
            join(Op.CONV, self.tile_ends[self.count[Op.DRAIN]])
        if op is Op.CONV and values["first"]:
            if self.tiles >= 2:
                join(Op.DRAIN, self.tiles - 1)
            self.tiles += 1
        return known

    def accesses(self, op: Op, v: Values) -> Iterator[tuple[_Store, Words, bool]]:
        """Yield memory, words, and whether they are written."""
        if op is Op.LOAD:
            for plane in range(v["planes"]):
                start = v["mem"] + plane * v["plane_stride"]
                yield self.memory, _memory_beats(start, v["plane_beats"]), False
            if v["dest"] == Dest.TABLE:
                yield self.table, v["base"] + np.arange(v["plane_beats"]), True
                return
            store = self.act if v["dest"] == Dest.ACT else self.out
            words = v["planes"] * (v["plane_beats"] // v["row_beats"]) * v["row_words"]
            depth = self.arch.act_words if v["dest"] == Dest.ACT else self.arch.out_words
            if words > depth:
                raise VerifyError(f"LOAD of {words} words laps a buffer of {depth}")
            yield store, (v["base"] + np.arange(words)) % depth, True
        elif op is Op.CONV:
            yield self.act, _conv_words(v, self.arch), False
        elif op is Op.DRAIN:
            yield self.out, _drain_words(v, self.arch), True
        elif op is Op.POST:
            yield self.out, _post_words(v, self.arch), False
            if v["lrn"]:
                yield self.table, np.arange(LRN_TABLE_PAIRS), False
            yield self.memory, _memory_beats(v["mem"], v["beats"]), True

    def step(self, op: Op, values: Values) -> None:
        """Check one descriptor.

        Raises
        ------
        VerifyError
        """
        known = self.know(op, values)
        self.clocks[op].append(known)
        self.count[op] += 1
        if op is Op.CONV and values["last"]:
            self.tile_ends.append(self.count[Op.CONV])
        for store, words, write in self.accesses(op, values):
            store.access(words, op, self.count[op], known, write=write)


def verify(program: Program, arch: Arch) -> None:
    """Check all waits of a program.

    Raises
    ------
    VerifyError
        At the first descriptor that could start too early; the message has its number.
    """
    state = _ProgramState(program, arch)
    for index, (op, values) in enumerate(program.descriptors()):
        try:
            state.step(op, values)
        except VerifyError as error:
            raise VerifyError(f"descriptor {index}: {error}") from None
