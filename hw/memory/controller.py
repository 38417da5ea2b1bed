"""What memory controllers have in common: requests, beats and answers."""

from __future__ import annotations

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["context_layout", "controller_members", "read_layout", "request_layout", "write_layout"]

write_layout = data.StructLayout({"data": 64, "strobe": 8})


def request_layout(tag_bits: int) -> data.StructLayout:
    """A burst: byte address (a multiple of 8), 1 to 16 beats within a row, direction.

    `tag` comes back with the answer.
    """
    return data.StructLayout({"addr": 32, "beats": 5, "write": 1, "tag": tag_bits})


def read_layout(tag_bits: int) -> data.StructLayout:
    """A beat that was read, and what `context_layout` says of it."""
    return data.StructLayout({"data": 64, **dict(context_layout(tag_bits).members)})


def context_layout(tag_bits: int) -> data.StructLayout:
    """Whose burst a beat belongs to, whether it is the burst's last, and outside the memory."""
    return data.StructLayout({"tag": tag_bits, "last": 1, "error": 1})


def controller_members(tag_bits: int) -> dict[str, wiring.Member]:
    """Members of every controller.

    i : In(stream of request_layout)
    w : In(stream of write_layout)
        Beats to write, in the order of the requests; those of a request must be there when it
        comes.
    r : Out(read_layout), r_valid : Out(1)
        Beats that were read.  They must be taken at once.
    w_tag : Out(tag_bits), w_done : Out(1), w_error : Out(1)
        Pulse: the last beat of this write burst is on its way to the memory; whatever reads it
        later gets it.

    Raises
    ------
    ValueError
        If `tag_bits` is no positive integer.
    """
    if not isinstance(tag_bits, int) or tag_bits < 1:
        raise ValueError(f"tag_bits must be a positive integer, not {tag_bits!r}")
    return {
        "i": In(stream.Signature(request_layout(tag_bits))),
        "w": In(stream.Signature(write_layout)),
        "r": Out(read_layout(tag_bits)),
        "r_valid": Out(1),
        "w_tag": Out(tag_bits),
        "w_done": Out(1),
        "w_error": Out(1),
    }
