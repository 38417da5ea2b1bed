"""Which board an arch is for."""

from __future__ import annotations

import sys

import pytest

from penstock.host.apps.arch_board import board_of
from penstock.models.spec.arch import get_arch


def test_boards() -> None:
    pynq = board_of(get_arch("pynq-z2"))
    assert "PYNQ-Z2" in pynq.title
    assert (pynq.mhz, pynq.link) == (130.0, None)
    ulx3s = board_of(get_arch("ulx3s-85f"))
    assert "ULX3S" in ulx3s.title
    assert (ulx3s.mhz, ulx3s.link) == (90.0, 300_000.0)


def test_an_arch_of_no_board_says_what_is_assumed() -> None:
    lab = board_of(get_arch("lab"))
    assert "arch lab, which is no board's own" in lab.title
    assert (lab.mhz, lab.link) == (100.0, None)


def test_without_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "penstock.hw.boards.catalog", None)
    assert "no board's own" in board_of(get_arch("pynq-z2")).title
