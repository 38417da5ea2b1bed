"""The accelerator's parameters: refusals, and equality of arches."""

from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from penstock.models.spec.arch import ARCHES, MAX_WORDS, Arch, get_arch

TINY = ARCHES["tiny"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 1}, "rows must be an integer from 2 to 64, not 1"),
        ({"rows": 65}, "rows must be an integer from 2 to 64, not 65"),
        ({"rows": 4.0}, "rows must be an integer, not 4.0"),
        ({"cols": 0}, "cols must be an integer from 2 to 64, not 0"),
        ({"cols": "8"}, "cols must be an integer, not '8'"),
        ({"act_words": 100}, f"act_words must be a power of two of at most {MAX_WORDS}, not 100"),
        ({"psum_words": 0}, "psum_words must be a power of two .*, not 0"),
        ({"out_words": 1 << 17}, "out_words must be a power of two .*, not 131072"),
        ({"wgt_words": -64}, "wgt_words must be a power of two .*, not -64"),
        ({"log_entries": 12}, "log_entries must be a power of two .*, not 12"),
        ({"bus_bytes": 16}, "bus_bytes must be 8, not 16"),
        ({"rows": 3, "cols": 5}, r"rows \* cols must be a multiple of 8, not 15"),
        ({"wgt_words": 4}, "wgt_words must be at least 8, not 4"),
        ({"drain_lanes": 3}, "drain_lanes must be a power of two that divides .*, not 3"),
        ({"drain_lanes": 8}, "drain_lanes must be a power of two that divides .*, not 8"),
        ({"rows": 6, "drain_lanes": 4}, "drain_lanes must be a power of two .*, not 4"),
        ({"lrn_lanes": 3}, "lrn_lanes must be 0 or divide rows, not be 3"),
        ({"lrn_lanes": -1}, "lrn_lanes must be 0 or divide rows, not be -1"),
        ({"queue_depth": -1}, "queue_depth must be from 0 to 64, not -1"),
        ({"queue_depth": 65}, "queue_depth must be from 0 to 64, not 65"),
        ({"count_bits": 15}, "count_bits must be from 16 to 32, not 15"),
        ({"count_bits": 33}, "count_bits must be from 16 to 32, not 33"),
    ],
)
def test_wrong_parameters(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)


def test_lrn_can_be_left_out() -> None:
    assert replace(TINY, lrn_lanes=0).lrn_lanes == 0


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        TINY.rows = 8  # type: ignore[misc]


def test_fingerprint_is_of_the_parameters() -> None:
    assert replace(TINY, name="other").fingerprint == TINY.fingerprint
    assert 0 < TINY.fingerprint < 1 << 64
    changes: dict[str, Any] = {
        "rows": 8,
        "cols": 8,
        "act_words": 2048,
        "psum_words": 512,
        "out_words": 1024,
        "wgt_words": 128,
        "drain_lanes": 1,
        "lrn_lanes": 0,
        "queue_depth": 5,
        "log_entries": 64,
        "count_bits": 24,
    }
    assert {field.name for field in fields(Arch)} == {"name", "bus_bytes", *changes}
    others = [replace(TINY, **{name: value}) for name, value in changes.items()]
    prints = {arch.fingerprint for arch in (TINY, *others)}
    assert len(prints) == 1 + len(changes)


def test_fingerprint_is_of_the_isa_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = TINY.fingerprint
    monkeypatch.setattr("penstock.models.spec.arch.ISA_VERSION", 1000)
    assert TINY.fingerprint != before


def test_derived_sizes() -> None:
    arch = replace(TINY, rows=6, cols=12)
    assert arch.macs_per_cycle == arch.block_bytes == 72
    assert arch.params_bytes == 96
    # 6-byte words on 8-byte beats.
    assert [arch.row_beats(words) for words in (0, 1, 2, 3, 4, 5)] == [0, 1, 2, 3, 3, 4]


def test_text_names_the_size_and_the_fingerprint() -> None:
    assert str(TINY) == f"tiny (4x4, {TINY.fingerprint:016x})"


@pytest.mark.parametrize("name", ARCHES)
def test_presets(name: str) -> None:
    assert get_arch(name) is ARCHES[name]
    assert get_arch(name).name == name


def test_lab_resized() -> None:
    arch = get_arch("12x32")
    lab = ARCHES["lab"]
    assert arch == replace(lab, name="12x32", rows=12, cols=32, drain_lanes=4, lrn_lanes=4)
    assert get_arch("16x16").fingerprint == lab.fingerprint
    assert get_arch("6x4").drain_lanes == get_arch("6x4").lrn_lanes == 2


def test_every_possible_size_has_an_arch() -> None:
    for rows, cols in itertools.product(range(2, 65), repeat=2):
        if rows * cols % 8 == 0:
            arch = get_arch(f"{rows}x{cols}")
            assert (arch.rows, arch.cols) == (rows, cols)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", f"arch must be one of {', '.join(ARCHES)}, or ROWSxCOLS such as 12x32, not ''"),
        ("large", "not 'large'"),
        ("LAB", "not 'LAB'"),
        ("12x", "not '12x'"),
        ("12x32x4", "not '12x32x4'"),
        ("-4x4", "not '-4x4'"),
        ("1x8", "rows must be an integer from 2 to 64, not 1"),
        ("8x999", "cols must be an integer from 2 to 64, not 999"),
        ("3x3", r"rows \* cols must be a multiple of 8, not 9"),
    ],
)
def test_no_such_arch(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_arch(name)
