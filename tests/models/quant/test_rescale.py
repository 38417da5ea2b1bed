"""Other tools' scales as multipliers and shifts: within one step of the exact value."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.models.golden.fixed import requantise
from penstock.models.quant.rescale import add_arrays, conv_arrays, multiplier_and_shift


@pytest.mark.parametrize("seed", range(3))
def test_scales_are_met_to_seventeen_bits(seed: int) -> None:
    print(f"seed {seed}")
    scale = 2.0 ** np.random.default_rng(seed).uniform(-14, 15, 1000)
    multiplier, shift = multiplier_and_shift(scale)
    assert ((multiplier >= 1 << 16) & (multiplier < 1 << 17)).all()
    assert ((shift >= 0) & (shift < 32)).all()
    assert np.abs(multiplier / 2.0**shift / scale - 1).max() <= 2.0**-17


def test_scales_at_the_edges() -> None:
    multiplier, shift = multiplier_and_shift(np.array([1.0, 2 - 1e-9, 2.0**-40]))
    assert multiplier.tolist() == [1 << 16, 1 << 16, 0]
    assert shift.tolist() == [16, 15, 31]
    for scale in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="not a positive number"):
            multiplier_and_shift(np.array([scale]))
    with pytest.raises(ValueError, match="a scale of 1e\\+06 is too large"):
        multiplier_and_shift(np.array([1e6]))


@pytest.mark.parametrize("seed", range(4))
def test_layers_are_at_most_a_step_off(seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (50, 40)).astype(np.int64)
    codes = rng.integers(0, 256, (500, 40)).astype(np.int64)
    bias = rng.integers(-30000, 30000, 50)
    scale = rng.uniform(0.0005, 0.01, 50).astype(np.float32)
    zero, out = int(rng.integers(0, 256)), int(rng.integers(0, 256))
    arrays = conv_arrays(weight, bias, scale, in_zero=zero, out_zero=out)
    acc = codes @ arrays["weight"].astype(np.int64).T
    got = requantise(acc, arrays["bias"], arrays["multiplier"], arrays["shift"])
    exact = ((codes - zero) @ weight.T + bias) * scale.astype(np.float64)
    want = np.clip(np.rint(exact) + out, 0, 255)
    difference = np.abs(got - want)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.005


@pytest.mark.parametrize("seed", range(4))
def test_sums_are_at_most_a_step_off(seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for _ in range(50):
        ends = [(float(2.0 ** rng.uniform(-4, 1)), int(rng.integers(0, 256))) for _ in range(3)]
        (scale_a, zero_a), (scale_b, zero_b), (scale, zero) = ends
        if max(scale_a, scale_b) > scale:
            continue
        arrays = add_arrays(*ends)
        first, second = rng.integers(0, 256, (2, 2000))
        acc = first * arrays["weight"][0] + second * arrays["weight"][1]
        fields = (np.array(arrays[name]) for name in ("bias", "multiplier", "shift"))
        got = requantise(acc, *fields)
        real = (first - zero_a) * scale_a + (second - zero_b) * scale_b
        want = np.clip(np.rint(real / scale) + zero, 0, 255)
        assert np.abs(got - want).max() <= 1


def test_dyadic_sums_are_exact() -> None:
    arrays = add_arrays((0.25, 130), (0.5, 77), (0.5, 101))
    first, second = np.meshgrid(np.arange(256), np.arange(256))
    acc = first * arrays["weight"][0] + second * arrays["weight"][1]
    fields = (np.array(arrays[name]) for name in ("bias", "multiplier", "shift"))
    want = np.rint(((first - 130) * 0.25 + (second - 77) * 0.5) / 0.5 + 101)
    np.testing.assert_array_equal(requantise(acc, *fields), np.clip(want, 0, 255))


def test_what_does_not_fit() -> None:
    ones, bias = np.ones((1, 4), np.int64), np.zeros(1, np.int64)
    small = np.full(1, 0.01, np.float32)
    with pytest.raises(ValueError, match="weights of 200 to 200 do not fit 8 bits"):
        conv_arrays(200 * ones, bias, small, in_zero=0, out_zero=0)
    with pytest.raises(ValueError, match="sums that may leave 32 bits"):
        conv_arrays(ones, bias + (1 << 31), small, in_zero=0, out_zero=0)
    with pytest.raises(ValueError, match="with the zero point 100"):
        conv_arrays(ones, bias, np.full(1, 70, np.float32), in_zero=0, out_zero=100)
    with pytest.raises(ValueError, match=r"scales of 1 and 0\.001 are too far apart"):
        add_arrays((1.0, 0), (0.001, 0), (0.01, 0))
