"""The sequencer: one program to the queues of five engines, in the order their waits allow.

::

    Fetch -+-> queue -> Gate -> LOAD
           +-> queue --------> WEIGHTS           Scoreboard: completed descriptors of each engine,
           +-> queue -> Gate -> CONV             which the gates compare with the waits
           +-> queue -> Gate -> DRAIN
           '-> queue -> Gate -> POST
"""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from penstock.hw.bus.burst_splitter import command_layout
from penstock.hw.core.fetch import Fetch
from penstock.hw.core.program_port import program_port
from penstock.hw.engines.descriptor import descriptor
from penstock.hw.lib.fifo import Fifo
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import ENGINE_WAITS, Op
from penstock.models.spec.regs import DONE_COUNTS

__all__ = ["COUNTED", "Gate", "Sequencer"]

# Engines whose progress descriptors can wait for.
COUNTED = tuple(op for op in Op if any(op in waits for waits in ENGINE_WAITS.values()))
assert tuple(op.name for op in COUNTED) == DONE_COUNTS

_COUNT_BITS = 16

# Descriptors that one engine can have in its queue and under way together.
_PENDING_BITS = 8


class Gate(wiring.Component):
    """Wait gate: holds a descriptor back until the engines it waits for have come far enough.

    Parameters
    ----------
    op : Op
        The engine behind the gate.

    Members
    -------
    i, o : streams of descriptor(op)
    count_load, ... : In(16)
        Descriptors completed by each engine of ``ENGINE_WAITS[op]``, modulo 2**16.
    waiting : Out(1)
        A descriptor is here, but does not show at the output.
    """

    def __init__(self, *, op: Op) -> None:
        self.op = op
        super().__init__(
            {
                "i": In(stream.Signature(descriptor(op))),
                "o": Out(stream.Signature(descriptor(op))),
                "waiting": Out(1),
                **{f"count_{wait.name.lower()}": In(_COUNT_BITS) for wait in ENGINE_WAITS[op]},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        met = Signal()
        ahead = []
        for wait in ENGINE_WAITS[self.op]:
            name = wait.name.lower()
            difference = Signal(_COUNT_BITS, name=f"ahead_of_{name}")
            m.d.comb += difference.eq(getattr(self, f"count_{name}") - self.i.p[f"wait_{name}"])
            ahead.append(~difference[-1])
        is_open, taken = Signal(), Signal()
        m.d.comb += [
            met.eq(Cat(ahead).all()),
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(is_open),
            self.i.ready.eq(taken),
            self.waiting.eq(self.i.valid & ~is_open & ~taken),
        ]
        # Counts only grow, so what was met stays met: the comparison may have a cycle of its own.
        # `taken` is registered, which keeps the engines' paths out of the queue.
        m.d.sync += taken.eq(is_open & self.o.ready)
        with m.If(is_open):
            m.d.sync += is_open.eq(~self.o.ready)
        with m.Else():
            m.d.sync += is_open.eq(self.i.valid & met & ~taken)
        return m


def queued_layout(op: Op) -> data.StructLayout:
    """Layout of what a queue holds of a descriptor: all but the opcode, which it is known by."""
    fields = dict(descriptor(op).members)
    del fields["op"]
    return data.StructLayout(fields)


class Sequencer(wiring.Component):
    """Runs one program.

    Parameters
    ----------
    arch : Arch

    Members
    -------
    program : In(program_port())
        What to run, and how far it is.
    cmd : Out(stream of command_layout)
        To the descriptor DMA.
    data : In(stream of 64 bits)
        From the descriptor DMA.
    o_load, o_weights, o_conv, o_drain, o_post : Out(stream of descriptor(op))
        Descriptors whose waits are met; also as the mapping `engines`.
    done_load, done_weights, ... : In(1)
        Pulse: the engine completed a descriptor; also as the mapping `done`.
    conv_waiting : Out(1)
        A CONV descriptor waits for LOAD.
    """

    def __init__(self, *, arch: Arch) -> None:
        self.arch = arch
        names = {op: op.name.lower() for op in Op}
        super().__init__(
            {
                "program": In(program_port(count_bits=_COUNT_BITS)),
                "cmd": Out(stream.Signature(command_layout)),
                "data": In(stream.Signature(64)),
                **{f"o_{names[op]}": Out(stream.Signature(descriptor(op))) for op in Op},
                **{f"done_{names[op]}": In(1) for op in Op},
                "conv_waiting": Out(1),
            }
        )

    @property
    def engines(self) -> dict[Op, stream.Interface]:
        """The output stream of each engine."""
        return {op: getattr(self, f"o_{op.name.lower()}") for op in Op}

    @property
    def done(self) -> dict[Op, Signal]:
        """The completion pulse of each engine."""
        return {op: getattr(self, f"done_{op.name.lower()}") for op in Op}

    @property
    def count(self) -> dict[Op, Signal]:
        """The count of completed descriptors of each engine that can be waited for."""
        return dict(zip(COUNTED, self.program.done))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fetch = fetch = Fetch(arch=self.arch)
        connect(m, fetch.cmd, flipped(self.cmd))
        connect(m, flipped(self.data), fetch.data)
        m.d.comb += [
            fetch.start.eq(self.program.start),
            fetch.desc_addr.eq(self.program.desc_addr),
            fetch.desc_count.eq(self.program.desc_count),
            self.program.fetched.eq(fetch.fetched),
            self.program.bad.eq(fetch.bad),
        ]
        # The pulses come from far away: they enable, and are not in the sums.
        for op, count in self.count.items():
            with m.If(self.done[op]):
                m.d.sync += count.eq(count + 1)

        finished = fetch.finished
        for op in Op:
            given = fetch.engines[op]
            self._queue(m, op, given)
            pending = Signal(_PENDING_BITS, name=f"pending_{op.name.lower()}")
            # Counted a cycle late, like what `fetch.finished` knows.
            taken = Signal(name=f"taken_{op.name.lower()}")
            m.d.sync += taken.eq(given.valid & given.ready)
            with m.If(taken != self.done[op]):
                m.d.sync += pending.eq(pending + Mux(taken, 1, -1))
            finished = finished & (pending == 0)
        m.d.sync += self.program.complete.eq(finished)
        return m

    def _queue(self, m: Module, op: Op, given: stream.Interface) -> None:
        """Connect one engine through its queue, if there is one, and its gate.

        The queue leaves out the opcode.
        """
        name = op.name.lower()
        gate = Gate(op=op)
        m.submodules[f"gate_{name}"] = gate
        if self.arch.queue_depth:
            layout = queued_layout(op)
            queue = Fifo(shape=layout, depth=self.arch.queue_depth)
            m.submodules[f"queue_{name}"] = queue
            m.d.comb += [queue.i.p[field].eq(given.p[field]) for field in layout.members]
            m.d.comb += [queue.i.valid.eq(given.valid), given.ready.eq(queue.i.ready)]
            given = queue.o
        fields = [field for field in descriptor(op).members if field != "op"]
        m.d.comb += [gate.i.p[field].eq(given.p[field]) for field in fields]
        m.d.comb += [
            gate.i.p.op.eq(op.value),
            gate.i.valid.eq(given.valid),
            given.ready.eq(gate.i.ready),
        ]
        m.d.comb += [
            getattr(gate, f"count_{wait.name.lower()}").eq(self.count[wait])
            for wait in ENGINE_WAITS[op]
        ]
        connect(m, gate.o, flipped(self.engines[op]))
        if op is Op.CONV:
            m.d.comb += self.conv_waiting.eq(gate.waiting)
