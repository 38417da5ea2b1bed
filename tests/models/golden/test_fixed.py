"""The exact arithmetic: against fractions, against float, and byte by byte."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.models.golden.fixed import (
    LRN_TABLE_ENTRIES,
    lrn_apply,
    lrn_gains,
    lrn_index,
    lrn_table,
    pack_lrn_table,
    pack_params,
    requantise,
    unpack_lrn_table,
    unpack_params,
)

LARGEST = 5 * 255 * 255
ALEXNET = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}

int32 = st.integers(-(1 << 31), (1 << 31) - 1)


def exact(acc: int, bias: int, multiplier: int, shift: int) -> int:
    # round() of a Fraction is half to even.
    return min(max(round(Fraction((acc + bias) * multiplier, 1 << shift)), 0), 255)


def check_requantise(rows: list[tuple[int, int, int, int]]) -> None:
    got = requantise(*np.array(rows, np.int64).T)
    assert got.dtype == np.uint8
    for row, value in zip(rows, got.tolist(), strict=True):
        assert value == exact(*row), row


@settings(deadline=None, max_examples=300)
@given(int32, int32, st.integers(0, (1 << 17) - 1), st.integers(0, 31))
def test_requantise(acc: int, bias: int, multiplier: int, shift: int) -> None:
    check_requantise([(acc, bias, multiplier, shift)])


def test_requantise_near_every_tie() -> None:
    rows = []
    for shift in range(32):
        for code in range(257):
            # The multiplier and the sum share the power of two that a tie at this shift needs.
            power = min(max(shift - 1, 0), 16)
            total = (2 * code + 1) << max(shift - 1, 0) - power
            rows += [(total + d, 0, 1 << power, shift) for d in (-1, 0, 1)]
    check_requantise(rows)


def test_requantise_extremes() -> None:
    edges = [-(1 << 31), -1, 0, 1, (1 << 31) - 1]
    check_requantise(
        [
            (acc, bias, multiplier, shift)
            for acc in edges
            for bias in edges
            for multiplier in (0, 1, (1 << 17) - 1)
            for shift in (0, 1, 16, 31)
        ]
    )


def test_requantise_has_channels_last() -> None:
    acc = np.arange(-12, 12, dtype=np.int32).reshape(2, 3, 4) * 1000
    bias, multiplier, shift = np.array([[0, 5, -7, 900], [1, 2, 3, 4], [0, 5, 7, 9]])
    got = requantise(acc, bias, multiplier, shift)
    assert got.shape == acc.shape
    for index, value in np.ndenumerate(acc):
        c = index[-1]
        want = exact(int(value), int(bias[c]), int(multiplier[c]), int(shift[c]))
        assert got[index] == want


@settings(deadline=None)
@given(
    st.lists(st.tuples(int32, st.integers(0, (1 << 17) - 1), st.integers(0, 31)), max_size=8),
)
def test_params_round_trip(rows: list[tuple[int, int, int]]) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    data = pack_params(*columns)
    assert len(data) == 8 * len(rows)
    np.testing.assert_array_equal(unpack_params(data), columns)


def test_params_in_memory() -> None:
    data = pack_params(np.array([-2, 3]), np.array([0x12345, 1]), np.array([31, 0]))
    first = (0xFFFFFFFE | 0x12345 << 32 | 31 << 49).to_bytes(8, "little")
    assert data == first + (3 | 1 << 32).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("bias", "multiplier", "shift", "message"),
    [
        (1 << 31, 0, 0, "a bias does not fit 32 bits"),
        (-(1 << 31) - 1, 0, 0, "a bias does not fit 32 bits"),
        (0, 1 << 17, 0, "a multiplier does not fit 17 bits"),
        (0, -1, 0, "a multiplier does not fit 17 bits"),
        (0, 0, 32, "a shift does not fit 5 bits"),
        (0, 0, -1, "a shift does not fit 5 bits"),
    ],
)
def test_params_that_do_not_fit(bias: int, multiplier: int, shift: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack_params(np.array([0, bias]), np.array([1, multiplier]), np.array([1, shift]))


def test_lrn_index_follows_its_definition() -> None:
    rng = np.random.default_rng(1)
    powers = np.array([1 << e for e in range(19)])
    sums = np.concatenate(
        [np.arange(2048), *(powers + d for d in (-1, 0, 1)), rng.integers(0, LARGEST + 1, 2000)]
    )
    sums = np.append(sums, LARGEST)
    index, fraction = lrn_index(sums)
    for total, i, f in zip(sums.tolist(), index.tolist(), fraction.tolist(), strict=True):
        if total < 16:
            assert (i, f) == (total, 0)
            continue
        bits = f"{total:b}".ljust(13, "0")
        assert i == (total.bit_length() - 4) * 16 + int(bits[1:5], 2)
        assert f == int(bits[5:13], 2)
    assert index.max() < LRN_TABLE_ENTRIES


@pytest.mark.parametrize(
    ("in_scale", "out_scale", "parameters"),
    [
        (0.5, 0.5, ALEXNET),
        (4.0, 1.0, ALEXNET),
        (4.0, 1 / 32, {"size": 5, "alpha": 0.1, "beta": 0.75, "k": 1.0}),
        (1.0, 1.0, {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}),
        (2.0, 0.25, {"size": 5, "alpha": 1e-3, "beta": 0.5, "k": 1.0}),
        (1.0, 0.5, {"size": 5, "alpha": 0.0, "beta": 0.75, "k": 1.0}),
    ],
)
def test_lrn_is_within_one_of_float(
    in_scale: float, out_scale: float, parameters: dict[str, float]
) -> None:
    table, difference, shift = lrn_table(in_scale=in_scale, out_scale=out_scale, **parameters)
    gains = lrn_gains(table, difference)
    assert gains.shape == (LARGEST + 1,)
    assert np.all(np.diff(gains) <= 0)
    assert 1 << 15 <= table[0] < 1 << 16
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, (20_000, 1), dtype=np.uint8)
    # Sums of squares in all octaves.
    loudness = 2.0 ** rng.uniform(0, 8, (20_000, 1))
    around = (rng.random((20_000, 4)) * loudness).astype(np.uint8)
    got = lrn_apply(values, around[:, :2], around[:, 2:], gains, shift)
    window = np.concatenate([around, values], axis=1).astype(float)
    squares = (window**2).sum(1, keepdims=True)
    scale = parameters["alpha"] / parameters["size"] * in_scale**2
    real = (
        values * in_scale / out_scale * (parameters["k"] + scale * squares) ** -parameters["beta"]
    )
    want = np.minimum(np.rint(real), 255)
    assert np.abs(got.astype(int) - want).max() <= 1


def test_lrn_table_is_the_gain_at_each_segment() -> None:
    table, difference, _ = lrn_table(in_scale=4.0, out_scale=0.5, **ALEXNET)
    gains = lrn_gains(table, difference)
    index, fraction = lrn_index(np.arange(LARGEST + 1))
    starts = np.flatnonzero((fraction == 0) & (np.diff(index, prepend=-1) > 0))
    np.testing.assert_array_equal(gains[starts], table[index[starts]])
    # Each segment falls to where the next one starts.
    np.testing.assert_array_equal(table[:-1].astype(int) - difference[:-1], table[1:])


def test_lrn_apply_sees_two_channels_on_each_side() -> None:
    rng = np.random.default_rng(2)
    gains = np.arange(LARGEST + 1)[::-1] % 65536
    values, before, after = (rng.integers(0, 256, (3, 2, n), dtype=np.uint8) for n in (6, 2, 2))
    got = lrn_apply(values, before, after, gains, 12)
    assert got.shape == values.shape
    for i, j, c in np.ndindex(values.shape):
        window = [*before[i, j].tolist(), *values[i, j].tolist(), *after[i, j].tolist()]
        total = sum(q * q for q in window[c : c + 5])
        q = window[c + 2]
        assert got[i, j, c] == min((q * int(gains[total]) + (1 << 11)) >> 12, 255)


def test_lrn_table_in_memory() -> None:
    table = np.arange(256, dtype=np.uint16) + 0xFF00
    difference = np.arange(256, dtype=np.uint16)[::-1]
    data = pack_lrn_table(table, difference)
    assert len(data) == 4 * LRN_TABLE_ENTRIES
    assert data[4:8] == (0xFF01 | 254 << 16).to_bytes(4, "little")
    back = unpack_lrn_table(data)
    np.testing.assert_array_equal(back[0], table)
    np.testing.assert_array_equal(back[1], difference)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": -1.0}, "LRN needs alpha, beta >= 0 and k > 0, not -1.0"),
        ({"beta": -0.5}, "LRN needs alpha, beta >= 0 and k > 0"),
        ({"k": 0.0}, "LRN needs alpha, beta >= 0 and k > 0"),
        ({"in_scale": 1e6}, r"LRN gain 1e\+06 is out of range"),
        ({"in_scale": 1e-6}, "LRN gain 1e-06 is out of range"),
    ],
)
def test_lrn_that_no_table_holds(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lrn_table(**{"in_scale": 1.0, "out_scale": 1.0, **ALEXNET, **change})
