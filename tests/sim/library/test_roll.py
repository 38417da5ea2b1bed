"""Rolling up families of cells; the tests of the device check that the circuit is unchanged."""

from __future__ import annotations

import re

import pytest

from penstock.hw.array.systolic import SystolicArray
from penstock.sim.library.roll import roll
from penstock.sim.library.verilog import to_verilog

CELL = """\
module \\top.NAME (clk, rst, i, en, OUTPUTS);
  wire [8:0] _0_;
  input clk;
  wire clk;
  input en;
  wire en;
  input [7:0] i;
  wire [7:0] i;
  OUTPUT
  reg [7:0] o = 8'h05;
  input rst;
  wire rst;
  reg [7:0] \\$old = 8'h00;
  assign _0_ = i + 8'h01;
  REGISTER
  always_ff @(posedge clk)
    if (en) \\$old <= o;
endmodule

"""
FREE = "always_ff @(posedge clk)\n    o <= _0_[7:0];"
RESET = "always_ff @(posedge clk)\n    if (rst) o <= 8'h05;\n    else o <= _0_[7:0];"


def design(count: int, *, register: str = FREE, silent: int = -1) -> str:
    """`count` cells one after the other; cell `silent` has no output."""
    lines = ["module top (clk, rst, en, i, o);"]
    lines += [f"  wire [7:0] \\x${k} ;" for k in range(count + 1)]
    cells = []
    # As Yosys sorts them.
    for k in sorted(range(count), key=str):
        output = [] if k == silent else [f"    .o(\\x${k + 1} ),\n"]
        lines.append(
            f"  \\top.cell_{k}  cell_{k} (\n    .clk(clk),\n    .en(en[{k % 2}]),\n"
            f"    .i(\\x${k} ),\n{''.join(output)}    .rst(rst)\n  );"
        )
        text = CELL.replace("NAME", f"cell_{k}").replace("  REGISTER", f"  {register}")
        text = text.replace("OUTPUTS", "" if k == silent else "o")
        cells.append(text.replace("  OUTPUT\n", "" if k == silent else "  output [7:0] o;\n"))
    return "\n".join([*lines, "endmodule", "", *cells])


def test_family() -> None:
    text = roll(design(11))
    assert re.findall(r"^module (\S+)", text, re.M) == ["top", "\\top.cell_0[]"]
    assert "output logic [7:0] o [0:15] = '{default: 8'h05};" in text
    assert "i < 11" in text
    # Cell 2 is the third, not the one after cell 10.
    assert "assign \\top.cell_0[].i [2] = \\x$2 ;" in text
    assert "assign \\x$3  = \\top.cell_0[].o [2];" in text
    # Two enables for eleven cells.
    assert "= {en[1], en[0]};" in text
    assert "'{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0};" in text
    assert "\\$old [i] ^ ((\\$old [i] ^ (o[i])) & {8{en[i]}});" in text
    assert "rst" not in text.split("endmodule")[1]


def test_unused_output() -> None:
    text = roll(design(8, silent=7))
    assert "\\top.cell_0[].o [6]" in text
    assert "\\top.cell_0[].o [7]" not in text
    assert len(re.findall(r"^module", text, re.M)) == 2


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(design(7), id="few"),
        pytest.param(design(9, register=RESET), id="reset"),
        pytest.param(design(9, register="reg [7:0] memory [3:0];"), id="memory"),
        pytest.param(design(9, register="assign o[3:0] = i[7:4];"), id="parts"),
    ],
)
def test_left_alone(text: str) -> None:
    assert roll(text).strip() == text.strip()


def test_array() -> None:
    """The first row adds nothing, so it is a family of its own, here too small."""
    text = to_verilog(SystolicArray(rows=4, cols=4), name="array")
    names = re.findall(r"^module (\S+)", roll(text), re.M)
    assert [name for name in names if name.endswith("[]")] == ["\\array.pe_1_0[]"]
    assert sum("pe_" in name for name in names) == 5
