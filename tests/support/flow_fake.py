"""A board and a tool chain of small Python programs, to test the flow itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import ClassVar

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from penstock.hw.boards.board import Board, OnChip, Pins, Serial
from penstock.hw.flow.errors import CheckError
from penstock.hw.flow.process import Cost
from penstock.hw.flow.timing import Timing
from penstock.hw.flow.toolchain import Job, Routed, Tool, Toolchain
from penstock.models.spec.arch import Arch

__all__ = ["BOARD", "FMAX", "FakeChain", "Top"]

# Clock reached by each seed in MHz; a word instead names a program with another behaviour.
FMAX: dict[int, float | str] = {1: 120.0, 2: 150.0, 3: 150.0, 4: "fail", 5: "hang"}

_WRITE = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
_ROUTE = {
    "fail": "print('cannot place'); raise SystemExit(3)",
    "hang": "import os, signal; print('pid', os.getpid(), flush=True); signal.pause()",
}
_NETLIST = (
    '{"modules": {"top": {"attributes": {"top": "1"}, "cells": '
    '{"a": {"type": "LUT4"}, "b": {"type": "LUT4"}, "c": {"type": "BRAM"}}}}}'
)


class Top(wiring.Component):
    """A counter."""

    def __init__(self, *, arch: Arch) -> None:
        self.arch = arch
        super().__init__({"count": Out(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step = Signal(8, init=self.arch.rows)
        m.d.sync += self.count.eq(self.count + step)
        return m


BOARD = Board(
    name="fake",
    title="Fake",
    part="fake-1",
    toolchain="fake",
    top=Top,
    arch="tiny",
    clock_mhz=100.0,
    target_mhz=130.0,
    host=Serial(baud=1_000_000, pins=Pins(clock="clk", outputs={"led": ("count", 8)})),
    memory=OnChip(1024),
    resources={"LUT": 100, "RAM": 2},
    load="loader fake.bit",
)


class FakeChain(Toolchain):
    """Programs that write given files."""

    OPTIONS = ()
    FAMILY = "fake"
    CONSTRAINTS = "penstock.xdc"
    CELLS: ClassVar[Mapping[str, tuple[str, float]]] = {"LUT4": ("LUT", 1), "BRAM": ("RAM", 0.5)}

    # For a test to change.
    missing: ClassVar[list[str]] = []
    netlist: ClassVar[str] = _NETLIST
    broken: ClassVar[bool] = False

    def synthesis_tools(self) -> list[Tool]:
        return [Tool("synth", "1.0", "pip install synth")]

    def tools(self) -> list[Tool]:
        return [
            Tool(name, None if name in self.missing else "2.0", f"get {name} somewhere")
            for name in ("place", "pack")
        ]

    def synthesise(self, job: Job) -> Cost:
        assert "module \\penstock" in job.rtlil.read_text()
        job.netlist_verilog.write_text("module penstock(); endmodule\n")
        return job.runner.run(
            [sys.executable, "-c", _WRITE, job.netlist.name, self.netlist],
            log=job.log("synthesis"),
            cwd=job.folder,
        )

    def place_and_route(self, job: Job, *, seed: int, deadline: float) -> Routed:
        name = f"seed{seed}.txt"
        result = FMAX[seed]
        code = _ROUTE.get(str(result), _WRITE)
        job.say(f"seed {seed} begins")
        cost = job.runner.run(
            [sys.executable, "-c", code, name, f"routed {seed}"],
            log=job.log(f"seed{seed}"),
            cwd=job.folder,
            deadline=deadline,
            line=lambda text: job.say(text.strip()),
        )
        timing = Timing("clk", float(result), None)
        return Routed(seed=seed, timing=timing, files={"text": job.folder / name}, cost=cost)

    def clock(self, fmax_mhz: float) -> float:
        return fmax_mhz / 2

    def pack(self, job: Job, routed: Routed, *, clock_mhz: float) -> list[str]:
        (job.folder / "penstock.bit").write_text(f"{routed.files['text'].read_text()}\n")
        return ["packed"]

    def verify(self, job: Job, routed: Routed) -> list[str]:
        if self.broken:
            raise CheckError("the bitstream differs")
        return ["verified"]
