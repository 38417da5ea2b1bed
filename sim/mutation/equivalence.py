"""Proves that a mutant is equivalent: the hardware behaves the same in every cycle.

The same core of both trees is compared module by module, so only modules that differ need a proof.
Submodules and memories are cut out on both sides: their inputs must be equal, their outputs are
arbitrary but the same.  A module whose ports differ is compared as part of its parent.  Two modules
are equal if their outputs never differ after the configuration of the FPGA, for any inputs (ABC's
`scorr`, which finds registers that are always equal, and `pdr`).

If all cores have the same text on both sides, the fault is in hardware that no core contains, and
is not proved harmless.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.sim.formal.checking.engine import EngineError, Query, run_yosys, solve

__all__ = ["Hardware", "differences", "equal"]

_TIMEOUT = 120.0
# Each proves cases that the others cannot: `pdr` gives up if `scorr` has left no register, and
# `dprove` alone overflows ABC's stack on deep logic.
_PROOFS = (
    ("strash", "scorr", "dprove"),
    ("strash", "dprove"),
    ("strash", "scorr", "pdr -T 60"),
)

_MODULE = re.compile(r"^module (\\\S+)\n(.*?)^end\n", re.MULTILINE | re.DOTALL)
_PORT = re.compile(
    r"^  wire (?:width (\d+) )?(input|output) \d+ +(?:signed )?(\\\S+)$", re.MULTILINE
)
_CELL = re.compile(r"^  cell (\S+) (\S+)\n(.*?)^  end\n", re.MULTILINE | re.DOTALL)
_CONNECT = re.compile(r"^    connect (\\\S+) (.*)$", re.MULTILINE)
_PARAMETER = re.compile(r"^    parameter (?:signed )?\\(\S+) (\d+)$", re.MULTILINE)

_NUMBERED = re.compile(r"\\port\$(\d+)\$")

# Width of the ports of Yosys' memories.
_MEMORY = {
    **{f"RD_{name}": ("RD_PORTS",) for name in ("CLK", "EN", "ARST", "SRST")},
    "RD_ADDR": ("RD_PORTS", "ABITS"),
    "RD_DATA": ("RD_PORTS", "WIDTH"),
    "WR_CLK": ("WR_PORTS",),
    "WR_EN": ("WR_PORTS", "WIDTH"),
    "WR_ADDR": ("WR_PORTS", "ABITS"),
    "WR_DATA": ("WR_PORTS", "WIDTH"),
}


@dataclass(frozen=True)
class Module:
    """A module of RTLIL.

    Attributes
    ----------
    text : str
        Its contents.
    ports : dict of str to (int, str)
        Width and direction.
    """

    text: str
    ports: Mapping[str, tuple[int, str]]


Hardware = Mapping[str, Module]


def read(text: str) -> Hardware:
    """The modules of a text of RTLIL, by name."""
    # Some names contain the number of a signal, counted from the start of Amaranth.
    numbers = sorted({int(number) for number in _NUMBERED.findall(text)})
    order = {number: index for index, number in enumerate(numbers)}
    text = _NUMBERED.sub(lambda match: f"\\port${order[int(match[1])]}$", text)
    return {
        name: Module(
            body, {port: (int(width or 1), way) for width, way, port in _PORT.findall(body)}
        )
        for name, body in _MODULE.findall(text)
    }


def differences(first: Hardware, second: Hardware) -> dict[str, set[str]]:
    """The comparisons needed: modules, each with the submodules that are flattened into it."""
    found: dict[str, set[str]] = {}
    todo = {name: {name} for name in {*first, *second} if first.get(name) != second.get(name)}
    while todo:
        name = max(todo, key=lambda name: name.count("."))
        merged = todo.pop(name)
        ports = [side[name].ports if name in side else None for side in (first, second)]
        if ports[0] == ports[1]:
            found[name] = merged
        elif "." not in name:
            raise EngineError(f"the ports of {name} differ")
        else:
            todo.setdefault(name.rpartition(".")[0], {name.rpartition(".")[0]}).update(merged)
    return found


def equal(first: Hardware, second: Hardware) -> bool:
    """Whether two cores are proved to do the same.

    Raises
    ------
    EngineError
        On a timeout, or if a tool fails.
    """
    return all(
        _same(first, second, name, inside) for name, inside in differences(first, second).items()
    )


def _same(first: Hardware, second: Hardware, name: str, inside: set[str]) -> bool:
    """Whether `name`, with the modules `inside` flattened into it, is equal on both sides."""
    with tempfile.TemporaryDirectory(prefix="penstock-") as temporary:
        folder = Path(temporary)
        opened, memories = [], []
        for label, side in (("gold", first), ("gate", second)):
            text = "".join(f"module {n}\n{side[n].text}end\n" for n in inside if n in side)
            (folder / "part.il").write_text(text, encoding="utf-8")
            _yosys(
                folder,
                f"read_rtlil part.il\nproc -noopt\nflatten {name}\n"
                f"select {name}\nmemory_collect\nwrite_rtlil -selected whole.il\n",
            )
            whole = (folder / "whole.il").read_text(encoding="utf-8")
            (body,) = (body for found, body in _MODULE.findall(whole) if found == name)
            body, kept = _opened(body, side)
            opened.append(f"module \\{label}\n{body}end\n")
            memories.append(kept)
        if memories[0] != memories[1]:
            return False
        (folder / "both.il").write_text("".join(opened), encoding="utf-8")
        _yosys(
            folder,
            "read_rtlil both.il\nmiter -equiv -flatten gold gate top\nwrite_rtlil top.il\n",
        )
        text = (folder / "top.il").read_text(encoding="utf-8")
    return _proved(text)


def _proved(text: str) -> bool:
    """Whether the only output of a design is never 1.

    Raises
    ------
    EngineError
        If no proof has come to an end.
    """
    failed: list[EngineError] = []
    for proof in _PROOFS:
        try:
            (answer,) = solve(text, [Query(0, 1, proof)], timeout=_TIMEOUT)
        except EngineError as error:
            failed.append(error)
            continue
        if answer.impossible:
            return True
        if answer.possible:
            return False
    if len(failed) == len(_PROOFS):
        raise failed[0]
    return False


def _yosys(folder: Path, script: str) -> None:
    (folder / "script.ys").write_text(script, encoding="utf-8")
    run_yosys(folder, "script.ys", timeout=_TIMEOUT)


def _opened(body: str, modules: Hardware) -> tuple[str, dict[str, str]]:
    """A module's text with its submodules cut out and their ports as its own, and their names."""
    parts: dict[str, str] = {}
    wires: list[str] = []
    links: list[str] = []

    def ports(kind: str, text: str) -> Mapping[str, tuple[int, str]]:
        if kind in modules:
            return modules[kind].ports
        values = {name: int(value) for name, value in _PARAMETER.findall(text)}
        result = {}
        for port, factors in _MEMORY.items():
            width = 1
            for factor in factors:
                width *= values[factor]
            result["\\" + port] = (width, "output" if port == "RD_DATA" else "input")
        return result

    def replace(match: re.Match[str]) -> str:
        kind, name, text = match.groups()
        if kind != "$mem_v2" and not kind.startswith("\\"):
            return match[0]
        known = ports(kind, text)
        for port, signal in _CONNECT.findall(text):
            width, way = known[port]
            if not width:
                continue
            wire = f"\\{name[1:]}/{port[1:]}"
            outward = way == "input"
            way = "output" if outward else "input"
            wires.append(f"  wire width {width} {way} {1000 + len(wires)} {wire}\n")
            target, source = (wire, signal) if outward else (signal, wire)
            links.append(f"  connect {target} {source}\n")
        parts[name] = kind + _CONNECT.sub("", text)
        return ""

    rest = _CELL.sub(replace, body)
    return "".join(wires) + rest + "".join(links), parts
