"""Lists and ranges in options."""

from __future__ import annotations

import pytest

from penstock.host.explore.ranges import numbers, shapes, whole_numbers


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", [8]),
        ("8,12, 16", [8, 12, 16]),
        ("1024..8192", [1024, 2048, 4096, 8192]),
        ("3..20", [3, 6, 12]),
        ("8..16:4", [8, 12, 16]),
        ("8..15:4", [8, 12]),
        ("0..2:1", [0, 1, 2]),
        ("62.5,100..150:25", [62.5, 100, 125, 150]),
        ("2,2..4", [2, 4]),
    ],
)
def test_numbers(text: str, values: list[float]) -> None:
    assert numbers("--clock", text) == values


@pytest.mark.parametrize("text", ["", "a", "8,", "8..", "-4", "8..4", "0..8", "1..2:0", "1e3"])
def test_no_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="--rows"):
        numbers("--rows", text)


def test_too_many_and_not_whole() -> None:
    with pytest.raises(ValueError, match="has 10000 values"):
        numbers("--clock", "1..10000:1")
    with pytest.raises(ValueError, match=r"--rows takes whole numbers, not 8\.5"):
        whole_numbers("--rows", "8.5")
    assert whole_numbers("--rows", "4..16") == [4, 8, 16]


def test_shapes() -> None:
    assert shapes("--array", "8x8,12x32,8x8") == [(8, 8), (12, 32)]
    for text in ("8", "8x", "8x8x8", "", "-8x8"):
        with pytest.raises(ValueError, match="--array takes ROWSxCOLS"):
            shapes("--array", text)
