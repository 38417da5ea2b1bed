"""The tool chain for 7-series devices: Yosys, nextpnr-xilinx and Project X-Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from penstock.hw.boards.board import Board, Processor
from penstock.hw.flow.errors import BuildError, CheckError
from penstock.hw.flow.nextpnr import OpenToolchain, route
from penstock.hw.flow.places import give_places
from penstock.hw.flow.process import Cost
from penstock.hw.flow.synthesis import synthesise, write_verilog
from penstock.hw.flow.toolchain import Job, Routed, Tool
from penstock.hw.flow.xilinx.fasm import features, normal
from penstock.hw.flow.xilinx.openxc7_tools import Tools
from penstock.hw.flow.xilinx.vivado import vivado_script
from penstock.hw.flow.xilinx.xc7_bits import compare, read_bits
from penstock.hw.flow.xilinx.xc7_carry import copy_shared_luts
from penstock.hw.flow.xilinx.xc7_database import Database, Site
from penstock.hw.flow.xilinx.xc7_dsp import differences, read_cells, repair
from penstock.models.zynq.bitfile import read_bit, write_bit
from penstock.models.zynq.hwh import clock_mhz, divisors
from penstock.models.zynq.overlay import overlay_bit, write_overlay

__all__ = ["OpenXc7"]

# The timing model has one speed grade and lacks some delays, so the clock keeps a margin.
_MARGIN = 2 / 3
# The fastest clock the processor system may give the fabric.
_MOST_MHZ = 250

# Only flip-flops without a clock enable become shift registers: those of a slice share the enable,
# which the placer ignores, and the router then never ends.
_SYNTHESIS = """\
synth_xilinx -flatten -abc9 -arch xc7 -nosrl -top penstock -run begin:map_cells
xilinx_srl -fixed -minlen 3 t:$_DFF_P_
synth_xilinx -flatten -abc9 -arch xc7 -nosrl -run map_cells:"""

# Wires take most of a path's delay: the placer weighs timing more than by default.
_SETTINGS = {"placerHeap/timingWeight": "40"}

# Tiles whose configuration is read back.
_CHECKED = ("DSP_", "BRAM_L", "BRAM_R")


class OpenXc7(OpenToolchain):
    """Yosys, nextpnr-xilinx, fasm2frames, xc7frames2bit, bitread.

    Options of the board: ``family`` and ``device`` of the databases.

    With a processor system, the bitstream gets its ``.hwh``, and the clock is one that the
    processor can generate; without, there is only the bitstream.
    """

    OPTIONS = ("family", "device")
    FAMILY = "xc7"
    CONSTRAINTS = "penstock.xdc"
    CELLS: ClassVar[Mapping[str, tuple[str, float]]] = {
        **{f"LUT{inputs}": ("LUT", 1) for inputs in range(1, 7)},
        "INV": ("LUT", 1),
        "SRL16E": ("LUT", 1),
        "SRLC32E": ("LUT", 1),
        "RAM32M": ("LUT", 4),
        "RAM64M": ("LUT", 4),
        "RAM32X1D": ("LUT", 2),
        "RAM64X1D": ("LUT", 2),
        "RAM128X1D": ("LUT", 4),
        **{f"FD{kind}E": ("FF", 1) for kind in "RSCP"},
        "DSP48E1": ("DSP", 1),
        "RAMB36E1": ("RAMB36", 1),
        "RAMB18E1": ("RAMB36", 0.5),
    }

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self._tools = Tools(
            family=board.options["family"], device=board.options["device"], part=board.part
        )

    def tools(self) -> list[Tool]:
        return self._tools.list()

    def _program(self, name: str) -> str:
        path = self._tools.program(name)
        if path is None:
            raise BuildError(f"{name} has gone")
        return path

    def _run(self, job: Job, name: str, *arguments: str | Path) -> None:
        job.run(name, self._program(name), *arguments)

    def _folder(self) -> Path:
        database = self._tools.database()
        if database is None:
            raise BuildError(f"the prjxray database of {self.board.part} has gone")
        return database

    def synthesise(self, job: Job) -> Cost:
        cost = synthesise(job, _SYNTHESIS)
        copies = copy_shared_luts(job.netlist)
        job.say(f"{copies} look-up tables copied to carry chains")
        # Not BEL, which nextpnr interprets as a pin's place.
        give_places(job, attribute="NEXTPNR_BEL", settings=_SETTINGS)
        return cost

    def companions(self, job: Job) -> None:
        write_verilog(job, before="setattr -set keep 1 t:PS7")
        (job.folder / "vivado.tcl").write_text(
            vivado_script(job.board, job.arch.name), encoding="utf-8"
        )

    def place_and_route(self, job: Job, *, seed: int, deadline: float) -> Routed:
        files = {
            "fasm": job.folder / f"seed{seed}.fasm",
            "placed": job.folder / f"seed{seed}.json",
        }
        arguments = [
            *("--chipdb", str(self._tools.chip())),
            *("--xdc", self.CONSTRAINTS),
            *("--fasm", files["fasm"].name),
            *("--write", files["placed"].name),
        ]
        program = self._program("nextpnr-xilinx")
        return route(job, program, arguments, seed=seed, deadline=deadline, files=files)

    def clock(self, fmax_mhz: float) -> float:
        if self.board.clock_mhz is not None:
            return super().clock(fmax_mhz)
        return clock_mhz(divisors(min(fmax_mhz * _MARGIN, _MOST_MHZ)))

    def pack(self, job: Job, routed: Routed, *, clock_mhz: float) -> list[str]:
        fasm = job.folder / "penstock.fasm"
        lines = routed.files["fasm"].read_text(encoding="utf-8").splitlines()
        sites = self._sites(routed)
        add, remove = repair(read_cells(job.netlist), sites, list(features(lines)))
        gone = {f"{tile}.{name}" for tile, name in remove}
        kept = [line for line in lines if line.strip() not in gone]
        fasm.write_text(
            "\n".join([*kept, *(f"{tile}.{name}" for tile, name in add)]) + "\n", encoding="utf-8"
        )
        job.say("FASM to frames")
        frames = job.folder / "penstock.frames"
        self._run(
            job,
            "fasm2frames",
            *("--db-root", self._folder(), "--part", job.board.part),
            *(fasm.name, frames.name),
        )
        job.say("frames to bitstream")
        raw = job.folder / "raw.bit"
        self._run(
            job,
            "xc7frames2bit",
            *("--part_file", self._folder() / job.board.part / "part.yaml"),
            *("--part_name", job.board.part),
            *("--frm_file", frames.name, "--output_file", raw.name),
        )
        # Its header contains the time and other names; ours is constant.
        try:
            payload = read_bit(raw.read_bytes()).payload
        except ValueError as error:
            raise BuildError(f"xc7frames2bit wrote no bitstream: {error}") from None
        path = job.folder / "penstock.bit"
        if isinstance(self.board.host, Processor):
            write_overlay(
                path,
                arch=job.arch,
                payload=payload,
                divisors=divisors(clock_mhz),
                part=job.board.part,
            )
        else:
            path.write_bytes(write_bit(overlay_bit(job.arch, payload, part=job.board.part)))
        raw.unlink()
        frames.unlink()
        return [
            "The reported fmax covers paths from flip-flop to flip-flop through look-up tables and "
            "carry chains only: nextpnr-xilinx has no timing of DSPs, block RAMs and hard blocks "
            "such as the processor system.",
            f"{len(add) + len(remove)} features of tied DSP inputs were put right in the FASM, "
            "which nextpnr-xilinx leaves out.",
        ]

    def _sites(self, routed: Routed) -> dict[str, Site]:
        """Site of each DSP."""
        placed: dict[str, Any] = json.loads(routed.files["placed"].read_text(encoding="utf-8"))
        database = Database(self._folder(), self.board.options["device"], ("DSP_",))
        sites = {}
        for module in placed["modules"].values():
            for name, cell in module["cells"].items():
                place = cell["attributes"].get("NEXTPNR_BEL", "")
                if place.startswith("DSP48_"):
                    sites[name] = database.site(place.split("/")[0])
        return sites

    def verify(self, job: Job, routed: Routed) -> list[str]:
        job.say("reading the bitstream back")
        listing = job.folder / "penstock.bits"
        self._run(
            job,
            "bitread",
            *("--part_file", self._folder() / job.board.part / "part.yaml"),
            *("-o", listing.name, "-z", "-y", "penstock.bit"),
        )
        bits = read_bits(listing)
        listing.unlink()
        with open(job.folder / "penstock.fasm", encoding="utf-8") as file:
            fasm = [(tile, normal(name)) for tile, name in features(file)]
        database = Database(self._folder(), self.board.options["device"], _CHECKED)
        count = compare(database, fasm, bits)
        cells = read_cells(job.netlist)
        wrong = differences(cells, self._sites(routed), database, bits)
        if wrong:
            raise CheckError(
                f"{len(wrong)} settings of DSPs are not what the netlist asks for: "
                + "; ".join(wrong[:3])
            )
        return [
            f"The finished bitstream was read back: all {count} bits of DSP and block RAM "
            "configuration are as the FASM asks, and no others are set.",
            f"Registers, modes and tied inputs of all {len(cells)} DSPs are as the netlist asks.",
        ]
