"""Interface between registers and sequencer: the program and its state."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from penstock.models.spec.regs import DONE_COUNTS

__all__ = ["program_port"]


def program_port(*, count_bits: int = 16) -> wiring.Signature:
    """Signature of the registers' side.

    start : Out(1)
        Pulse, once after a reset: run `desc_count` descriptors from `desc_addr` on.
    desc_addr, desc_count : Out(32)
        Constant from `start` on.
    complete : In(1)
        All descriptors were fetched and every engine has completed its own; it holds.
    bad : In(1)
        The descriptor fetched last is bad (see `hw.core.fetch.Fetch`); it holds, and nothing
        follows.
    fetched : In(32)
        Descriptors fetched, a bad one included.
    done : In(count_bits) array
        Descriptors completed by each engine of `models.spec.regs.DONE_COUNTS`; they wrap.
    """
    return wiring.Signature(
        {
            "start": Out(1),
            "desc_addr": Out(32),
            "desc_count": Out(32),
            "complete": In(1),
            "bad": In(1),
            "fetched": In(32),
            "done": In(count_bits).array(len(DONE_COUNTS)),
        }
    )
