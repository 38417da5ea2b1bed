"""Average pooling as convolutions: the same sums, the same rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.host.compiler.lowering.average import average_terms
from penstock.host.program.compile_error import CompileError
from penstock.models.golden.fixed import requantise
from penstock.models.golden.ops import quantised_average
from penstock.models.graph.graph import INPUT, QAveragePool


def average(kernel: tuple[int, int], stride: tuple[int, int], **settings: Any) -> QAveragePool:
    return QAveragePool(name="mean", inputs=(INPUT,), kernel=kernel, stride=stride, **settings)


def by_terms(layer: QAveragePool, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array's result for the terms."""
    height, width = codes.shape[:2]
    out = layer.geometry.out_size(height, width)
    terms, bias, multiplier, shift = average_terms(layer, (height, width), out)
    acc = np.zeros((*out, codes.shape[2]), np.int64)
    for term in terms:
        top, left, rows, columns = term.frame
        for y, x in np.ndindex(*out):
            for ky, kx in np.ndindex(*term.kernel):
                iy = y * layer.stride[0] - term.pad[0] + ky
                ix = x * layer.stride[1] - term.pad[1] + kx
                seen = top <= iy < top + rows and left <= ix < left + columns
                acc[y, x] += term.weight * (
                    codes[iy, ix].astype(np.int64) if seen else layer.in_zero
                )
    parts = (np.array(value) for value in (bias, multiplier, shift))
    return requantise(acc, *parts)


@pytest.mark.parametrize(
    ("size", "layer"),
    [
        ((6, 6), average((2, 2), (2, 2))),
        ((7, 7), average((7, 7), (1, 1))),
        ((8, 9), average((3, 3), (2, 2), pad=(0, 0, 1, 1))),
        ((5, 6), average((3, 3), (1, 1), pad=(1, 1, 1, 1))),
        ((5, 6), average((3, 2), (2, 1), pad=(1, 0, 2, 1), in_zero=77, out_zero=77)),
        ((5, 6), average((3, 3), (1, 2), pad=(1, 1, 1, 1), count_pad=True)),
        ((2, 1), average((3, 3), (1, 1), pad=(2, 1, 2, 1), in_zero=9, out_zero=9)),
        ((6, 6), average((2, 3), (2, 2), multiplier=5, shift=2)),
    ],
)
def test_terms_are_the_golden_average(size: tuple[int, int], layer: QAveragePool) -> None:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 256, (*size, 40), np.uint8)
    # Small values often give halves.
    codes[..., :20] >>= 5
    np.testing.assert_array_equal(by_terms(layer, codes), quantised_average(layer, codes))


def test_one_term_where_all_windows_are_whole() -> None:
    terms, bias, _, _ = average_terms(average((7, 7), (1, 1)), (7, 7), (1, 1))
    assert [(term.weight, term.kernel, term.frame) for term in terms] == [(1, (7, 7), (0, 0, 7, 7))]
    assert bias == 0


def test_what_cannot_be_exact_is_refused() -> None:
    wide = average((9, 9), (1, 1), pad=(4, 4, 4, 4))
    with pytest.raises(CompileError, match=r"layer mean: means over counts .* beyond 127"):
        average_terms(wide, (20, 20), (20, 20))
    deep = average((40, 40), (1, 1))
    with pytest.raises(CompileError, match="layer mean: means over 1600 values"):
        average_terms(deep, (40, 40), (1, 1))
    shifted = average((2, 2), (2, 2), multiplier=3, shift=1, in_zero=5, out_zero=5)
    with pytest.raises(CompileError, match="layer mean: means over 4 values, times 3 / 2"):
        average_terms(shifted, (4, 4), (2, 2))
