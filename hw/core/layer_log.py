"""The layer log: a block RAM that takes a snapshot of all counters for each marked layer."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.lib.buffer import READ_LATENCY, Buffer
from penstock.hw.lib.memory_ports import read_port
from penstock.hw.lib.timing_policy import policy_of
from penstock.models.spec.regs import LOG_FIELDS

__all__ = ["LayerLog"]


class LayerLog(wiring.Component):
    """Entries of ``len(LOG_FIELDS)`` 32-bit words, written from a snapshot one word a cycle.

    Parameters
    ----------
    entries : int
        Entries it holds; snapshots beyond that are dropped.

    Members
    -------
    clear : In(1)
        Forget all entries.
    mark : In(1)
        Append an entry with the counts of `DELAY` cycles later.  A mark during the write of an
        entry waits for its end; a further one before that is lost.
    counts : In(32).array(len(LOG_FIELDS))
    busy : Out(1)
        An entry is not complete, nor will it be in the next cycle.  Set in the cycle of the mark
        itself, too.
    count : Out(32)
        Complete entries.
    r : Out(read_port())
        The words; the data comes `READ_LATENCY` cycles after the address.
    """

    DELAY = 2
    READ_LATENCY = READ_LATENCY

    def __init__(self, *, entries: int) -> None:
        if entries < 1:
            raise ValueError(f"entries must be a positive integer, not {entries!r}")
        self.entries = entries
        self.words = len(LOG_FIELDS)
        super().__init__(
            {
                "clear": In(1),
                "mark": In(1),
                "counts": In(32).array(self.words),
                "busy": Out(1),
                "count": Out(32),
                "r": Out(read_port(addr=range(entries * self.words), data=32)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = policy_of(platform)
        m.submodules.memory = memory = Buffer(depth=self.entries * self.words, width=32)
        connect(m, flipped(self.r), memory.r)

        delayed = Signal(self.DELAY)
        waiting = Signal()
        writing, writes_next = Signal(), Signal()
        # The word that is written, and whether it is an entry's last one.
        word = Signal(range(self.words))
        last = Signal()
        full = Signal()
        count = Signal(range(self.entries + 1))
        address = Signal(range(self.entries * self.words + 1))
        snapshot = [Signal(32, name=f"snapshot_{i}", reset_less=True) for i in range(self.words)]
        due = delayed[-1] | waiting
        m.d.sync += delayed.eq((delayed << 1) | self.mark)
        # While no entry is written, the snapshot follows the counts.  Each word has a duplicate
        # of its own, as they are many bits.
        m.d.comb += writes_next.eq(writing)
        m.d.sync += writing.eq(writes_next)
        for index, (here, given) in enumerate(zip(snapshot, self.counts)):
            shifts = timing.duplicate(name=f"shifts_{index}")
            m.d.sync += [
                shifts.eq(writes_next),
                here.eq(Mux(shifts, snapshot[min(index + 1, self.words - 1)], given)),
            ]
        m.d.comb += [
            self.count.eq(count),
            self.busy.eq(self.mark | delayed.any() | waiting | (writing & ~last)),
            memory.w.addr.eq(address),
            memory.w.data.eq(snapshot[0]),
            memory.w.en.eq(writing),
        ]
        with m.If(writing):
            m.d.sync += [
                word.eq(word + 1),
                address.eq(address + 1),
                last.eq(word == self.words - 2),
                waiting.eq(due),
            ]
            with m.If(last):
                m.d.comb += writes_next.eq(0)
                m.d.sync += [
                    word.eq(0),
                    count.eq(count + 1),
                    full.eq(count == self.entries - 1),
                ]
        with m.Elif(due):
            m.d.sync += waiting.eq(0)
            with m.If(~full):
                m.d.comb += writes_next.eq(1)
        with m.If(self.clear):
            m.d.comb += writes_next.eq(0)
            m.d.sync += [
                delayed.eq(0),
                waiting.eq(0),
                word.eq(0),
                last.eq(0),
                address.eq(0),
                count.eq(0),
                full.eq(0),
            ]
        return m
