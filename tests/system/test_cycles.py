"""Cycles are unchanged: see `tests.support.cycles`."""

from __future__ import annotations

import json

from tests.support.cycles import RECORDED, measure

HOW = "if that is meant: python -m tests.support.cycles > tests/support/cycles.json"


def test_cycles_are_what_they_were() -> None:
    recorded = json.loads(RECORDED.read_text())
    found = measure()
    assert found.keys() == recorded.keys()
    for name, was in recorded.items():
        is_now = found[name]
        assert is_now["program"] == was["program"], f"{name}: the compiler makes another one; {HOW}"
        assert is_now["counters"] == was["counters"], f"{name}: not the same cycles; {HOW}"
