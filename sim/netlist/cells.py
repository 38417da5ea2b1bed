"""Common to the cells of all vendors: pins as lists of bits, and behaviour as Verilog.

Cells become statements in the body of one module: look-up tables, flip-flops and carry chains, tens
of thousands of them, are plain expressions; a memory is an array with its ports.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Bit", "Cell", "Cells", "RamPort", "bit", "block_ram", "constant", "lut", "vector"]

Bit = int | str


@dataclass(frozen=True)
class Cell:
    """A cell of a netlist: its pins hold lists of bits.

    Parameters
    ----------
    name : str
        Unique, and a Verilog identifier.
    type : str
    parameters : mapping of str to str
        As Yosys writes them to JSON.
    directions : mapping of str to str
    pins : mapping of str to list of Bit
    """

    name: str
    type: str
    parameters: Mapping[str, str]
    directions: Mapping[str, str]
    pins: Mapping[str, list[Bit]]

    def of(self, pin: str, default: str = "1'b0") -> str:
        """The first bit of a pin, or `default` if it is not connected."""
        return bit(self.pins[pin][0]) if self.pins.get(pin) else default

    def bus(self, prefix: str, width: int) -> str:
        """Bits of pins that are called ``prefix0``, ``prefix1`` and so on, as a vector."""
        return vector([self.pins.get(f"{prefix}{k}", ["0"])[0] for k in range(width)])

    def number(self, name: str, default: int = 0) -> int:
        """A numeric parameter; undefined bits are 0."""
        text = self.parameters.get(name)
        return default if text is None else int(re.sub("[^01]", "0", text) or "0", 2)

    def text(self, name: str, default: str = "") -> str:
        """A text parameter."""
        return self.parameters.get(name, default).rstrip(" ")

    def demand(self, name: str, *values: str) -> None:
        """Refuse a cell whose text parameter, if given, is none of `values`.

        Raises
        ------
        ValueError
        """
        if name in self.parameters and self.text(name) not in values:
            raise ValueError(f"{self.type}: {name} {self.text(name)} is not supported")

    def tied(self, pin: str, value: str) -> None:
        """Refuse a cell whose `pin` is connected to anything but the constant `value`.

        Raises
        ------
        ValueError
        """
        if any(b not in (value, "x") for b in self.pins.get(pin, [])):
            raise ValueError(f"{self.type}: the pin {pin} is not supported")


class Cells(abc.ABC):
    """Cell models of a vendor."""

    @abc.abstractmethod
    def body(self, cell: Cell) -> Iterator[str]:
        """Yield the statements for a cell.

        Raises
        ------
        ValueError
            If there is no model of it, or it is used in a way that is not modelled.
        """

    @abc.abstractmethod
    def registers(self, cell: Cell) -> list[Bit]:
        """Bits that the cell's statements assign in always blocks: to be declared as ``reg``."""

    def constants(self, cell: Cell) -> dict[Bit, str]:
        """Bits that a cell ties to a constant, ``0`` or ``1``."""
        return {}

    def models(self, cells: Iterable[Cell]) -> str:
        """Modules that the statements instantiate."""
        return ""


def bit(value: Bit) -> str:
    """A bit's name; an undefined bit reads 0."""
    if isinstance(value, int):
        return f"n{value}"
    return "1'b1" if value == "1" else "1'b0"


def vector(bits: list[Bit]) -> str:
    """Bits, the lowest first, as a concatenation."""
    return "{" + ", ".join(bit(b) for b in reversed(bits)) + "}"


def constant(text: str) -> str:
    """A parameter as Yosys writes it to JSON: bits, or a string that may end with a space."""
    if re.fullmatch("[01xz]+", text):
        return f"{len(text)}'b{re.sub('[xz]', '0', text)}"
    return f'"{text.rstrip()}"'


def lut(table: int, inputs: list[str]) -> str:
    """Output of a look-up table; the first input is the lowest bit of its index."""
    return f"1'({1 << len(inputs)}'h{table:x} >> {{{', '.join(reversed(inputs))}}})"


@dataclass(frozen=True, kw_only=True)
class RamPort:
    """One port of a block RAM.

    Parameters
    ----------
    clock, enable, write : str
        Expressions.
    address : str
        Expression of 14 bits: a bit of a memory of 16384 without its parity.  With 18 and 36 bits,
        the lowest ones enable the bytes of a write.
    width : int
        1, 2, 4, 9 (8), 18 (16) or 36 (32); the numbers in brackets leave the parity out.
    data : str
        Expression of the write data, of at least `width` bits; empty: the port never writes.
    out : list of Bit
        Bits of the read data, the lowest first.
    mode : str
        Value of `out` after a write: ``keep``, ``old`` or ``new`` data.
    """

    clock: str
    enable: str
    write: str
    address: str
    width: int
    data: str
    out: list[Bit]
    mode: str = "keep"


