"""Descriptor fetch: a program in memory to a stream of descriptors for each engine.

Descriptors arrive ahead of their use, in program order.  One is checked and handed out every 10
cycles at most: 8 for its beats, one to check it, one to hand it to its queue.  Where the arch's
`check_bits` are less than a beat's, each beat takes as many cycles as it has pieces.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from penstock.hw.bus.burst_splitter import command_layout
from penstock.hw.engines.descriptor import descriptor
from penstock.hw.lib.split_counter import counted, counted_down
from penstock.hw.lib.split_sum import SplitTotal
from penstock.hw.lib.timing_policy import TimingPolicy, policy_of
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Dest, Op

__all__ = ["Fetch", "limits"]

_BEATS = DESCRIPTOR_BYTES // 8


def limits(arch: Arch) -> dict[Op, dict[str, tuple[int, int | None]]]:
    """Least and greatest value (None: all that fit) of the fields that hardware checks.

    These are the fields with which an engine would hang or leave its memories; a program that
    breaks another rule computes nonsense, but it ends.
    """
    some = (1, None)
    return {
        Op.LOAD: {"dest": (0, max(Dest)), "plane_beats": some, "planes": some},
        Op.WEIGHTS: {"beats": some},
        Op.CONV: {"n_cb": some, "n_ky": some, "n_kx": some, "n_y": some, "n_x": some},
        Op.DRAIN: {
            "offset": (0, arch.rows - 1),
            "lane_groups": (1, arch.cols // arch.drain_lanes),
            "count": (1, arch.psum_words),
        },
        Op.POST: {
            "kernel": (1, 3),
            "stride": some,
            "channels": (1, arch.rows),
            "out_h": some,
            "out_w": some,
            "row_beats": some,
            "beats": some,
        },
    }


class Fetch(wiring.Component):
    """Fetches, checks and hands out the descriptors of one program.

    Parameters
    ----------
    arch : Arch

    Members
    -------
    start : In(1)
        Pulse, once after a reset: fetch `desc_count` descriptors from `desc_addr` on.
    desc_addr, desc_count : In(32)
    cmd : Out(stream of command_layout)
        To the read DMA, one command for each descriptor, at most one in two cycles.
    data : In(stream of 64 bits)
        The beats of those commands.
    o_load, o_weights, o_conv, o_drain, o_post : Out(stream of descriptor(op))
    fetched : Out(32)
        Descriptors fetched, a bad one included; it has one when the one shows that is bad.
    bad : Out(1)
        The last descriptor is damaged: its checksum is wrong; or it is for no engine, or has a
        field outside `limits`.  It holds, and nothing is handed out any more.
    finished : Out(1)
        All descriptors were handed out; low before `start`.
    """

    def __init__(self, *, arch: Arch) -> None:
        self.arch = arch
        super().__init__(
            {
                "start": In(1),
                "desc_addr": In(32),
                "desc_count": In(32),
                "cmd": Out(stream.Signature(command_layout)),
                "data": In(stream.Signature(64)),
                **{f"o_{op.name.lower()}": Out(stream.Signature(descriptor(op))) for op in Op},
                "fetched": Out(32),
                "bad": Out(1),
                "finished": Out(1),
            }
        )

    @property
    def engines(self) -> dict[Op, stream.Interface]:
        """The output stream of each engine."""
        return {op: getattr(self, f"o_{op.name.lower()}") for op in Op}

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing = policy_of(platform)
        self._ask(m, timing)
        size = max(descriptor(op).size for op in Op)
        words = [Signal(64, name=f"word{k}", reset_less=True) for k in range(-(-size // 64))]
        # The beat that is awaited.
        beat = Signal(_BEATS, init=1)
        # A descriptor goes through these one after the other: its beats come, all are here, and
        # one bit for each engine: it is whole, and it is the engine's, and may run.
        collecting, checks, checked = Signal(init=1), Signal(), Signal()
        fits, legal = Signal(len(Op)), Signal(len(Op))
        # A beat is taken with the last piece of it that goes into the checksum.
        width = self.arch.check_bits
        pieces = 64 // width
        given, first, last = self.data.payload, Const(1), Const(1)
        piece = Signal(range(pieces))
        if pieces > 1:
            given = given.word_select(piece, width)
            first, last = piece == 0, piece == pieces - 1
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=width).create()
        m.d.comb += [
            crc.start.eq(beat[0] & first),
            crc.data.eq(given),
            crc.valid.eq(self.data.valid & collecting),
            self.data.ready.eq(collecting & last),
        ]
        with m.If(self.data.valid & collecting):
            m.d.sync += piece.eq(piece + 1)
        taken = Signal()
        m.d.comb += taken.eq(self.data.valid & self.data.ready)
        with m.If(taken):
            m.d.sync += beat.eq(beat.rotate_left(1))
        for word, here in zip(words, beat):
            with m.If(taken & here):
                m.d.sync += word.eq(self.data.payload)

        views = {op: data.View(descriptor(op), Cat(words)[: descriptor(op).size]) for op in Op}
        # Duplicate of `legal` that drives only the queues, to limit fan-out.
        offers = timing.duplicate(len(Op), name="offers")
        handed = Signal()
        for o, view, offered, waits in zip(self.engines.values(), views.values(), offers, legal):
            m.d.comb += [o.payload.eq(view), o.valid.eq(offered)]
            with m.If(waits & o.ready):
                m.d.comb += handed.eq(1)
        m.d.sync += [checks.eq(taken & beat[-1]), checked.eq(checks)]
        with m.If(taken & beat[-1]):
            m.d.sync += collecting.eq(0)
        # The last beat has the checksum, and no field: these have been here for a cycle.
        m.d.sync += fits.eq(Cat(self._legal(op, view) for op, view in views.items()))
        with m.If(checks):
            m.d.sync += [signal.eq(Mux(crc.match_detected, fits, 0)) for signal in (legal, offers)]
        with m.If(checked & (legal == 0)):
            m.d.sync += self.bad.eq(1)
        with m.If(handed):
            m.d.sync += [legal.eq(0), offers.eq(0), collecting.eq(1)]
        m.d.comb += self.fetched.eq(
            counted(m, checks, bits=len(self.fetched), name="fetched", timing=timing)
        )
        self._finish(m, handed, timing)
        return m

    def _finish(self, m: Module, handed: Value, timing: TimingPolicy) -> None:
        """Say when the last descriptor was handed out."""
        # Counted a cycle late: who took it is a long path.
        counts, all_handed = Signal(), Signal()
        last = counted_down(
            m,
            take=self.start,
            value=self.desc_count,
            step=counts,
            name="left_to_hand",
            timing=timing,
        )
        m.d.sync += [counts.eq(handed), self.finished.eq(all_handed)]
        with m.If(self.start):
            m.d.sync += all_handed.eq(self.desc_count == 0)
        with m.Elif(counts):
            m.d.sync += all_handed.eq(last)

    def _ask(self, m: Module, timing: TimingPolicy) -> None:
        """Command the DMA, descriptor after descriptor."""
        addr = SplitTotal(m, 32, name="addr", timing=timing)
        taken = self.cmd.valid & self.cmd.ready
        last = counted_down(
            m,
            take=self.start,
            value=self.desc_count,
            step=taken,
            name="left_to_ask",
            timing=timing,
        )
        # A command was taken in the cycle before, and was not the last one.
        follows = Signal()
        m.d.comb += [self.cmd.p.addr.eq(addr.value), self.cmd.p.beats.eq(_BEATS)]
        m.d.sync += follows.eq(taken & ~last)
        with m.If(self.start):
            addr.load(self.desc_addr)
            m.d.sync += self.cmd.valid.eq(self.desc_count != 0)
        with m.Elif(taken):
            addr.add(DESCRIPTOR_BYTES)
            m.d.sync += self.cmd.valid.eq(0)
        with m.Elif(follows):
            m.d.sync += self.cmd.valid.eq(~self.bad)

    def _legal(self, op: Op, view: data.View) -> Value:
        """Whether the descriptor is one of engine `op`, with fields inside their limits."""
        legal = view.op == op.value
        for name, (low, high) in limits(self.arch)[op].items():
            legal = legal & (view[name] >= low)
            if high is not None:
                legal = legal & (view[name] <= high)
        return legal
