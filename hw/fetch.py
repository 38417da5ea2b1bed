"""Descriptor fetch: a program in memory to a stream of descriptors for each engine.

Descriptors arrive ahead of their use, in program order.  One is checked and handed out every 10
cycles at most: 8 for its beats, one to check it, one to hand it to its queue.  Where the arch's
`check_bits` are less than a beat's, each beat takes as many cycles as it has pieces.
"""

from __future__ import annotations

from amaranth import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from hw.dma import command_layout
from hw.layout import descriptor
from models.arch import Arch
from models.isa import DESCRIPTOR_BYTES, Dest, Op

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
            "groups": (1, arch.cols // arch.drain_lanes),
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
        Pulse, once after a reset: fetch `desc_count` descriptors from ``base + desc_addr`` on.
    base, desc_addr, desc_count : In(32)
    cmd : Out(stream of command_layout)
        To the read DMA, one command for each descriptor.
    data : In(stream of 64 bits)
        The beats of those commands.
    o_load, o_weights, o_conv, o_drain, o_post : Out(stream of descriptor(op))
    fetched : Out(32)
        Descriptors fetched, a bad one included.
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
                "base": In(32),
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
        self._ask(m)
        size = max(descriptor(op).size for op in Op)
        words = [Signal(64, name=f"word{k}", reset_less=True) for k in range(-(-size // 64))]
        left = Signal(32)
        beat = Signal(range(_BEATS))
        # One bit for each engine: the descriptor is whole, and it is the engine's, and may run.
        legal = Signal(len(Op))
        running = Signal()
        handed = Signal()
        # A beat is taken with the last piece of it that goes into the checksum.
        width = self.arch.check_bits
        pieces = 64 // width
        given, first, last = self.data.payload, Const(1), Const(1)
        piece = Signal(range(pieces))
        if pieces > 1:
            given = given.word_select(piece, width)
            first, last = piece == 0, piece == pieces - 1
        collecting = Signal()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=width).create()
        m.d.comb += [
            crc.start.eq((beat == 0) & first),
            crc.data.eq(given),
            crc.valid.eq(self.data.valid & collecting),
        ]

        views = {op: data.View(descriptor(op), Cat(words)[: descriptor(op).size]) for op in Op}
        for op, o in self.engines.items():
            m.d.comb += o.payload.eq(views[op])
        with m.If(self.start):
            m.d.sync += [left.eq(self.desc_count), running.eq(1)]
        # Counted a cycle late: who took it is a long path.
        counted = Signal()
        m.d.sync += [counted.eq(handed), self.finished.eq(running & (left == 0))]
        with m.If(counted):
            m.d.sync += left.eq(left - 1)

        with m.FSM():
            with m.State("collect"):
                m.d.comb += [collecting.eq(1), self.data.ready.eq(last)]
                with m.If(self.data.valid):
                    m.d.sync += piece.eq(piece + 1)
                with m.If(self.data.valid & self.data.ready):
                    m.d.sync += beat.eq(beat + 1)
                    with m.Switch(beat):
                        for k, word in enumerate(words):
                            with m.Case(k):
                                m.d.sync += word.eq(self.data.payload)
                    with m.If(beat == _BEATS - 1):
                        m.next = "check"
            with m.State("check"):
                m.d.sync += [
                    legal.eq(Cat(crc.match_detected & self._legal(op, views[op]) for op in Op)),
                    self.fetched.eq(self.fetched + 1),
                ]
                m.next = "hand out"
            with m.State("hand out"):
                for index, o in enumerate(self.engines.values()):
                    m.d.comb += o.valid.eq(legal[index])
                    with m.If(o.valid & o.ready):
                        m.d.comb += handed.eq(1)
                with m.If(handed):
                    m.next = "collect"
                with m.If(legal == 0):
                    m.d.sync += self.bad.eq(1)
        return m

    def _ask(self, m: Module) -> None:
        """Command the DMA, descriptor after descriptor."""
        addr = Signal(32, reset_less=True)
        left = Signal(32, reset_less=True)
        m.d.comb += [self.cmd.p.addr.eq(addr), self.cmd.p.beats.eq(_BEATS)]
        with m.If(self.start):
            m.d.sync += [
                addr.eq(self.base + self.desc_addr),
                left.eq(self.desc_count),
                self.cmd.valid.eq(self.desc_count != 0),
            ]
        with m.Elif(self.cmd.valid & self.cmd.ready):
            m.d.sync += [
                addr.eq(addr + DESCRIPTOR_BYTES),
                left.eq(left - 1),
                self.cmd.valid.eq((left != 1) & ~self.bad),
            ]

    def _legal(self, op: Op, view: data.View) -> Value:
        """Whether the descriptor is one of engine `op`, with fields inside their limits."""
        legal = view.op == op.value
        for name, (low, high) in limits(self.arch)[op].items():
            legal = legal & (view[name] >= low)
            if high is not None:
                legal = legal & (view[name] <= high)
        return legal
