"""Roll up the cells of regular structures: many instances become one module over arrays.

Verilator generates straight-line code for every instance.  The code of 256 processing elements
alone fills a processor's level-1 instruction cache, and is fetched again in each cycle.  Here a
family (instances in one module that differ only in their names and in which outputs are used)
becomes a single module in which every signal is an array over the instances::

    reg [7:0] act;                            reg [7:0] act [0:239], act$next [0:239];
    always_ff @(posedge clk)          ->      for (i...) act$next[i] = i_act[i];
      act <= i_act;                           always_ff @(posedge clk) act <= act$next;

which the C++ compiler turns into a short loop over vectors.  The circuit is unchanged.

The input is Verilog as Yosys writes it.  A module that holds anything but declarations,
assignments and registers with at most an enable stays as it is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

__all__ = ["roll"]

# Smaller families are left as they are.
_SMALLEST = 8

_NAME = r"(?:\\\S+ ?|[A-Za-z_][\w$]*)"
_MODULE = re.compile(r"^module (\S+) ?\(.*?\);\n(.*?)^endmodule\n", re.S | re.M)
_DECLARATION = re.compile(rf"(input|output|wire|reg) (\[\d+:0\] )?({_NAME})(?: = (\S+))?;")
_ASSIGNMENT = re.compile(rf"assign ({_NAME}) = (.*);")
_REGISTER = re.compile(
    rf"always_ff @\(posedge clk\)\n    (?:if \((!?{_NAME})\) )?({_NAME}) <= (.*);"
)
_INSTANCE = re.compile(rf"^  ({_NAME}) ({_NAME}) ?\(\n((?:    \..*\n)*)  \);\n", re.M)
_PIN = re.compile(rf"    \.({_NAME})\((.*)\),?\n")
# A name; literals that look like one are matched first.
_USE = re.compile(rf"\d*'[hbd][0-9a-fxz_]+|\$(?:un)?signed|{_NAME}")


@dataclass
class _Cell:
    """Contents of a module of the accepted kind; names without the space that may follow."""

    ports: dict[str, str] = field(default_factory=dict)  # direction
    widths: dict[str, str] = field(default_factory=dict)  # "[7:0] " or ""
    initial: dict[str, str] = field(default_factory=dict)
    wires: dict[str, str] = field(default_factory=dict)
    registers: dict[str, tuple[str, str]] = field(default_factory=dict)  # enable or "", value

    def used(self) -> set[str]:
        """Names that any wire or register depends on."""
        values = [*self.wires.values()]
        values += [text for register in self.registers.values() for text in register]
        return {name.strip() for value in values for name in _USE.findall(value)}

    def key(self) -> str:
        """Equal for cells of one family."""
        inputs = [name for name, direction in self.ports.items() if direction == "input"]
        parts = (inputs, self.widths, self.initial, self.wires, self.registers)
        return repr([sorted(part.items() if isinstance(part, dict) else part) for part in parts])


def _parse(body: str) -> _Cell | None:
    """The contents of a module, or None if it is not of the accepted kind."""
    cell = _Cell()
    for item in re.split(r"^  (?! )", body, flags=re.M)[1:]:
        item = item.rstrip("\n")
        if found := _DECLARATION.fullmatch(item):
            kind, width, name, value = found.groups()
            name = name.strip()
            cell.widths[name] = width or ""
            if kind in ("input", "output"):
                cell.ports[name] = kind
            if value:
                cell.initial[name] = value
        elif found := _ASSIGNMENT.fullmatch(item):
            cell.wires[found[1].strip()] = found[2]
        elif found := _REGISTER.fullmatch(item):
            cell.registers[found[2].strip()] = (found[1] or "", found[3])
        else:
            return None
    for part in (cell.wires, cell.registers):
        if any(name not in cell.widths for name in part):  # a part of a signal is assigned
            return None
    return cell


def roll(text: str) -> str:
    """Return the Verilog `text` with its families rolled up; modules keep their names and ports."""
    bodies = {found[1]: found[2] for found in _MODULE.finditer(text)}
    cells = {name: cell for name, body in bodies.items() if (cell := _parse(body))}
    rolled: set[str] = set()
    added: list[str] = []

    def rewrite(module: re.Match[str]) -> str:
        families: dict[str, list[re.Match[str]]] = defaultdict(list)
        for instance in _INSTANCE.finditer(module[0]):
            cell = cells.get(instance[1].strip())
            if cell and cell.registers:
                families[cell.key()].append(instance)
        result = module[0]
        for instances in families.values():
            if len(instances) < _SMALLEST:
                continue
            # In natural order, so that neighbours stay adjacent: pe_0_2 before pe_0_10.
            instances.sort(key=lambda found: _natural(found[2]))
            names = [found[1].strip() for found in instances]
            array = _Array(f"\\{names[0].lstrip(chr(92))}[] ", [cells[name] for name in names])
            pins = [dict(_PIN.findall(found[3])) for found in instances]
            added.append(array.module())
            for found in instances[1:]:
                result = result.replace(found[0], "", 1)
            result = result.replace(instances[0][0], array.instance(pins), 1)
            rolled.update(names)
        return result

    text = _MODULE.sub(rewrite, text)
    text = _MODULE.sub(lambda module: "" if module[1] in rolled else module[0], text)
    return text + "\n".join(["", *added])


class _Array:
    """A family as one module.

    Parameters
    ----------
    name : str
        Of the new module.
    cells : list of _Cell
        The members, in their order; they differ in their outputs only.
    """

    def __init__(self, name: str, cells: list[_Cell]) -> None:
        self.name = name
        self.size = len(cells)
        self.cell = cells[0]
        used = self.cell.used()
        self.ports = {
            port: kind
            for cell in cells
            for port, kind in cell.ports.items()
            if kind == "output" or port in used
        }
        # A power of two; otherwise Verilator checks the index of every access.
        self._capacity = 1 << (self.size - 1).bit_length()
        self._dimension = f"[0:{self._capacity - 1}]"

    def module(self) -> str:
        """The text of the module."""
        cell, array = self.cell, self._dimension
        lines = [f"module {self.name}({', '.join(['clk', *map(_escape, self.ports)])});"]
        lines += ["  input clk;"]
        for name, width in cell.widths.items():
            kind, initial = self.ports.get(name, ""), cell.initial.get(name)
            if name in cell.ports and not kind:
                continue  # the clock, and inputs that nothing depends on
            value = f" = '{{default: {initial}}}" if initial else ""
            lines += [f"  {kind} logic {width}{_escape(name)} {array}{value};".replace("   ", "  ")]
        for name, value in cell.wires.items():
            lines += self._loop(name, self._each(value))
        for name, (enable, value) in cell.registers.items():
            following = value.strip()
            if enable or cell.widths.get(following) != cell.widths[name]:
                following = f"{name}$next"
                lines += [f"  logic {cell.widths[name]}{_escape(following)} {array};"]
                lines += self._loop(following, self._next(name, enable, value))
            lines += [f"  always_ff @(posedge clk) {_escape(name)} <= {_escape(following)};"]
        return "\n".join([*lines, "endmodule", ""])

    def instance(self, pins: list[dict[str, str]]) -> str:
        """The text of the instance and of the arrays that connect the members' `pins`."""
        lines, connections = [], [".clk(clk)"]
        members = [{name.strip(): value for name, value in member.items()} for member in pins]
        for port, kind in self.ports.items():
            wires = _escape(f"{self.name.strip(chr(92) + ' ')}.{port}")
            width = self.cell.widths[port]
            lines += [f"  logic {width}{wires} {self._dimension};"]
            connections += [f".{_escape(port)}({wires})"]
            if kind == "input":
                lines += self._inputs(wires, width, [member[port] for member in members])
                continue
            for i, member in enumerate(members):
                if port in member:
                    lines += [f"  assign {member[port]} = {wires}[{i}];"]
        lines += [f"  {self.name} {self.name}({', '.join(connections)});"]
        return "\n".join([*lines, ""])

    def _inputs(self, wires: str, width: str, outside: list[str]) -> list[str]:
        """Connect the array `wires` to the signals outside of each member."""
        sources = sorted(set(outside), key=_natural)
        if width or len(sources) > len(outside) // 2:
            return [f"  assign {wires}[{i}] = {value};" for i, value in enumerate(outside)]
        # Few bits for many members: look them up in a loop.
        bits = max(1, (len(sources) - 1).bit_length())
        places = [sources.index(value) for value in outside]
        places += [0] * (self._capacity - self.size)
        base = wires.strip(chr(92) + " ")
        vector, table = _escape(f"{base}.sources"), _escape(f"{base}.places")
        return [
            f"  wire [{(1 << bits) - 1}:0] {vector} = {{{', '.join(reversed(sources))}}};",
            f"  localparam logic [{bits - 1}:0] {table} {self._dimension} = "
            f"'{{{', '.join(map(str, places))}}};",
            *self._loop(wires, f"{vector}[{table}[i]]"),
        ]

    def _next(self, register: str, enable: str, value: str) -> str:
        """The next value of one element of a register."""
        new = self._each(value)
        if not enable:
            return new
        # Without a conditional, so that compilers vectorise the loop.
        old, width = self._each(_escape(register)), self.cell.widths[register]
        bits = int(width[1:].split(":")[0]) + 1 if width else 1
        return f"{old} ^ (({old} ^ ({new})) & {{{bits}{{{self._each(enable)}}}}})"

    def _loop(self, target: str, value: str) -> list[str]:
        # Unsigned, so that compilers can determine the number of iterations.
        loop = f"for (int unsigned i = 0; i < {self.size}; i++)"
        return [
            f"  always_comb begin /*verilator unroll_disable*/ {loop}",
            f"    {_escape(target)}[i] = {value};",
            "  end",
        ]

    def _each(self, value: str) -> str:
        """`value` with the signals' elements in place of the signals."""

        def use(found: re.Match[str]) -> str:
            return f"{found[0]}[i]" if found[0].strip() in self.cell.widths else found[0]

        return _USE.sub(use, value)


def _escape(name: str) -> str:
    """The name; an escaped one is followed by a space, as Verilog requires."""
    if name.startswith("\\") or not re.fullmatch(r"[A-Za-z_][\w$]*", name):
        return f"\\{name.lstrip(chr(92))} "
    return name


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part or 0), rest) for rest, part in re.findall(r"(\D*)(\d*)", name)]
