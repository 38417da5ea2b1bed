"""Stream blocks: converters between bus beats and words of another size.

Feature maps are packed row by row: the words of a row follow each other byte by byte, and every row
starts on a bus beat.  With beats of 8 and words of 12 bytes, a row of 3 words is ::

    beat 0     beat 1     beat 2     beat 3     beat 4
    00000000   00001111   11111111   22222222   2222----

The `Upsizer` turns beats into words and drops what is left of a row's last beat; the `Downsizer`
turns words into beats and writes zeros there.  (The names tell the direction, memory to core or
core to memory: words may be larger or smaller than beats.)
"""

from __future__ import annotations

from itertools import product
from math import gcd

from amaranth import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Downsizer", "Upsizer", "tag_beats", "word_layout"]


def _check_size(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, not {value!r}")


def _check_beat(name: str, value: int) -> None:
    _check_size(name, value)
    if value & (value - 1):
        raise ValueError(f"{name} must be a power of two, not {value!r}")


class _Gearbox(wiring.Component):
    """Regroups lanes: takes `in_lanes` and gives `out_lanes` at a time.

    Parameters
    ----------
    lane_bits, in_lanes, out_lanes : int
    max_count : int
        Largest number of lanes one input may count for.

    Members
    -------
    i, o : streams of lanes
        Lane 0 first, in the lowest bits.
    count : In
        Lanes the current input counts for, at least 1: less than `in_lanes` drops its last lanes,
        more appends zeros.
    """

    # Operation of a lane; from `_TAKES` on, the lane of the input that it takes.
    _STAYS, _SHIFTS, _CLEARS, _TAKES = range(4)

    def __init__(self, *, lane_bits: int, in_lanes: int, out_lanes: int, max_count: int) -> None:
        self.lane_bits = lane_bits
        self.in_lanes = in_lanes
        self.out_lanes = out_lanes
        self.max_count = max_count
        # The smallest capacity with which the slower side never waits, although ready and valid
        # depend on nothing but the level.
        self.capacity = max_count + out_lanes + min(max_count, out_lanes) - 1
        super().__init__(
            {
                "i": In(stream.Signature(lane_bits * in_lanes)),
                "o": Out(stream.Signature(lane_bits * out_lanes)),
                "count": In(range(max_count + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The input is registered, as `count` may be the end of a long path.
        held = Signal(self.lane_bits * self.in_lanes, reset_less=True)
        held_count = Signal(range(self.max_count + 1), reset_less=True)
        holds = Signal()
        lanes = [
            Signal(self.lane_bits, name=f"lane{k}", reset_less=True) for k in range(self.capacity)
        ]
        level = Signal(range(self.capacity + 1))
        # Next operation of each lane, if a word leaves and if none does.
        choices = [
            [
                Signal(range(self._TAKES + self.in_lanes), name=f"choice{k}", init=init)
                for k, init in enumerate(self._choices(0, 0))
            ]
            for _ in range(2)
        ]
        emit = Signal()
        # Registers that follow the level: what `i` and `o` are connected to can be long.
        ready, valid = Signal(init=1), Signal()
        ready_next = Signal()
        accepts = Signal(init=1)  # always ``ready | ~holds``
        m.d.sync += [
            ready.eq(ready_next),
            accepts.eq(ready_next | ~Mux(accepts, self.i.valid, holds)),
        ]
        m.d.comb += [
            self.i.ready.eq(accepts),
            self.o.valid.eq(valid),
            self.o.payload.eq(Cat(lanes[: self.out_lanes])),
            emit.eq(valid & self.o.ready),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                held.eq(self.i.payload),
                held_count.eq(self.count),
                holds.eq(self.i.valid),
            ]
        # A table of few bits: sums and comparisons one after the other would take carry chains.
        # Unreachable cases also assign, so that no clock-enable logic is inferred.
        with m.Switch(level):
            for value in range(self.capacity + 1):
                case = m.Case(value) if value < self.capacity else m.Default()
                with case, m.Switch(Cat(self.o.ready, holds, held_count)):
                    for goes, comes, count in product(*map(range, (2, 2, self.max_count + 1))):
                        following = value
                        if goes and value >= self.out_lanes:
                            following -= self.out_lanes
                        if comes and value <= self.capacity - self.max_count:
                            following += count
                        with m.Case(goes | comes << 1 | count << 2):
                            self._follow(m, following, level, ready_next, valid, choices)
                    with m.Default():
                        self._follow(m, value, level, ready_next, valid, choices)

        given = [held.word_select(k, self.lane_bits) for k in range(self.in_lanes)]
        for k, lane in enumerate(lanes):
            choice = Signal.like(choices[0][k], name=f"chosen{k}", init=0)
            m.d.comb += choice.eq(Mux(emit, choices[1][k], choices[0][k]))
            with m.Switch(choice):
                with m.Case(self._SHIFTS):
                    if k + self.out_lanes < self.capacity:
                        m.d.sync += lane.eq(lanes[k + self.out_lanes])
                with m.Case(self._CLEARS):
                    m.d.sync += lane.eq(0)
                for index, value in enumerate(given):
                    with m.Case(self._TAKES + index):
                        m.d.sync += lane.eq(value)
        return m

    def _follow(
        self,
        m: Module,
        level_after: int,
        level: Signal,
        ready_next: Signal,
        valid: Signal,
        choices: list[list[Signal]],
    ) -> None:
        """Set the level and what follows from it."""
        m.d.sync += [
            level.eq(level_after),
            valid.eq(level_after >= self.out_lanes),
        ]
        m.d.comb += ready_next.eq(level_after <= self.capacity - self.max_count)
        for emits, signals in enumerate(choices):
            m.d.sync += [
                signal.eq(value)
                for signal, value in zip(signals, self._choices(level_after, emits))
            ]

    def _choices(self, level: int, emits: int) -> list[int]:
        """Operation of each lane at a level: shift down with the others, stay, or take an input's
        lane.

        Lanes above the level are unused, so they may change with or without an input.
        """
        position = max(level - emits * self.out_lanes, 0)
        moves = self._SHIFTS if emits else self._STAYS
        takes = [self._TAKES + k for k in range(self.in_lanes)]
        rest = [self._CLEARS] * self.capacity
        return [*[moves] * position, *takes, *rest][: self.capacity]


def word_layout(size: int) -> data.StructLayout:
    """Payload of the upsizer's streams: `size` bytes, and whether they are the last of a run."""
    return data.StructLayout({"data": unsigned(size * 8), "last": unsigned(1)})


def tag_beats(
    m: Module, given: stream.Interface, tagged: stream.Interface, *, more: Value, last: Value
) -> None:
    """Connect beats to a stream of `word_layout` while `more` are to come; `last` goes along."""
    m.d.comb += [
        tagged.p.data.eq(given.payload),
        tagged.p.last.eq(last),
        tagged.valid.eq(given.valid & more),
        given.ready.eq(more & tagged.ready),
    ]


class Upsizer(wiring.Component):
    """Cuts rows of beats into words and drops what is left of a row's last beat.

    Takes a beat or gives a word every cycle, whichever is the slower side.

    Parameters
    ----------
    in_bytes : int
        Bytes of a beat, a power of two.
    out_bytes : int
        Bytes of a word.

    Members
    -------
    i : In(stream of word_layout(in_bytes))
        Beats.  `last` may be set in the last beat of a row.
    o : Out(stream of word_layout(out_bytes))
        Words.  `last` is set in the last word of a row whose last beat had it.
    row_beats, row_words : In(16)
        Beats and words of a row, ``row_beats = ceil(row_words * out_bytes / in_bytes)``.  They
        belong to the beats at `i`, and may change between a row's last beat and the next beat.
        ``row_words = 0`` makes an endless row, in which nothing is dropped.
    """

    def __init__(self, *, in_bytes: int, out_bytes: int) -> None:
        _check_beat("in_bytes", in_bytes)
        _check_size("out_bytes", out_bytes)
        self.in_bytes = in_bytes
        self.out_bytes = out_bytes
        super().__init__(
            {
                "i": In(stream.Signature(word_layout(in_bytes))),
                "o": Out(stream.Signature(word_layout(out_bytes))),
                "row_beats": In(16),
                "row_words": In(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.out_bytes % self.in_bytes == 0:
            self._collect(m)
        else:
            self._regroup(m)
        return m

    def _collect(self, m: Module) -> None:
        """Put whole beats together: rows end with a whole word, so they need no care."""
        beats = self.out_bytes // self.in_bytes
        # The beats of a word but its last one, which comes when the word before is gone: `i` needs
        # not know in the same cycle that it goes.  Where a beat is a word, there is no time.
        kept = Signal((beats - 1) * self.in_bytes * 8, reset_less=True)
        word = Signal(self.out_bytes * 8, reset_less=True)
        last = Signal(reset_less=True)
        count = Signal(range(max(beats, 2)))
        final = Signal(init=beats == 1)  # always `count == beats - 1`
        free = ~self.o.valid if beats > 1 else ~self.o.valid | self.o.ready
        m.d.comb += [
            self.i.ready.eq(~final | free),
            self.o.p.data.eq(word),
            self.o.p.last.eq(last),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                kept.eq(Cat(kept, self.i.p.data)[self.in_bytes * 8 :]),
                count.eq(Mux(final, 0, count + 1)),
                final.eq(1 if beats == 1 else count == beats - 2),
            ]
            with m.If(final):
                m.d.sync += [
                    word.eq(Cat(kept, self.i.p.data)),
                    last.eq(self.i.p.last),
                    self.o.valid.eq(1),
                ]

    def _regroup(self, m: Module) -> None:
        size = gcd(self.in_bytes, self.out_bytes)
        in_lanes, out_lanes = self.in_bytes // size, self.out_bytes // size
        # A lane is some bytes, and whether they are the last of a run.
        lane = word_layout(size)
        m.submodules.gearbox = gearbox = _Gearbox(
            lane_bits=lane.size, in_lanes=in_lanes, out_lanes=out_lanes, max_count=in_lanes
        )
        given = data.View(data.ArrayLayout(lane, in_lanes), gearbox.i.payload)
        taken = data.View(data.ArrayLayout(lane, out_lanes), gearbox.o.payload)
        beat = Signal(16, init=1)
        row_end = Signal()
        # Lanes that the row has in its last beat: a sum of a few low bits, as in_lanes is a
        # power of two.
        tail = Signal(range(in_lanes))
        m.d.comb += [
            row_end.eq(beat == self.row_beats),
            tail.eq(self.row_words[: len(tail)] * out_lanes),
            gearbox.count.eq(Mux(row_end & (tail != 0), tail, in_lanes)),
            gearbox.i.valid.eq(self.i.valid),
            self.i.ready.eq(gearbox.i.ready),
            self.o.valid.eq(gearbox.o.valid),
            gearbox.o.ready.eq(self.o.ready),
        ]
        for k in range(in_lanes):
            m.d.comb += [
                given[k].data.eq(self.i.p.data.word_select(k, size * 8)),
                given[k].last.eq(self.i.p.last & (gearbox.count == k + 1)),
            ]
        for k in range(out_lanes):
            m.d.comb += self.o.p.data.word_select(k, size * 8).eq(taken[k].data)
        m.d.comb += self.o.p.last.eq(taken[out_lanes - 1].last)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += beat.eq(Mux(row_end, 1, beat + 1))


class Downsizer(wiring.Component):
    """Packs rows of words into beats, with zeros after the last word of a row.

    Takes a word or gives a beat every cycle, whichever is the slower side.

    Parameters
    ----------
    in_bytes : int
        Bytes of a word.
    out_bytes : int
        Bytes of a beat, a power of two.

    Members
    -------
    i : In(stream of in_bytes * 8 bits)
        Words.
    o : Out(stream of out_bytes * 8 bits)
        Beats: ``ceil(row_words * in_bytes / out_bytes)`` for each row.
    row_words : In(16)
        Words of a row, at least 1.  It belongs to the words at `i`, and may change between a row's
        last word and the next word.
    """

    def __init__(self, *, in_bytes: int, out_bytes: int) -> None:
        _check_size("in_bytes", in_bytes)
        _check_beat("out_bytes", out_bytes)
        self.in_bytes = in_bytes
        self.out_bytes = out_bytes
        super().__init__(
            {
                "i": In(stream.Signature(in_bytes * 8)),
                "o": Out(stream.Signature(out_bytes * 8)),
                "row_words": In(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.in_bytes % self.out_bytes == 0:
            self._split(m)
        else:
            self._regroup(m)
        return m

    def _split(self, m: Module) -> None:
        """Shift whole beats out of a word: rows end with a whole beat, so they need no care."""
        beats = self.in_bytes // self.out_bytes
        word = Signal(self.in_bytes * 8, reset_less=True)
        left = Signal(range(max(beats, 2)))
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | (self.o.ready & (left == 0))),
            self.o.payload.eq(word),
        ]
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), left.eq(beats - 1), word.eq(self.i.payload)]
        with m.Elif(self.o.ready):
            m.d.sync += [left.eq(left - 1), word.eq(word >> self.out_bytes * 8)]

    def _regroup(self, m: Module) -> None:
        size = gcd(self.in_bytes, self.out_bytes)
        in_lanes, out_lanes = self.in_bytes // size, self.out_bytes // size
        m.submodules.gearbox = gearbox = _Gearbox(
            lane_bits=size * 8,
            in_lanes=in_lanes,
            out_lanes=out_lanes,
            max_count=in_lanes + out_lanes - 1,
        )
        word = Signal(16, init=1)
        row_end = Signal()
        # Lanes that a row lacks in its last beat: -row_words * in_lanes modulo a power of two.
        lack = Signal(range(out_lanes))
        m.d.comb += [
            row_end.eq(word == self.row_words),
            lack.eq(self.row_words[: len(lack)] * (-in_lanes % out_lanes)),
            gearbox.count.eq(in_lanes + Mux(row_end, lack, 0)),
            gearbox.i.payload.eq(self.i.payload),
            gearbox.i.valid.eq(self.i.valid),
            self.i.ready.eq(gearbox.i.ready),
            self.o.payload.eq(gearbox.o.payload),
            self.o.valid.eq(gearbox.o.valid),
            gearbox.o.ready.eq(self.o.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += word.eq(Mux(row_end, 1, word + 1))
