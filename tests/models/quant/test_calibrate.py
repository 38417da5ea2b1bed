"""Histograms of activations and the encodings chosen from them."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.models.quant.calibrate import Calibration, Encoding, Histogram, choose, zero_point


def histogram(*parts: object) -> Histogram:
    made = Histogram()
    for part in parts:
        made.add(np.asarray(part, np.float32))
    return made


def test_mse_prefers_clipping_outliers_to_coarse_steps() -> None:
    values = np.linspace(0, 200, 100001)
    assert choose(histogram(values)) == Encoding(1.0, 0)
    assert choose(histogram(values, [256.0])) == Encoding(1.0, 0)
    assert choose(histogram(values, [5000.0] * 50)).scale > 1.0
    assert choose(histogram(np.zeros(5))) == Encoding(2.0**-8, 0)


def test_methods_differ_where_there_are_outliers() -> None:
    made = histogram(np.linspace(0, 200, 100001), [300.0])
    assert choose(made, "minmax").scale == 2.0
    assert choose(made, "mse").scale == 1.0
    assert choose(made, "percentile", 99.9).scale == 1.0
    assert choose(made, "percentile", 100).scale == 2.0


@pytest.mark.parametrize("method", ["mse", "minmax", "percentile"])
def test_signed_maps_have_a_zero_point(method: str) -> None:
    encoding = choose(histogram(np.linspace(-50, 150, 100001)), method, 100)
    assert encoding == Encoding(1.0, 64)
    assert (0 - encoding.zero) * encoding.scale <= -50
    assert (255 - encoding.zero) * encoding.scale >= 150
    assert choose(histogram(np.linspace(-90, -10, 1001)), method).zero == 255


def test_a_histogram_does_not_depend_on_the_order_of_its_parts() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(0, 10.0**i, 1000).astype(np.float32) for i in range(-3, 4)]
    first, second, third = histogram(*parts), histogram(*parts[::-1]), histogram(*parts[:3])
    third.merge(histogram(*parts[3:]))
    for other in (second, third):
        assert (first.least, first.most) == (other.least, other.most)
        for mine, its in zip(first.points(), other.points(), strict=True):
            np.testing.assert_array_equal(mine, its)
    values, counts = first.points()
    assert counts.sum() == 7000
    assert (np.diff(values) > 0).all()
    flat = np.sort(np.concatenate(parts).astype(np.float64))
    width = 2.0 ** np.ceil(np.log2(np.abs(flat).max())) / (1 << 14)
    assert np.abs(np.repeat(values, counts) - flat).max() <= width


def test_ranges_hold_zero() -> None:
    made = histogram(np.arange(1, 101))
    assert made.range(100) == (0.0, 100.0)
    least, most = made.range(90)
    assert least == 0
    assert most == pytest.approx(90, abs=0.1)
    assert zero_point(0.0, 9.0) == 0
    assert zero_point(-9.0, 0.0) == 255


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match="method must be mse, minmax, percentile, not 'max'"):
        Calibration(method="max")
    with pytest.raises(ValueError, match="not 'l2'"):
        Calibration(layers={"conv1": "l2"})
    with pytest.raises(ValueError, match="percentile must be 50 to 100, not 3"):
        Calibration(percentile=3)
    with pytest.raises(ValueError, match="not finite"):
        histogram([1.0, np.nan])
    with pytest.raises(ValueError, match="not finite"):
        histogram([1.0, -np.inf])
