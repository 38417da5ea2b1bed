"""The hardware handoff: read back; clocks; damage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.hwh import CSR_BASE, Handoff, divisors, read_hwh, write_hwh

HANDOFF = Handoff(
    arch="pynq-z2",
    fingerprint=0x0123456789ABCDEF,
    base=CSR_BASE,
    divisors=(4, 3),
    payload_sha256="ab" * 32,
)


def test_round_trip() -> None:
    assert read_hwh(write_hwh(HANDOFF)) == HANDOFF
    assert HANDOFF.fclk_mhz == pytest.approx(83.333, abs=1e-3)


@pytest.mark.parametrize(
    ("mhz", "expected"),
    [(100, 100), (86.7, 1000 / 12), (99.9, 1000 / 11), (1000, 1000), (0.3, 0.3)],
)
def test_divisors(mhz: float, expected: float) -> None:
    first, second = divisors(mhz)
    assert 1 <= second <= first <= 63
    assert 1000 / (first * second) <= mhz
    assert 1000 / (first * second) == pytest.approx(expected, rel=0.01)


def test_no_such_clock() -> None:
    with pytest.raises(ValueError, match=r"mhz must be at least 0\.25, not 0\.1"):
        divisors(0.1)


def without(name: str) -> str:
    lines = write_hwh(HANDOFF).splitlines()
    return "\n".join(line for line in lines if f'"{name}"' not in line)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a hardware handoff: no element found"),
        ("<a/>", "the design has no penstock"),
        (write_hwh(HANDOFF).replace("/ps7", "/ps8"), "the design has no ps7"),
        (without("ARCH"), "the parameter 'ARCH' is missing"),
        (without("PCW_FCLK0_PERIPHERAL_DIVISOR1"), "'PCW_FCLK0_PERIPHERAL_DIVISOR1' is missing"),
        (write_hwh(HANDOFF).replace("0x0123456789ABCDEF", "x"), "a parameter is damaged"),
        (write_hwh(HANDOFF).replace("MEMRANGE", "RANGE"), "the address of penstock"),
    ],
)
def test_damage(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_hwh(text)


def test_another_bitstream_is_another_handoff() -> None:
    other = replace(HANDOFF, payload_sha256="cd" * 32)
    assert read_hwh(write_hwh(other)) != HANDOFF
