# amaranth: UnusedElaboratable=no
"""The processing element: its sums, its weights and its timing."""

from __future__ import annotations

import pytest

from penstock.hw.array.pe import ProcessingElement, sum_width
from penstock.sim.bench import runner


@pytest.mark.parametrize("width", [15, 0, -1, "20", 17.0])
def test_wrong_width(width: object) -> None:
    with pytest.raises(ValueError, match=f"width must be an integer of at least 16, not {width!r}"):
        ProcessingElement(width=width)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", range(1, 65))
def test_sum_width_holds_every_sum_and_no_more(rows: int) -> None:
    width = sum_width(rows)
    # The sum of largest magnitude is the most negative one.
    assert -(1 << width - 1) <= -rows * 255 * 128
    assert rows * 255 * 127 < 1 << width - 1
    assert -rows * 255 * 128 < -(1 << width - 2)


@pytest.mark.parametrize(("simulator", "width"), [("verilator", 20), ("icarus", 17)])
def test_in_cocotb(simulator: str, width: int) -> None:
    runner.run(
        ProcessingElement(width=width),
        "penstock.sim.bench.pe",
        simulator=simulator,
        parameters={"width": width, "count": 2000},
    )
