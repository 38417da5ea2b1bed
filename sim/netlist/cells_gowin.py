"""Cells of Gowin's FPGAs, as `synth_gowin` uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from penstock.sim.netlist.cells import Bit, Cell, Cells, RamPort, bit, block_ram, lut, vector

__all__ = ["GowinCells"]

_LUT = re.compile(r"LUT([1-4])$")
# By the suffix of DFF: name of the reset pin, value after reset, whether it is asynchronous.
_RESETS = {
    "": ("", 0, False),
    "S": ("SET", 1, False),
    "R": ("RESET", 0, False),
    "P": ("PRESET", 1, True),
    "C": ("CLEAR", 0, True),
}
_FLIP_FLOP = re.compile(r"DFF([SRPC]?)(E?)$")
_LUT_RAM = re.compile(r"RAM16SDP([124])$")
_MULTIPLIER = re.compile(r"MULT(9|18|36)X\1$")
_WRITE_MODES = ("keep", "new", "old")
# The two halves of an ALU in the modes that synthesis uses.
_ALU = {
    0: ("{a} ^ {b}", "{a}"),
    1: ("{a} ^ ~{b}", "{a}"),
    2: ("({c} ? {a} ^ {b} : {a} ^ ~{b})", "{a}"),
    3: ("{a} ^ ~{b}", "1'b1"),
    4: ("{a} ^ ~{b}", "{a}"),
    5: ("~{a} ^ {b}", "{b}"),
}


class GowinCells(Cells):
    """Gowin GW1N and GW2A.  The PLL passes its input through, so a simulation has one clock."""

    def registers(self, cell: Cell) -> list[Bit]:
        return cell.pins["Q"] if _FLIP_FLOP.match(cell.type) else []

    def constants(self, cell: Cell) -> dict[Bit, str]:
        if cell.type == "VCC":
            return dict.fromkeys(cell.pins["V"], "1")
        return dict.fromkeys(cell.pins["G"], "0") if cell.type == "GND" else {}

    def body(self, cell: Cell) -> Iterator[str]:
        of, pins = cell.of, cell.pins
        if table := _LUT.match(cell.type):
            inputs = [of(f"I{k}") for k in range(int(table[1]))]
            yield f"  assign {of('F')} = {lut(cell.number('INIT'), inputs)};"
        elif _FLIP_FLOP.match(cell.type):
            yield from self._flip_flop(cell)
        elif cell.type.startswith("MUX2"):
            yield f"  assign {of('O')} = {of('S0')} ? {of('I1')} : {of('I0')};"
        elif cell.type == "ALU":
            mode = cell.number("ALU_MODE")
            if mode not in _ALU:
                raise ValueError(f"ALU: mode {mode} is not supported")
            names = {"a": of("I0"), "b": of("I1"), "c": of("I3")}
            sum_, carry = (text.format(**names) for text in _ALU[mode])
            yield f"  wire {cell.name}_s = {sum_};"
            if pins.get("SUM"):
                yield f"  assign {of('SUM')} = {cell.name}_s ^ {of('CIN')};"
            if pins.get("COUT"):
                yield f"  assign {of('COUT')} = {cell.name}_s ? {of('CIN')} : {carry};"
        elif match := _LUT_RAM.match(cell.type):
            yield from self._lut_ram(cell, int(match[1]))
        elif match := _MULTIPLIER.match(cell.type):
            yield from self._multiplier(cell, int(match[1]))
        elif cell.type in ("SDPB", "SDPX9B", "DPB", "DPX9B", "SP", "SPX9"):
            yield from self._block_ram(cell)
        elif cell.type in ("IBUF", "OBUF"):
            yield f"  assign {of('O')} = {of('I')};"
        elif cell.type == "rPLL":
            yield f"  assign {of('CLKOUT')} = {of('CLKIN')};"
            yield f"  assign {of('LOCK')} = 1'b1;"
        elif cell.type not in ("GSR", "VCC", "GND"):
            raise ValueError(f"there is no model of the cell {cell.type}")

    @staticmethod
    def _flip_flop(cell: Cell) -> Iterator[str]:
        match = _FLIP_FLOP.match(cell.type)
        assert match is not None
        pin, value, at_once = _RESETS[match[1]]
        clock, data, q = (cell.of(p) for p in ("CLK", "D", "Q"))
        enable = cell.of("CE") if match[2] else "1'b1"
        reset = cell.of(pin) if pin else "1'b0"
        edge = f"posedge {clock}"
        if at_once and reset.startswith("n"):
            edge += f" or posedge {reset}"
        yield f"  initial {q} = {cell.number('INIT', value)};"
        yield (
            f"  always @({edge}) if ({reset}) {q} <= 1'b{value}; else if ({enable}) {q} <= {data};"
        )

    @staticmethod
    def _lut_ram(cell: Cell, width: int) -> Iterator[str]:
        memory, k = f"{cell.name}_m", f"{cell.name}_k"
        columns = [cell.number(f"INIT_{j}") for j in range(width)]
        yield f"  reg [{width - 1}:0] {memory} [0:15]; integer {k};"
        bits = ", ".join(f"1'(16'h{column:x} >> {k})" for column in reversed(columns))
        yield f"  initial for ({k} = 0; {k} < 16; {k} = {k} + 1) {memory}[{k}] = {{{bits}}};"
        yield (
            f"  always @(posedge {cell.of('CLK')}) if ({cell.of('WRE')}) "
            f"{memory}[{vector(cell.pins['WAD'])}] <= {vector(cell.pins['DI'])};"
        )
        yield f"  wire [{width - 1}:0] {cell.name}_o = {memory}[{vector(cell.pins['RAD'])}];"
        for index, out in enumerate(cell.pins["DO"]):
            if isinstance(out, int):
                yield f"  assign n{out} = {cell.name}_o[{index}];"

    @staticmethod
    def _multiplier(cell: Cell, width: int) -> Iterator[str]:
        for name in ("AREG", "BREG", "OUT_REG", "PIPE_REG", "OUT0_REG", "OUT1_REG"):
            if cell.number(name):
                raise ValueError(f"{cell.type}: {name} is not supported")
        for pin in ("ASEL", "BSEL"):
            cell.tied(pin, "0")
        operands = []
        for letter in "AB":
            bits = cell.pins[letter]
            sign = f"{cell.of(f'{letter}SIGN')} & {bit(bits[-1])}"
            operands.append(f"$signed({{{{{width}{{{sign}}}}}, {vector(bits)}}})")
        result = f"{cell.name}_p"
        yield f"  wire [{2 * width - 1}:0] {result} = {operands[0]} * {operands[1]};"
        for index, out in enumerate(cell.pins["DOUT"]):
            if isinstance(out, int):
                yield f"  assign n{out} = {result}[{index}];"

    @staticmethod
    def _block_ram(cell: Cell) -> Iterator[str]:
        nine = "X9" in cell.type
        pins = cell.pins

        def port(letter: str, index: str, width: int, data: str, out: list[Bit]) -> RamPort:
            write = cell.of(f"WRE{letter}") if f"WRE{letter}" in pins else cell.of(f"CE{letter}")
            return RamPort(
                clock=cell.of(f"CLK{letter}"),
                enable=cell.of(f"CE{letter}"),
                write=write,
                address=vector(pins[f"AD{letter}"]),
                width=width,
                data=data,
                out=out,
                mode=_WRITE_MODES[cell.number(f"WRITE_MODE{index}")],
            )

        for name in ("READ_MODE", "READ_MODE0", "READ_MODE1"):
            if cell.number(name):
                raise ValueError(f"{cell.type}: {name} is not supported")
        for name in ("RESET", "RESETA", "RESETB", "BLKSEL", "BLKSELA", "BLKSELB"):
            cell.tied(name, "0")
        if cell.type.startswith("SDP"):
            ports = [
                port("A", "0", cell.number("BIT_WIDTH_0"), vector(pins["DI"]), []),
                port("B", "1", cell.number("BIT_WIDTH_1"), "", pins["DO"]),
            ]
        elif cell.type.startswith("SP"):
            width = cell.number("BIT_WIDTH")
            ports = [port("", "", width, vector(pins["DI"]), pins["DO"])]
        else:
            ports = [
                port(
                    letter,
                    index,
                    cell.number(f"BIT_WIDTH_{index}"),
                    "" if pins.get(f"WRE{letter}") == ["0"] else vector(pins[f"DI{letter}"]),
                    pins[f"DO{letter}"],
                )
                for letter, index in (("A", "0"), ("B", "1"))
            ]
        yield from block_ram(cell.name, ports, _initial(cell, nine))


def _initial(cell: Cell, nine: bool) -> dict[int, int]:
    """Initial words of 36 bits that are not 0: rows of 8 words, of 36 or 32 bits."""
    words = {}
    for row in range(64):
        value = cell.number(f"INIT_RAM_{row:02X}")
        for k in range(8):
            if nine:
                word = value >> 36 * k & (1 << 36) - 1
            else:
                four = value >> 32 * k & (1 << 32) - 1
                word = sum((four >> 8 * j & 0xFF) << 9 * j for j in range(4))
            if word:
                words[8 * row + k] = word
    return words
