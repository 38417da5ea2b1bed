"""Cells of Lattice's ECP5, as `synth_ecp5` uses them."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.sim.netlist.cells import Bit, Cell, Cells, RamPort, block_ram, lut, vector

__all__ = ["Ecp5Cells"]

_RAM_MODES = {"NORMAL": "keep", "READBEFOREWRITE": "old", "WRITETHROUGH": "new", "": "keep"}
_LUT4 = ("A", "B", "C", "D")


class Ecp5Cells(Cells):
    """Lattice ECP5.  The PLL passes its input through, so a simulation has one clock."""

    def registers(self, cell: Cell) -> list[Bit]:
        return cell.pins["Q"] if cell.type == "TRELLIS_FF" else []

    def body(self, cell: Cell) -> Iterator[str]:
        of = cell.of
        if cell.type == "LUT4":
            table = lut(cell.number("INIT"), [of(pin) for pin in _LUT4])
            yield f"  assign {of('Z')} = {table};"
        elif cell.type == "TRELLIS_FF":
            yield from self._flip_flop(cell)
        elif cell.type == "PFUMX":
            yield f"  assign {of('Z')} = {of('C0')} ? {of('ALUT')} : {of('BLUT')};"
        elif cell.type == "L6MUX21":
            yield f"  assign {of('Z')} = {of('SD')} ? {of('D1')} : {of('D0')};"
        elif cell.type == "CCU2C":
            yield from self._carry(cell)
        elif cell.type == "TRELLIS_DPR16X4":
            yield from self._lut_ram(cell)
        elif cell.type == "MULT18X18D":
            yield from self._multiplier(cell)
        elif cell.type == "DP16KD":
            yield from self._block_ram(cell)
        elif cell.type == "TRELLIS_IO":
            yield from self._pad(cell)
        elif cell.type == "EHXPLLL":
            for output in ("CLKOP", "CLKOS"):
                if cell.pins.get(output):
                    yield f"  assign {of(output)} = {of('CLKI')};"
            yield f"  assign {of('LOCK')} = 1'b1;"
        elif cell.type == "ODDRX1F":
            yield f"  assign {of('Q')} = {of('SCLK')} ? {of('D0')} : {of('D1')};"
        else:
            raise ValueError(f"there is no model of the cell {cell.type}")

    @staticmethod
    def _flip_flop(cell: Cell) -> Iterator[str]:
        cell.demand("CLKMUX", "CLK")
        cell.demand("LSRMUX", "LSR")
        cell.demand("LSRMODE", "LSR")
        value = int(cell.text("REGSET", "RESET") == "SET")
        enable = {
            "1": "1'b1",
            "0": "1'b0",
            "INV": f"~{cell.of('CE')}",
        }.get(cell.text("CEMUX", "1"), cell.of("CE", "1'b1"))
        clock, reset, q = cell.of("CLK"), cell.of("LSR"), cell.of("Q")
        at_once = cell.text("SRMODE", "LSR_OVER_CE") == "ASYNC"
        edge = f"posedge {clock}"
        if at_once and reset.startswith("n"):
            edge += f" or posedge {reset}"
        yield f"  initial {q} = {value};"
        yield (
            f"  always @({edge}) if ({reset}) {q} <= 1'b{value}; "
            f"else if ({enable}) {q} <= {cell.of('DI')};"
        )

    @staticmethod
    def _carry(cell: Cell) -> Iterator[str]:
        carry = cell.of("CIN")
        for k in range(2):
            inputs = [cell.of(f"{pin}{k}") for pin in _LUT4]
            table = cell.number(f"INIT{k}")
            injected = cell.text(f"INJECT1_{k}", "YES") == "YES"
            # With an injected constant, neither the carry nor the lower table has an effect.
            sum_, low = f"{cell.name}_s{k}", lut(table & 0xF, inputs[:2])
            yield f"  wire {sum_} = {lut(table, inputs)};"
            if cell.pins.get(f"S{k}"):
                gate = "1'b0" if injected else carry
                yield f"  assign {cell.of(f'S{k}')} = {sum_} ^ {gate};"
            low = "1'b0" if injected else low
            yield f"  wire {cell.name}_c{k} = {sum_} ? {carry} : {low};"
            carry = f"{cell.name}_c{k}"
        if cell.pins.get("COUT"):
            yield f"  assign {cell.of('COUT')} = {carry};"

    @staticmethod
    def _lut_ram(cell: Cell) -> Iterator[str]:
        cell.demand("WCKMUX", "WCK")
        cell.demand("WREMUX", "WRE")
        init = cell.number("INITVAL")
        memory, k = f"{cell.name}_m", f"{cell.name}_k"
        yield f"  reg [3:0] {memory} [0:15]; integer {k};"
        yield f"  initial for ({k} = 0; {k} < 16; {k} = {k} + 1)"
        yield f"    {memory}[{k}] = 64'h{init:x} >> 4 * {k};"
        yield (
            f"  always @(posedge {cell.of('WCK')}) if ({cell.of('WRE')}) "
            f"{memory}[{vector(cell.pins['WAD'])}] <= {vector(cell.pins['DI'])};"
        )
        yield f"  wire [3:0] {cell.name}_o = {memory}[{vector(cell.pins['RAD'])}];"
        for index, out in enumerate(cell.pins["DO"]):
            if isinstance(out, int):
                yield f"  assign n{out} = {cell.name}_o[{index}];"

    @staticmethod
    def _multiplier(cell: Cell) -> Iterator[str]:
        for stage in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT"):
            cell.demand(f"REG_{stage}_CLK", "NONE")
        for pin in ("SOURCEA", "SOURCEB"):
            cell.tied(pin, "0")
        operands = []
        for letter in "AB":
            value = cell.bus(letter, 18)
            sign = f"{cell.of(f'SIGNED{letter}')} & {cell.of(f'{letter}17')}"
            operands.append(f"$signed({{{{18{{{sign}}}}}, {value}}})")
        yield f"  wire [35:0] {cell.name}_p = {operands[0]} * {operands[1]};"
        for k in range(36):
            if cell.pins.get(f"P{k}") and isinstance(cell.pins[f"P{k}"][0], int):
                yield f"  assign {cell.of(f'P{k}')} = {cell.name}_p[{k}];"

    @staticmethod
    def _block_ram(cell: Cell) -> Iterator[str]:
        for letter in "AB":
            cell.demand(f"REGMODE_{letter}", "NOREG")
            cell.demand(f"CLK{letter}MUX", f"CLK{letter}")
            cell.demand(f"CSDECODE_{letter}", "0b000")
            for pin in ("RST", "CS0", "CS1", "CS2"):
                # CSA0 and so on: the letter comes before the number.
                name = f"{pin[:-1]}{letter}{pin[-1]}" if pin[-1].isdigit() else f"{pin}{letter}"
                cell.tied(name, "0")
        widths = {letter: cell.number(f"DATA_WIDTH_{letter}", 18) for letter in "AB"}
        data = {letter: cell.bus(f"DI{letter}", 18) for letter in "AB"}
        out = {
            letter: [cell.pins.get(f"DO{letter}{k}", ["x"])[0] for k in range(18)]
            for letter in "AB"
        }
        if 36 in widths.values():
            # One port writes, the other reads; each has the pins of both.
            cell.tied("WEB", "0")
            if widths["A"] == 36:
                data["A"] = f"{{{data['B']}, {data['A']}}}"
            if widths["B"] == 36:
                out["B"] = [*out["A"], *out["B"]]
            out["A"] = []
        ports = [
            RamPort(
                clock=cell.of(f"CLK{letter}"),
                enable=cell.of(f"CE{letter}", "1'b1"),
                write=cell.of(f"WE{letter}"),
                address=cell.bus(f"AD{letter}", 14),
                width=widths[letter],
                data="" if cell.pins.get(f"WE{letter}") == ["0"] else data[letter],
                out=out[letter],
                mode=_RAM_MODES[cell.text(f"WRITEMODE_{letter}")],
            )
            for letter in "AB"
        ]
        yield from block_ram(cell.name, ports, _initial(cell))

    @staticmethod
    def _pad(cell: Cell) -> Iterator[str]:
        """Pads of both directions are two ports of the module: see `Netlist.verilog`."""
        pad = cell.of("B")
        direction = cell.text("DIR")
        if direction == "INPUT":
            yield f"  assign {cell.of('O')} = {pad};"
        elif direction == "OUTPUT":
            yield f"  assign {pad} = {cell.of('I')};"
        else:
            yield f"  assign {cell.of('O')} = {pad};"
            yield f"  assign {pad}_o = {cell.of('I')};"
            yield f"  assign {pad}_oe = ~{cell.of('T')};"


def _initial(cell: Cell) -> dict[int, int]:
    """Initial words of 36 bits that are not 0: rows of 16 halves of 18 bits, each in 20."""
    words: dict[int, int] = {}
    for row in range(64):
        value = cell.number(f"INITVAL_{row:02X}")
        for k in range(16):
            half = value >> 20 * k & 0x3FFFF
            if half:
                index, upper = divmod(16 * row + k, 2)
                words[index] = words.get(index, 0) | half << 18 * upper
    return words
