# amaranth: UnusedElaboratable=no
"""The packed array: its parameters and arithmetic here, its sums in cocotb."""

from __future__ import annotations

import pytest

from penstock.hw.array.packed import PackedArray, PackedCell
from penstock.sim.bench import runner


@pytest.mark.parametrize("name", ["rows", "cols"])
@pytest.mark.parametrize("value", [0, -2, 3, 2.0, "4", None])
def test_wrong_size(name: str, value: object) -> None:
    size = {"rows": 4, "cols": 4, name: value}
    with pytest.raises(ValueError, match=f"{name} must be an even positive integer, not {value!r}"):
        PackedArray(**size)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [16, 0, "20", 17.0])
def test_wrong_width(width: object) -> None:
    with pytest.raises(ValueError, match=f"width must be an integer of at least 17, not {width!r}"):
        PackedCell(width=width)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("simulator", "rows", "cols"),
    [("verilator", 12, 4), ("icarus", 4, 4), ("icarus", 2, 2), ("icarus", 18, 2)],
)
def test_in_cocotb(simulator: str, rows: int, cols: int) -> None:
    runner.run(
        PackedArray(rows=rows, cols=cols),
        "penstock.sim.bench.array",
        simulator=simulator,
        parameters={"rows": rows, "cols": cols, "blocks": 80, "packed": True},
    )
