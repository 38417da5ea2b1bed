"""Signatures of the AXI buses, and what an AXI master of ours promises.

Members are flat and named as in the AXI specification without a prefix, so a port called
``m_act`` appears in Verilog as ``m_act__araddr`` and so on.  Directions are the master's.

Every burst of ours is INCR, of full-width beats, at most `MAX_BURST` beats long (the limit of
AXI3, which the Zynq's processor ports are) and never crosses a 4 KiB boundary.  IDs are one bit
and always 0.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BOUNDARY", "BURST_INCR", "MAX_BURST", "Resp", "axi_lite", "axi_read", "axi_write"]

MAX_BURST = 16
BOUNDARY = 4096
BURST_INCR = 1


class Resp(IntEnum):
    """Response codes of ``rresp`` and ``bresp``."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _check(*, addr_width: int, data_width: int) -> None:
    if not 1 <= addr_width <= 64:
        raise ValueError(f"addr_width must be from 1 to 64, not {addr_width!r}")
    if data_width not in (8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f"data_width must be a power of two from 8 to 1024, not {data_width!r}")


def _address(prefix: str, addr_width: int) -> dict[str, wiring.Member]:
    members = {
        "id": Out(1),
        "addr": Out(addr_width),
        "len": Out(8),
        "size": Out(3),
        "burst": Out(2),
        "valid": Out(1),
        "ready": In(1),
    }
    return {prefix + name: member for name, member in members.items()}


def axi_read(*, addr_width: int = 32, data_width: int = 64) -> wiring.Signature:
    """Signature of a read-only AXI4 master: the AR and R channels.

    Raises
    ------
    ValueError
        If a width is one that AXI does not have.
    """
    _check(addr_width=addr_width, data_width=data_width)
    return wiring.Signature(
        {
            **_address("ar", addr_width),
            "rid": In(1),
            "rdata": In(data_width),
            "rresp": In(2),
            "rlast": In(1),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


def axi_write(*, addr_width: int = 32, data_width: int = 64) -> wiring.Signature:
    """Signature of a write-only AXI4 master: the AW, W and B channels.

    Raises
    ------
    ValueError
        If a width is one that AXI does not have.
    """
    _check(addr_width=addr_width, data_width=data_width)
    return wiring.Signature(
        {
            **_address("aw", addr_width),
            "wdata": Out(data_width),
            "wstrb": Out(data_width // 8),
            "wlast": Out(1),
            "wvalid": Out(1),
            "wready": In(1),
            "bid": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
        }
    )


def axi_lite(*, addr_width: int = 14) -> wiring.Signature:
    """Signature of an AXI4-Lite master with 32-bit data.  A slave's port is ``In(axi_lite())``.

    Raises
    ------
    ValueError
        If the address width is out of range.
    """
    _check(addr_width=addr_width, data_width=32)
    return wiring.Signature(
        {
            "awaddr": Out(addr_width),
            "awvalid": Out(1),
            "awready": In(1),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wvalid": Out(1),
            "wready": In(1),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "araddr": Out(addr_width),
            "arvalid": Out(1),
            "arready": In(1),
            "rdata": In(32),
            "rresp": In(2),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )
