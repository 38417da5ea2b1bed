# amaranth: UnusedElaboratable=no
"""The systolic array: its parameters here, its sums in cocotb."""

from __future__ import annotations

import pytest

from penstock.hw.array.systolic import SystolicArray
from penstock.sim.bench import runner


@pytest.mark.parametrize("name", ["rows", "cols"])
@pytest.mark.parametrize("value", [0, -1, 2.0, "4", None])
def test_wrong_size(name: str, value: object) -> None:
    size = {"rows": 4, "cols": 4, name: value}
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, not {value!r}"):
        SystolicArray(**size)  # type: ignore[arg-type]


def test_latency_is_made_of_its_parts() -> None:
    array = SystolicArray(rows=5, cols=3)
    assert array.latency == 4 + 3
    assert array.swap_hold == 4
    assert array.width == 19


@pytest.mark.parametrize(
    ("simulator", "rows", "cols"),
    [("verilator", 4, 4), ("icarus", 4, 4), ("icarus", 2, 5), ("icarus", 6, 1)],
)
def test_in_cocotb(simulator: str, rows: int, cols: int) -> None:
    runner.run(
        SystolicArray(rows=rows, cols=cols),
        "penstock.sim.bench.array",
        simulator=simulator,
        parameters={"rows": rows, "cols": cols, "blocks": 80, "packed": False},
    )
