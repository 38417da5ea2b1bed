"""Area model: FPGA resources of an arch, without synthesis.

DSPs and block RAMs follow from the arch: multipliers are counted, and each memory takes the
smallest number of blocks for its words and bits.  ``tests/host/explore/test_area.py`` checks both
against every synthesis in ``measured.json``, exactly.

Look-up tables and flip-flops are **estimates**: the features of an arch (`_features`), times
factors fitted to the family's syntheses, none negative.  `family_error` is the error of such a fit
for a synthesis that was left out of it.  The syntheses are of whole FPGAs: for xc7 the design of
the PYNQ boards, for ecp5 the ULX3S's, for gowin the Tang Nano's.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.models.spec.arch import Arch
from penstock.models.spec.regs import LOG_FIELDS

__all__ = ["Area", "block_rams", "dsps", "estimate_area", "family_error", "fitted", "measured"]

_TABLE = Path(__file__).with_name("measured.json")
_ESTIMATED = ("LUT", "FF")

# The board of each family's syntheses.
_REFERENCE = {"xc7": "pynq-z2", "ecp5": "ulx3s-85f", "gowin": "tang-nano-20k"}

# Configurations of a block: words, bits, and the blocks they take.
_NARROW = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
_SHAPES: dict[str, tuple[tuple[int, int, float], ...]] = {
    "xc7": (
        *((words, bits, 0.5) for words, bits in _NARROW),
        *((2 * words, bits, 1.0) for words, bits in _NARROW),
        (512, 72, 1.0),
    ),
    "ecp5": tuple((words, bits, 1.0) for words, bits in _NARROW),
    "gowin": tuple((words, bits, 1.0) for words, bits in _NARROW),
}
# Bits of the largest memory that synthesis maps to LUT RAM.
_DISTRIBUTED = {"xc7": 4096, "ecp5": 1024, "gowin": 1024}
# Words of the deepest FIFO that is mapped to LUT RAM, for any width.
_SHALLOW = 32

# Beats of each DMA's FIFO, and their bits.
_DMAS, _DMA_BEATS, _BEAT_BITS = 4, 128, 64
_PSUM_BITS = 32
_LOG_BITS = 32
# Words and bits of an LRN lane's table.
_TABLE_WORDS, _TABLE_BITS = 128, 64


@dataclass(frozen=True)
class Area:
    """Resources of an arch.

    Parameters
    ----------
    dsp : float
        Multipliers, as `models.spec.devices` counts them.
    ram : float
        Block RAMs, the same.
    lut, ff : int
        Estimates.
    """

    dsp: float
    ram: float
    lut: int
    ff: int


@cache
def measured() -> tuple[dict[str, Any], ...]:
    """Return the syntheses recorded by `hw.flow.measure.measure`."""
    rows: list[dict[str, Any]] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return tuple(rows)


def dsps(arch: Arch, family: str) -> dict[str, float]:
    """Return the DSPs of the core, by purpose.

    Two products a DSP on xc7, two multipliers of 9 bits a DSP on gowin.  A requantise lane
    multiplies in halves, an LRN lane twice.
    """
    each = {"xc7": 0.5, "ecp5": 1.0, "gowin": 0.5}[family]
    found = {
        "array": arch.macs_per_cycle * each,
        "requantise": 2.0 * arch.drain_lanes,
        "lrn": 2.0 * arch.lrn_lanes,
    }
    return {use: count for use, count in found.items() if count}


def _blocks(family: str, words: int, bits: int, *, granule: int = 0) -> float:
    """Blocks of one memory; `granule`: bits per write enable, 0: a whole word."""
    if words * bits <= _DISTRIBUTED[family]:
        return 0.0
    best = math.inf
    for deep, wide, count in _SHAPES[family]:
        # The ninth bit is usable for words written as a whole, or in granules of 9.
        usable = wide // 9 * 8 if granule and wide >= 9 else wide
        best = min(best, math.ceil(words / deep) * math.ceil(bits / usable) * count)
    return best


def block_rams(arch: Arch, family: str) -> dict[str, float]:
    """Return the block RAMs of the core, by purpose."""
    word = 8 * arch.rows
    lanes = arch.rows if family == "ecp5" else 1  # as `hw.boards` has it
    weights = _blocks(family, arch.wgt_words, 8 * arch.cols) if arch.wgt_words > _SHALLOW else 0.0
    found = {
        "act": lanes * _blocks(family, arch.act_words, word // lanes),
        "out": _blocks(family, arch.out_words, word, granule=8 * arch.drain_lanes),
        "psum": 2 * arch.cols * _blocks(family, arch.psum_words, _PSUM_BITS),
        "wgt": weights,
        "dma": _DMAS * _blocks(family, _DMA_BEATS, _BEAT_BITS),
        "log": _blocks(family, arch.log_entries * len(LOG_FIELDS), _LOG_BITS),
        "lrn": arch.lrn_lanes * _blocks(family, _TABLE_WORDS, _TABLE_BITS),
    }
    return {use: count for use, count in found.items() if count}


@cache
def _shell(board: str | None) -> tuple[float, float]:
    """DSPs and block RAMs of a board's design around the core; none if it was never measured."""
    for row in measured():
        if row["board"] == board:
            return row["dsp"].get("shell", 0.0), row["block_ram"].get("shell", 0.0)
    return 0.0, 0.0


