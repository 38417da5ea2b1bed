"""The area model held to every synthesis in its table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.host.explore.area import (
    block_rams,
    dsps,
    estimate_area,
    family_error,
    fitted,
    measured,
)
from penstock.models.spec.arch import Arch, get_arch
from penstock.models.spec.devices import BLOCK_RAM

ROWS = measured()
NAMES = [f"{row['board']}-{row['arch']['name']}-{index}" for index, row in enumerate(ROWS)]
FAMILIES = tuple(BLOCK_RAM)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_dsps_and_block_rams_are_exact(row: dict[str, Any]) -> None:
    arch, family = Arch(**row["arch"]), row["family"]
    assert dsps(arch, family) == {k: v for k, v in row["dsp"].items() if k != "shell"}
    assert block_rams(arch, family) == {k: v for k, v in row["block_ram"].items() if k != "shell"}
    area = estimate_area(arch, family, row["board"])
    assert area.dsp == row["used"]["DSP"]
    assert area.ram == row["used"][BLOCK_RAM[family]]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_synthesis_left_out_is_predicted_by_the_others(family: str) -> None:
    error = family_error(family)
    assert set(error) == {"LUT", "FF"}
    assert max(error.values()) < 0.15, error
    assert min(error.values()) > 0  # otherwise the fit is tested on its own data


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_more_syntheses_than_factors(family: str) -> None:
    rows = [row for row in ROWS if row["family"] == family]
    for resource in ("LUT", "FF"):
        factors = fitted(rows, resource)
        assert (factors >= 0).all()
        assert np.count_nonzero(factors) < len(rows)
    assert all(row["yosys"] for row in rows)


@pytest.mark.parametrize("family", FAMILIES)
def test_more_of_everything_takes_more(family: str) -> None:
    small, large = (estimate_area(get_arch(name), family) for name in ("8x8", "16x16"))
    assert (small.dsp, small.ram, small.lut, small.ff) < (large.dsp, large.ram, large.lut, large.ff)


def test_a_board_that_was_not_measured_counts_as_the_core_alone() -> None:
    arch = get_arch("tiny")
    assert estimate_area(arch, "ecp5", "other") == estimate_area(arch, "ecp5")
    assert estimate_area(arch, "ecp5", "ulx3s-85f").ram > estimate_area(arch, "ecp5").ram