def block_ram(name: str, ports: Iterable[RamPort], words: Mapping[int, int]) -> Iterator[str]:
    """Yield statements of a memory of 512 words of four bytes of 9 bits.

    Reading an address in the cycle in which the other port writes it is undefined: the model
    returns inverted bits, so that a design which depends on the value fails.

    Parameters
    ----------
    name : str
        Unique.
    ports : iterable of RamPort
    words : mapping of int to int
        Initial words that are not 0.
    """
    memory = f"{name}_m"
    yield f"  reg [35:0] {memory} [0:511];"
    yield f"  integer {name}_k;"
    yield f"  initial begin for ({name}_k = 0; {name}_k < 512; {name}_k = {name}_k + 1)"
    yield f"    {memory}[{name}_k] = 0;"
    for index, value in sorted(words.items()):
        yield f"    {memory}[{index}] = 36'h{value:x};"
    yield "  end"
    both = dict(zip("ab", ports))
    for letter, port in both.items():
        other = "b" if letter == "a" else "a"
        writes = other in both and both[other].data
        yield from _port(f"{name}_{letter}", memory, port, f"{name}_{other}" if writes else None)


def _port(name: str, memory: str, port: RamPort, other: str | None) -> Iterator[str]:
    """Yield statements of the port `name`; the port `other` may write while it reads."""
    width = {8: 9, 16: 18, 32: 36}.get(port.width, port.width)
    yield f"  wire [13:0] {name}_ad = {port.address};"
    # Position of the port's bits in the word.
    if width >= 36:
        place = "6'd0"
    elif width == 18:
        place = f"({name}_ad[4] ? 6'd18 : 6'd0)"
    elif width == 9:
        place = f"6'(9 * {name}_ad[4:3])"
    else:
        low = {4: 2, 2: 1, 1: 0}[width]
        zeros = f", {low}'d0" if low else ""
        place = f"6'(9 * {name}_ad[4:3] + {{{name}_ad[2:{low}]{zeros}}})"
    yield f"  wire [5:0] {name}_at = {place};"
    word = f"{memory}[{name}_ad[13:5]]"
    bits = [k for k, b in enumerate(port.out) if isinstance(b, int)]
    used = (max(bits) + 1) if bits else 0
    # The port's bits belong to bytes of 9 bits or of 8 bits.
    lanes = [k + k // 8 if port.width in (8, 16, 32) else k for k in range(len(port.out))]
    if port.data:
        count = width // 9 if width >= 9 else 1
        if port.width in (8, 16, 32):
            data = ", ".join(
                f"1'b0, {name}_di[{8 * k + 7}:{8 * k}]" for k in reversed(range(count))
            )
        else:
            data = f"{name}_di[{width - 1}:0]"
        yield f"  wire [35:0] {name}_di = {port.data};"
        if width >= 18:
            mask = ", ".join(f"{{9{{{name}_ad[{k}]}}}}" for k in reversed(range(count)))
        else:
            mask = f"{{{width}{{1'b1}}}}"
        yield f"  wire [35:0] {name}_mask = 36'({{{mask}}}) << {name}_at;"
        yield f"  wire [35:0] {name}_new = 36'({{{data}}}) << {name}_at;"
        yield f"  wire {name}_we = {port.enable} && {port.write};"
        yield (
            f"  always @(posedge {port.clock}) if ({name}_we) "
            f"{word} <= ({word} & ~{name}_mask) | ({name}_new & {name}_mask);"
        )
    if not used:
        return
    yield f"  reg [35:0] {name}_q = 0;"
    read = f"{word} >> {name}_at"
    if other is not None:
        yield (
            f"  wire [35:0] {name}_wrong = {other}_we && {other}_ad[13:5] == {name}_ad[13:5] "
            f"? {other}_mask : 36'd0;"
        )
        read = f"({word} ^ {name}_wrong) >> {name}_at"
    if not port.data:
        yield f"  always @(posedge {port.clock}) if ({port.enable}) {name}_q <= {read};"
    else:
        written = {
            "keep": f"{name}_q",
            "old": read,
            "new": f"(({word} & ~{name}_mask) | ({name}_new & {name}_mask)) >> {name}_at",
        }[port.mode]
        yield (
            f"  always @(posedge {port.clock}) if ({port.enable}) "
            f"{name}_q <= {port.write} ? {written} : {read};"
        )
    for k in bits:
        if lanes[k] < width:
            yield f"  assign {bit(port.out[k])} = {name}_q[{lanes[k]}];"
        else:
            yield f"  assign {bit(port.out[k])} = 1'b0;"
