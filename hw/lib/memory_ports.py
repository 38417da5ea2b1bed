"""Signatures of a memory's ports, from the memory's side.

They are those of `amaranth.lib.memory`, except that nothing is read unless `en` is set, that an
address may be a structure, and that what is read may be several values.
"""

from __future__ import annotations

from amaranth import ShapeLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["read_port", "write_port"]


def read_port(*, addr: ShapeLike, data: ShapeLike, values: int | None = None) -> wiring.Signature:
    """Signature of a memory's read port: the data comes a constant number of cycles after `en`.

    Parameters
    ----------
    addr, data : ShapeLike
    values : int or None
        Length of the array that `data` is; None: it is one value.
    """
    read = Out(data) if values is None else Out(data).array(values)
    return wiring.Signature({"en": In(1), "addr": In(addr), "data": read})


def write_port(*, addr: ShapeLike, data: ShapeLike, enables: int = 1) -> wiring.Signature:
    """Signature of a memory's write port, which never stalls.

    Parameters
    ----------
    addr, data : ShapeLike
    enables : int
        Equal parts of a word that can be written alone.
    """
    return wiring.Signature({"en": In(enables), "addr": In(addr), "data": In(data)})
