"""Float sums with the same bits in whatever order they are taken."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.models.golden.reproducible import (
    column_means,
    column_moments,
    inverse_power,
    matmul,
)

RANDOM = np.random.default_rng(5)


def normal(*shape: int) -> NDArray[np.float32]:
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_matmul_is_as_exact_as_its_operands() -> None:
    left, right = normal(7, 300), normal(9, 300)
    want = left.astype(np.float64) @ right.astype(np.float64).T
    limit = 300 * float(np.abs(left).max() * np.abs(right).max()) * 2.0**-23
    np.testing.assert_allclose(matmul(left, right), want, rtol=0, atol=limit)


def test_matmul_of_integers_is_exact() -> None:
    left = RANDOM.integers(-(1 << 23), 1 << 23, (3, 64)).astype(np.float32)
    right = RANDOM.integers(-(1 << 20), 1 << 20, (4, 64)).astype(np.float32)
    # The largest operands have as many bits as are kept.
    left[0, 0] = right[0, 0] = (1 << 24) - 1
    want = left.astype(np.int64) @ right.astype(np.int64).T
    np.testing.assert_array_equal(matmul(left, right), want.astype(np.float64))


@pytest.mark.parametrize("depth", [1, 2, 363, 9216, 70000])
def test_matmul_does_not_depend_on_the_order_of_its_terms(depth: int) -> None:
    left, right = normal(3, depth) * 1e4, normal(5, depth) * 1e-3
    # All terms of one sign and of full size: the largest sums there can be.
    left[0], right[0] = 9999.7, 0.0009
    want = matmul(left, right)
    for _ in range(5):
        order = RANDOM.permutation(depth)
        got = matmul(left[:, order], right[:, order])
        assert got.tobytes() == want.tobytes()


def test_matmul_by_blocks_of_rows_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = normal(4, 50), normal(33, 50)
    want = matmul(left, right)
    monkeypatch.setattr("penstock.models.golden.reproducible._BLOCK_BYTES", 8 * 50 * 4)
    assert matmul(left, right).tobytes() == want.tobytes()


def test_matmul_of_nothing_and_of_zeros() -> None:
    assert (matmul(np.zeros((2, 5), np.float32), normal(3, 5)) == 0).all()
    assert matmul(normal(2, 5), np.zeros((0, 5), np.float32)).shape == (2, 0)


def test_what_is_not_finite_stays_so() -> None:
    left, right = normal(2, 4), normal(3, 4)
    right[1, 2] = np.inf
    got = matmul(left, right)
    assert np.isfinite(got[:, [0, 2]]).all()
    assert not np.isfinite(got[:, 1]).any()
    assert np.isnan(column_means(np.array([[np.nan], [1.0]]))).all()
    with pytest.raises(ValueError, match="not finite"):
        column_moments(np.array([[np.inf], [1.0]]))


def exact_moments(column: NDArray[Any]) -> tuple[float, float]:
    values = [Fraction(float(value)) for value in column]
    mean = sum(values) / len(values)
    return float(mean), math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def test_means_and_deviations_are_right_and_without_order() -> None:
    values = normal(500, 6) * np.array([1, 1, 0.3, 2, 5, 1], np.float32) + 3
    mean, deviation = column_moments(values)
    for index in range(6):
        want = exact_moments(values[:, index])
        assert mean[index] == pytest.approx(want[0], rel=1e-5)
        assert deviation[index] == pytest.approx(want[1], rel=1e-5)
        assert column_means(values)[index] == pytest.approx(want[0], rel=1e-8)
    order = RANDOM.permutation(500)
    for first, second in zip(column_moments(values), column_moments(values[order])):
        assert first.tobytes() == second.tobytes()
    assert column_means(values).tobytes() == column_means(values[order]).tobytes()


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5, 0.75, 1.0, 2.5, 0.6])
def test_powers(power: float) -> None:
    base = 1 + RANDOM.random(100) * 1000
    want = [math.pow(value, -power) for value in base]
    np.testing.assert_allclose(inverse_power(base, power), want, rtol=1e-14)
