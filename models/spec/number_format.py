"""Formatting of figures as text: 2 612 354 cycles, 99.5 %, 105.4 MB, 3 min 20 s."""

from __future__ import annotations

__all__ = ["duration", "grouped", "human", "percent"]


def grouped(value: float | None) -> str:
    """Return a whole number in groups of three digits: 2 612 354; nothing for None."""
    return "" if value is None else f"{value:,.0f}".replace(",", " ")


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share, 1 being all, with a space before the sign: 99.5 %; nothing for None."""
    return "" if share is None else f"{100 * share:.{digits}f} %"


def human(value: float, unit: str = "") -> str:
    """Return a number with three or four digits and a decimal prefix: 105.4 M."""
    for prefix in ("", "k", "M", "G"):
        if abs(value) < 1000 or prefix == "G":
            break
        value /= 1000
    digits = f"{value:.0f}" if prefix == "" else f"{value:.1f}"
    return f"{digits} {prefix}{unit}".rstrip()


def duration(seconds: float) -> str:
    """Return a time for people: 12 s, 3 min 20 s, 1 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
