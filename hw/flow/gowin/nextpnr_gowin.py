"""The tool chain for Gowin devices: Yosys, nextpnr-himbaechel and Project Apicula, from PyPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from penstock.hw.flow.errors import read_back
from penstock.hw.flow.gowin.fanout import limit_fanout
from penstock.hw.flow.gowin.gowin_bits import compare
from penstock.hw.flow.nextpnr import OpenToolchain, route
from penstock.hw.flow.places import give_places
from penstock.hw.flow.process import Cost
from penstock.hw.flow.programs import need, pip_tool
from penstock.hw.flow.synthesis import ANY_ON_COLLISION, run_yosys, synthesise
from penstock.hw.flow.toolchain import Job, Routed, Tool

__all__ = ["Gowin"]

_PLACER = "nextpnr-himbaechel-gowin"
_PACKER, _READER = "gowin_pack", "gowin_unpack"

# Look-up tables, adders and flip-flops share sites: a flip-flop needs its own site unless it is fed
# by a look-up table that feeds nothing else.  nextpnr makes no pairs with adders or with the
# multiplexers of wide look-up tables, and a chain of adders takes one more site at each end.  So
# sums of at most this many bits are better mapped to look-up tables.
_SHORT = 8

# nextpnr's placer spreads look-up tables, flip-flops and adders separately and then legalises them.
# With its defaults that takes minutes, as it spreads least where cells are densest.  So it spreads
# over the whole device (beta), and is held to the spread positions (alpha).  It optimises wire
# length only: the clock period is long for this device.  router2 takes half the time of router1.
_OPTIONS = (
    *("--placer-heap-alpha", "1.0", "--placer-heap-beta", "0.4", "--no-tmdriv"),
    *("--router", "router2"),
)

_AS_VERILOG = """\
read_json {json}
write_verilog -noattr {verilog}
"""


class Gowin(OpenToolchain):
    """Yosys, nextpnr-himbaechel, gowin_pack, gowin_unpack.

    Options of the board: ``synthesis`` (the family, as Yosys calls it), ``family`` (as nextpnr
    calls it).
    """

    OPTIONS = ("synthesis", "family")
    FAMILY = "gowin"
    CONSTRAINTS = "penstock.cst"
    CELLS: ClassVar[Mapping[str, tuple[str, float]]] = {
        **{f"LUT{inputs}": ("LUT", 1) for inputs in range(1, 5)},
        "ALU": ("LUT", 1),
        "RAM16SDP4": ("LUT", 4),
        "RAM16SDP2": ("LUT", 2),
        "RAM16SDP1": ("LUT", 1),
        **{
            f"DFF{kind}": ("FF", 1)
            for kind in ("", "E", "S", "SE", "R", "RE", "P", "PE", "C", "CE")
        },
        "MULT9X9": ("DSP", 0.5),
        "MULT18X18": ("DSP", 1),
        "MULT36X36": ("DSP", 4),
        **dict.fromkeys(("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B"), ("BSRAM", 1)),
        "rPLL": ("PLL", 1),
    }

    def tools(self) -> list[Tool]:
        return [
            pip_tool(_PLACER, f"yowasp-{_PLACER}"),
            pip_tool(_PACKER, "apycula"),
        ]

    def synthesise(self, job: Job) -> Cost:
        command = f"synth_gowin -family {self.board.options['synthesis']} -nowidelut"
        short = f"techmap -map +/techmap.v t:$alu r:Y_WIDTH<={_SHORT} %i"
        first = f"{command} -top penstock -run begin:map_gates"
        cost = synthesise(
            job,
            f"{command} -run map_gates:",
            before="\n".join((ANY_ON_COLLISION, first, short)),
        )
        give_places(job, attribute="BEL")
        job.say(f"{limit_fanout(job.netlist)} buffers in nets of many sinks")
        run_yosys(
            job,
            "netlist",
            _AS_VERILOG.format(json=job.netlist.name, verilog=job.netlist_verilog.name),
        )
        return cost

    def place_and_route(self, job: Job, *, seed: int, deadline: float) -> Routed:
        routed = job.folder / f"seed{seed}.json"
        arguments = [
            *("--device", self.board.part),
            *("--vopt", f"family={self.board.options['family']}"),
            *("--vopt", f"cst={self.CONSTRAINTS}"),
            *("--write", routed.name),
            *_OPTIONS,
        ]
        return route(
            job,
            need(_PLACER),
            arguments,
            seed=seed,
            deadline=deadline,
            files={"routed": routed},
        )

    def pack(self, job: Job, routed: Routed, *, clock_mhz: float) -> list[str]:
        job.say("configuration to bitstream")
        (job.folder / "routed.json").write_bytes(routed.files["routed"].read_bytes())
        family = self.board.options["family"]
        job.run(_PACKER, need(_PACKER), "-d", family, "-o", "penstock.fs", "routed.json")
        return []

    def verify(self, job: Job, routed: Routed) -> list[str]:
        job.say("reading the bitstream back")
        unpacked = job.folder / "readback.v"
        family = self.board.options["family"]
        job.run(_READER, need(_READER), "-d", family, "-o", unpacked.name, "penstock.fs")
        with read_back():
            said = compare(job.folder / "routed.json", unpacked)
        unpacked.unlink()
        return [said]
