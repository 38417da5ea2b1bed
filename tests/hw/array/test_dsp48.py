# amaranth: UnusedElaboratable=no
"""The DSP48E1's pins and parameters; `tests/sim/netlist/test_netlist.py` checks its function."""

from __future__ import annotations

import re

import pytest
from amaranth.back import rtlil

from penstock.hw.array.dsp48 import Dsp48e1
from penstock.sim.netlist.cells_xc7 import cell_library

# Unused pins: cascades that this design does not use.
UNUSED = {"CARRYCASCIN", "MULTSIGNIN"}


def ports() -> dict[str, tuple[str, int]]:
    """Direction and width of each pin, from Yosys' own library."""
    match = re.search(r"^module DSP48E1 \((.*?)\);", cell_library().read_text(), re.M | re.S)
    assert match is not None
    pins = re.findall(r"(input|output)(?: reg)?(?: signed)?(?: \[(\d+):0\])? (\w+)", match[1])
    return {name: (direction, int(high or 0) + 1) for direction, high, name in pins}


def cell(*, cascade: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters and connections of the primitive, as RTLIL has them."""
    text = rtlil.convert(Dsp48e1(cascade=cascade), name="top", emit_src=False)
    body = text[text.index("cell \\DSP48E1") : text.index("\n  end")]
    parameters = re.findall(r'parameter \\(\w+) "?(\w+)"?', body)
    return dict(parameters), dict(re.findall(r"connect \\(\w+) (.*)", body))


def width(value: str) -> int:
    """Bits of a constant, of a slice, or of several of them."""
    constants = sum(int(bits) for bits in re.findall(r"(\d+)'", value))
    slices = re.findall(r"\[(\d+)(?::(\d+))?\]", value)
    return constants + sum(int(high) - int(low or high) + 1 for high, low in slices)


@pytest.mark.parametrize("cascade", [False, True])
def test_every_input_is_there_as_wide_as_it_is(cascade: bool) -> None:
    pins = ports()
    _, connections = cell(cascade=cascade)
    inputs = {name: size for name, (direction, size) in pins.items() if direction == "input"}
    given = {name: width(value) for name, value in connections.items() if name in inputs}
    assert given == {name: size for name, size in inputs.items() if name not in UNUSED}
    assert {name for name in connections if name not in inputs} == {"P", "PCOUT"}


def test_what_is_constant() -> None:
    """Nothing is reset, and unused registers are disabled."""
    for cascade, opmode in ((False, "0000101"), (True, "0010101")):
        parameters, connections = cell(cascade=cascade)
        registers = {name: value for name, value in parameters.items() if name.endswith("REG")}
        weight = dict.fromkeys(("AREG", "ACASCREG"), "2")
        others = dict.fromkeys(("BREG", "BCASCREG", "MREG", "PREG"), "1")
        # Constant and unused inputs have no register.
        assert registers == dict.fromkeys(registers, "0") | weight | others
        always = {name: value for name, value in connections.items() if "\\" not in value}
        ones = {"CEB2": 1, "CEM": 1, "CEP": 1, "C": 48}
        want = {name: "0" * width(value) for name, value in always.items()}
        want |= {name: "1" * size for name, size in ones.items()} | {"OPMODE": opmode}
        assert {name: value.split("'")[1] for name, value in always.items()} == want
        # The multiplier has 25 bits: the others are unused.
        assert connections["A"].startswith("{ 5'11111 \\i_wgt")
