"""The last step of the flow for PYNQ boards, with programs that write given files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.hw.boards.board import Board, Processor
from penstock.hw.flow.process import Cost, Runner
from penstock.hw.flow.timing import Timing
from penstock.hw.flow.toolchain import Job, Routed
from penstock.hw.flow.xilinx.openxc7 import OpenXc7
from penstock.models.spec.arch import Arch
from penstock.models.zynq.bitfile import BitFile, write_bit
from penstock.models.zynq.hwh import CSR_BASE

__all__ = ["BOARD", "PAYLOAD", "PackChain", "pack"]

PAYLOAD = bytes.fromhex("ffffffff000000bb11220044ffffffffaa99556620000000")
_COST = Cost(0.0, 0.0)


def _no_top(arch: Arch) -> Any:
    raise AssertionError("what is packed was synthesised before")


# As in `hw.boards.pynq_z2_top`; that needs Amaranth, which boards do not have.
BOARD = Board(
    name="pynq-z2",
    title="PYNQ-Z2",
    part="xc7z020clg400-1",
    toolchain="openxc7",
    options={"family": "zynq7", "device": "xc7z020"},
    top=_no_top,
    arch="pynq-z2",
    target_mhz=130.0,
    host=Processor(registers=CSR_BASE),
)


class _Runner(Runner):
    """Writes the files that the programs would write."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self._raw = raw

    def run(self, command: Sequence[str | Path], **options: Any) -> Cost:
        names = [str(word) for word in command]
        if names[0] == "fasm2frames":
            Path(options["cwd"], names[-1]).write_text("0x00000000 0x00000000\n")
        else:
            output = names[names.index("--output_file") + 1]
            Path(options["cwd"], output).write_bytes(self._raw)
        return _COST


class PackChain(OpenXc7):
    """The tool chain without its installation."""

    def _program(self, name: str) -> str:
        return name

    def _folder(self) -> Path:
        return Path("database")

    def _sites(self, routed: Routed) -> dict[str, Any]:
        return {}


def pack(folder: Path, arch: Arch, *, clock_mhz: float, raw: bytes | None = None) -> Path:
    """Run the last step on a design without DSPs in `folder`; return its ``.bit`` file.

    Parameters
    ----------
    folder : Path
    arch : Arch
    clock_mhz : float
    raw : bytes or None
        File written by the last program; None: one with its own names and times.
    """
    if raw is None:
        raw = write_bit(BitFile(design="x", part=BOARD.part, payload=PAYLOAD, date="2020/02/02"))
    job = Job(board=BOARD, arch=arch, folder=folder, runner=_Runner(raw), say=lambda text: None)
    fasm = folder / "seed1.fasm"
    fasm.write_text("CLBLM_L_X2Y2.SLICEL_X0.NOCLKINV\n")
    job.netlist.write_text(
        json.dumps({"modules": {"penstock": {"attributes": {"top": "1"}, "cells": {}}}})
    )
    routed = Routed(seed=1, timing=Timing("clk", 150.0), files={"fasm": fasm}, cost=_COST)
    PackChain(BOARD).pack(job, routed, clock_mhz=clock_mhz)
    return folder / "penstock.bit"
