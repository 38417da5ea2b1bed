"""The AXI signatures: every member has the width that the specification gives it."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.hw.bus.axi import axi_lite, axi_read, axi_write

# Widths that do not depend on the bus's own, by the name behind the channel's prefix.
FIXED = {
    **dict.fromkeys(("valid", "ready", "last", "id"), 1),
    **{"len": 8, "size": 3, "burst": 2, "resp": 2},
}


def widths(signature: Any) -> dict[str, int]:
    return {name: member.shape for name, member in signature.members.items()}


def channel(name: str) -> tuple[str, str]:
    """A member's channel and its name in it."""
    for prefix in ("aw", "ar", "w", "r", "b"):
        if name.startswith(prefix):
            return prefix, name.removeprefix(prefix)
    raise AssertionError(name)


@pytest.mark.parametrize("data", [8, 16, 32, 64, 128, 256, 512, 1024])
@pytest.mark.parametrize("addr", [1, 32, 64])
def test_widths(addr: int, data: int) -> None:
    for make in (axi_read, axi_write):
        for name, width in widths(make(addr_width=addr, data_width=data)).items():
            own = {"addr": addr, "data": data, "strb": data // 8}
            assert width == (FIXED | own)[channel(name)[1]], name


def test_default_widths() -> None:
    for make in (axi_read, axi_write):
        members = widths(make())
        assert {64} == {width for name, width in members.items() if name.endswith("data")}
        assert {32} == {width for name, width in members.items() if name.endswith("addr")}
    assert widths(axi_write())["wstrb"] == 8


def test_lite() -> None:
    for name, width in widths(axi_lite(addr_width=20)).items():
        own = {"addr": 20, "data": 32, "strb": 4}
        assert width == (FIXED | own)[channel(name)[1]], name
    assert widths(axi_lite())["araddr"] == widths(axi_lite())["awaddr"] == 14


@pytest.mark.parametrize("make", [axi_read, axi_write])
def test_wrong_widths(make: Any) -> None:
    for addr in (0, 65):
        with pytest.raises(ValueError, match=f"addr_width must be from 1 to 64, not {addr}"):
            make(addr_width=addr)
    for data in (4, 9, 15, 31, 33, 63, 65, 513, 1023, 2048):
        with pytest.raises(ValueError, match=f"data_width must be a power of two .* not {data}"):
            make(data_width=data)
    with pytest.raises(ValueError, match="addr_width must be from 1 to 64, not 0"):
        axi_lite(addr_width=0)