def _features(arch: Arch) -> list[float]:
    """Features of the fit of look-up tables and flip-flops."""
    return [
        1.0,  # registers, DMAs, address generators: always the same
        float(arch.queue_depth > 0),  # queues, and descriptors checked a beat at a time
        float(arch.macs_per_cycle),  # processing elements
        float(arch.rows + arch.cols),  # activation words; partial sums of a column
        float(arch.drain_lanes + arch.lrn_lanes),
    ]


def _least_squares(features: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return the non-negative factors with the least sum of squared relative errors."""
    scaled = features / values[:, None]
    best, error = np.zeros(features.shape[1]), math.inf
    for count in range(1, features.shape[1] + 1):
        for chosen in itertools.combinations(range(features.shape[1]), count):
            columns = list(chosen)
            factors = np.linalg.lstsq(scaled[:, columns], np.ones(len(values)), rcond=None)[0]
            if (factors < 0).any():
                continue
            rest = float(np.sum((scaled[:, columns] @ factors - 1) ** 2))
            if rest < error - 1e-12:
                best, error = np.zeros(features.shape[1]), rest
                best[columns] = factors
    return best


def fitted(rows: Sequence[Mapping[str, Any]], resource: str) -> NDArray[Any]:
    """Return the factors of `_features` for a resource, from syntheses of one family."""
    features = np.array([_features(Arch(**row["arch"])) for row in rows])
    return _least_squares(features, np.array([float(row["used"][resource]) for row in rows]))


def _family(family: str) -> list[dict[str, Any]]:
    return [row for row in measured() if row["family"] == family]


@cache
def _factors(family: str, resource: str) -> NDArray[Any]:
    return fitted(_family(family), resource)


@cache
def family_error(family: str) -> dict[str, float]:
    """Return the largest relative error of the estimates of a family, by resource.

    Each synthesis is predicted by a fit to all others of its family.
    """
    rows = _family(family)
    errors = {}
    for resource in _ESTIMATED:
        worst = 0.0
        for index, row in enumerate(rows):
            factors = fitted([*rows[:index], *rows[index + 1 :]], resource)
            guess = float(np.dot(_features(Arch(**row["arch"])), factors))
            worst = max(worst, abs(guess / row["used"][resource] - 1))
        errors[resource] = worst
    return errors


def estimate_area(arch: Arch, family: str, board: str | None = None) -> Area:
    """Return the FPGA resources of an arch.

    Parameters
    ----------
    arch : Arch
    family : str
        Key of `models.spec.devices.BLOCK_RAM`.
    board : str or None
        Board whose design around the core is added to DSPs and block RAMs; None: the core alone.
    """
    dsp, ram = _shell(board)
    lut, ff = (float(np.dot(_features(arch), _factors(family, name))) for name in _ESTIMATED)
    return Area(
        dsp=dsp + sum(dsps(arch, family).values()),
        ram=ram + sum(block_rams(arch, family).values()),
        lut=round(lut),
        ff=round(ff),
    )
