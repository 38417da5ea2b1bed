"""Tables fit the terminal, and no figure is cut."""

from __future__ import annotations

import io
import sys

import pytest

from penstock.host.cli.support import fitted
from penstock.host.cli.support.fitted import Column, Rows, fill, lines, show

COLUMNS = [
    Column("layer"),
    Column("MACs"),
    Column("cycles after itself"),
    Column("registers written"),
    Column("does", text=True),
]
ROWS = [
    ("conv1_relu", "105.4 M", "6 309 548", "1 234", "conv1 norm1 pool1 [fire] convolution"),
    ("total", "1 105.4 M", "126 309 548", "1 234", ""),
]
TABLE = Rows(COLUMNS, ROWS, total=True)


@pytest.mark.parametrize("width", [30, 34, 40, 50, 60, 72, 80, 100, 200])
def test_it_fits_and_cuts_nothing(width: int) -> None:
    shown = list(lines(TABLE, width))
    assert max(map(len, shown)) <= width
    text = "\n".join(shown)
    for row in ROWS:
        for cell in row[:4]:
            assert cell in text
        for word in row[4].split():
            assert word in text
    for column in COLUMNS:
        for word in column.name.split():
            assert word in text
    assert "…" not in text


def test_a_pipe_has_no_width() -> None:
    shown = list(lines(TABLE, None))
    assert len(shown) == 7
    assert shown[1].split("  ")[0] == "layer"
    assert "conv1 norm1 pool1 [fire] convolution" in shown[3]
    wide = Rows([Column("layer"), *COLUMNS[1:4] * 9], [(r[0], *r[1:4] * 9) for r in ROWS])
    assert max(map(len, lines(wide, None))) > 200


def test_headings_fold_before_texts_and_columns_go_below_at_last() -> None:
    folded = list(lines(TABLE, 80))
    assert "conv1 norm1 pool1 [fire]" in "\n".join(folded)
    assert len([line for line in folded if line.startswith("conv1_relu")]) == 1
    split = list(lines(TABLE, 34))
    assert len([line for line in split if line.startswith("conv1_relu")]) > 1


def test_a_figure_wider_than_the_terminal_stays_whole() -> None:
    shown = list(lines(Rows([Column("a"), Column("b")], [("x" * 20, "1 234 567")]), 10))
    assert f"{'x' * 20}  1 234 567" in shown


def test_rows_must_have_all_cells() -> None:
    with pytest.raises(ValueError, match="every row must have 2 cells"):
        Rows([Column("a"), Column("b")], [("1",)])


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    show(TABLE)
    text = "It takes 2 612 354 cycles, which are 99.5 % of the peak, and 105.4 MB of memory a run."
    print(fill(text))
    assert max(map(len, terminal.getvalue().splitlines())) <= 40
    assert "2 612 354" in terminal.getvalue()
    assert "99.5 %" in terminal.getvalue()
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    assert fitted.terminal_width() is None
    assert fill(text) == text
