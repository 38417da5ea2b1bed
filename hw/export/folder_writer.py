"""The exported folder: its files by name, then all of them on disk."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from penstock.hw.core.accel import Accel
from penstock.hw.export.documents import constraints, ports_json, ports_markdown, registers_page
from penstock.hw.export.example import Example, example_files
from penstock.hw.export.ports import ports
from penstock.models.spec.arch_file import to_toml
from penstock.models.spec.regs import CSR_BYTES

__all__ = ["MARK", "export_files", "fold_zeros", "write_files"]

# A folder with this file in it was made by an export.
MARK = "ports.json"

_ZEROS = re.compile(
    r"  initial begin\n"
    r"(?P<body>(?:    (?P<name>[^ \[]+)\[\d+\] = (?P<width>\d+)'[dhb]0+;\n)+)"
    r"  end\n"
)

_README = """\
# Penstock, {rows}x{cols}

One core, fingerprint {fingerprint:016x}, for a design of your own.

| file | what |
|---|---|
| `penstock.v` | the core: SystemVerilog as Icarus, Verilator, Yosys and Vivado read it |
| `ports.md`, `ports.json` | ports, clock, timing rules, registers |
| `registers.md` | the register map |
| `penstock.sdc`, `penstock.xdc` | the clock, {mhz:g} MHz |
| `arch.toml` | what to compile programs for: `penstock compile MODEL --arch arch.toml -o FILE` |
| `penstock_litex.py` | the core as a LiteX module |
| `example/run.sh` | simulates the core with a small AXI memory (Icarus) |
| `example/run_litex.sh` | simulates the core in a LiteX SoC (`pip install litex`, Icarus) |

The examples run {what}.
"""


def fold_zeros(text: str) -> str:
    """Write memories that start as zeros as loops: a line for each, instead of one a word."""

    def loop(match: re.Match[str]) -> str:
        words, name = match["body"].count("\n"), match["name"]
        if words < 4 or {line.split("[")[0] for line in match["body"].split()[::3]} != {name}:
            return match[0]
        return (
            f"  initial begin : zero_{re.sub(r'[^A-Za-z0-9_]', '_', name)}\n"
            "    integer word;\n"
            f"    for (word = 0; word < {words}; word = word + 1)\n"
            f"      {name}[word] = {match['width']}'d0;\n"
            "  end\n"
        )

    return _ZEROS.sub(loop, text)


def export_files(core: Accel, verilog: str, example: Example, *, mhz: float) -> dict[str, str]:
    """Return the files of an export, by name.

    Parameters
    ----------
    core : Accel
    verilog : str
        Made of it, as a module ``penstock``.
    example : Example
    mhz : float
        The clock to constrain.

    Raises
    ------
    ValueError
        If the clock is not positive.
    """
    if not mhz > 0:
        raise ValueError(f"mhz must be positive, not {mhz!r}")
    arch, table = core.arch, ports(core)
    sources = files("penstock.hw.export") / "files"

    def source(name: str) -> str:
        return (sources / name).read_text(encoding="utf-8")

    return {
        "README.md": _README.format(
            rows=arch.rows, cols=arch.cols, fingerprint=arch.fingerprint, mhz=mhz, what=example.what
        ),
        "penstock.v": verilog,
        "ports.md": ports_markdown(table, arch),
        MARK: ports_json(table, arch),
        "registers.md": registers_page(),
        "penstock.sdc": constraints(mhz),
        "penstock.xdc": constraints(mhz),
        "arch.toml": to_toml(arch),
        "penstock_litex.py": source("penstock_litex.py.txt").replace("@CSR_BYTES@", hex(CSR_BYTES)),
        **{
            f"example/{name}": source(name)
            for name in ("axi_memory.v", "axi_example.v", "axi_example_tb.v", "run.sh")
        },
        **{f"example/{name}": source(name) for name in ("litex_tb.v", "run_litex.sh")},
        "example/litex_soc.py": source("litex_soc.py.txt"),
        **{f"example/{name}": text for name, text in example_files(example, arch).items()},
    }


def write_files(folder: Path, texts: dict[str, str]) -> None:
    """Write files into a folder, which is made if need be; others in it stay.

    Raises
    ------
    OSError
        If that fails.
    """
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
