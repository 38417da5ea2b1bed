"""Figures for people: one way to write them."""

from __future__ import annotations

import re
from pathlib import Path

from penstock.models.spec.number_format import grouped, human, percent

ROOT = Path(__file__).parents[3]


def test_grouped() -> None:
    assert [grouped(n) for n in (0, 999, 1000, 2612354, 17.6, None)] == [
        "0",
        "999",
        "1 000",
        "2 612 354",
        "18",
        "",
    ]


def test_percent() -> None:
    assert [percent(s) for s in (0.97, 1, 0, None)] == ["97.0 %", "100.0 %", "0.0 %", ""]
    assert percent(0.12345, 2) == "12.35 %"
    assert percent(0.5, 0) == "50 %"


def test_human() -> None:
    assert [human(n, "B") for n in (7, 999, 1500, 105_415_200, 2.5e12)] == [
        "7 B",
        "999 B",
        "1.5 kB",
        "105.4 MB",
        "2500.0 GB",
    ]
    assert human(12) == "12"


def test_other_modules_do_not_format_figures() -> None:
    other = re.compile(r"%\}|:,[}.\d]")
    wrong = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("host", "hw", "models", "sim")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "number_format.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if other.search(line)
    ]
    assert not wrong, "\n".join(wrong)
