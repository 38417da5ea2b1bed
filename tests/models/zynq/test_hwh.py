"""The hardware handoff: round trip, clocks, damage.  tests/board reads it with pynq."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from penstock.models.zynq.hwh import CSR_BASE, Handoff, clock_mhz, divisors, read_hwh, write_hwh

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


@pytest.mark.parametrize("limit", [1, 33.4, 87.3, 100, 142.857, 250, 999, 1000])
def test_divisors_give_the_fastest_clock_below_the_limit(limit: float) -> None:
    found = clock_mhz(divisors(limit))
    assert found == max(
        1000 / (a * b) for a in range(1, 64) for b in range(1, 64) if 1000 / (a * b) <= limit
    )
    # The clock is set to the value it was built for.
    assert clock_mhz(divisors(found)) == found


@pytest.mark.parametrize("limit", [0.1, 0, -1])
def test_no_such_clock(limit: float) -> None:
    with pytest.raises(ValueError, match=rf"mhz must be at least 0\.25, not {limit}"):
        divisors(limit)


def test_pynq_4_finds_the_frequency_of_every_clock() -> None:
    text = write_hwh(HANDOFF)
    for n, mhz in enumerate(("83.333333", *["0.251953"] * 3)):
        assert f'NAME="PSU__CRL_APB__PL{n}_REF_CTRL__ACT_FREQMHZ" VALUE="{mhz}"' in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base": 4096}, "base must be a 32-bit multiple of 16384, not 4096"),
        ({"base": 1 << 32}, "base must be a 32-bit multiple of 16384, not 4294967296"),
        ({"divisors": (64, 1)}, r"divisors must be from 1 to 63, not \(64, 1\)"),
        ({"divisors": (1, 0)}, r"divisors must be from 1 to 63, not \(1, 0\)"),
        ({"part": "7z020clg400"}, "part must be such as xc7z020clg400-1, not '7z020clg400'"),
    ],
)
def test_wrong_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_hwh(replace(HANDOFF, **values))


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
    for other in (
        replace(HANDOFF, payload_sha256="cd" * 32),
        replace(HANDOFF, part="xc7z010clg400-2"),
    ):
        assert read_hwh(write_hwh(other)) == other
