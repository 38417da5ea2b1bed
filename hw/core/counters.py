"""Performance counters: what the array did in each cycle of a run, and the memory traffic."""

from __future__ import annotations

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.lib.split_counter import COUNT_LATENCY, counted
from penstock.hw.lib.timing_policy import policy_of
from penstock.models.spec.regs import LOG_FIELDS

__all__ = ["Counters"]


class Counters(wiring.Component):
    """The counters of `models.spec.regs.LOG_FIELDS`.

    An event shows in the counts `LATENCY` cycles after the cycle it happened in.

    Parameters
    ----------
    bits : int
        Width of the counts, 1 to 32; they wrap.

    Members
    -------
    clear : In(1)
        Zero all counts: only events of this cycle and later ones show in them.
    enable : In(1)
        A program runs: count.
    array_busy, wait_weights, wait_output, wait_input : In(1)
        What the CONV engine does this cycle.  The first of them that is set counts, so a cycle is
        never counted twice.
    act_waiting, wgt_waiting : In(1)
        The activation or the weight port waits for memory.
    read_beat : In(3)
        One bit for each read port: a beat is transferred.
    write_beat : In(1)
        The write port transfers a beat.
    counts : Out(32).array(len(LOG_FIELDS))
        In the order of `LOG_FIELDS`.
    """

    LATENCY = 1 + COUNT_LATENCY

    def __init__(self, *, bits: int) -> None:
        if not isinstance(bits, int) or not 1 <= bits <= 32:
            raise ValueError(f"bits must be from 1 to 32, not {bits!r}")
        self.bits = bits
        super().__init__(
            {
                "clear": In(1),
                "enable": In(1),
                "array_busy": In(1),
                "wait_weights": In(1),
                "wait_output": In(1),
                "wait_input": In(1),
                "act_waiting": In(1),
                "wgt_waiting": In(1),
                "read_beat": In(3),
                "write_beat": In(1),
                "counts": Out(32).array(len(LOG_FIELDS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = policy_of(platform)
        memory = Signal()
        events = {
            name: Signal(2 if name == "read_beats" else 1, name=f"event_{name}", reset_less=True)
            for name, _ in LOG_FIELDS
        }
        m.d.sync += [event.eq(0) for event in events.values()]
        with m.If(self.enable):
            m.d.sync += [
                events["cycles"].eq(1),
                events["stall_memory"].eq(memory),
                events["read_beats"].eq(sum(self.read_beat)),
                events["write_beats"].eq(self.write_beat),
            ]
            with m.If(self.array_busy):
                m.d.sync += events["busy"].eq(1)
            with m.Elif(self.wait_weights):
                m.d.sync += events["stall_weights"].eq(1)
                m.d.comb += memory.eq(self.wgt_waiting)
            with m.Elif(self.wait_output):
                m.d.sync += events["stall_output"].eq(1)
            with m.Elif(self.wait_input):
                m.d.sync += events["stall_input"].eq(1)
                m.d.comb += memory.eq(self.act_waiting)

        # Every run begins with `clear`: many registers that need no reset as well.
        for (name, _), count in zip(LOG_FIELDS, self.counts):
            more = events[name]
            m.d.comb += count.eq(
                counted(
                    m, more, bits=self.bits, name=f"count_{name}", clear=self.clear, timing=timing
                )
            )
        return m
