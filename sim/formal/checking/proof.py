"""One entry of the list of proofs, and how it is run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.sim.formal.checking.engine import EngineError, Query, solve
from penstock.sim.formal.checking.harness import Harness, to_rtlil
from penstock.sim.formal.checking.variants import variant

__all__ = ["Fault", "Proof", "Result", "find_fault", "prove"]

# Equal registers are merged first, as monitors duplicate counters of the design.
_INDUCTION = ("scorr", "pdr -T {seconds}")


@dataclass(frozen=True)
class Fault:
    """A fault planted in a design, that its proof must find.

    Parameters
    ----------
    old, new : str
        Piece of the module's source, and its replacement.
    """

    old: str
    new: str


@dataclass(frozen=True)
class Proof:
    """Claims about a block, with faults that show that each kind of claim can fail.

    Parameters
    ----------
    name : str
    module : str
        Module of the block, e.g. ``"penstock.hw.lib.stream"``.
    build : callable
        Called with the module, or a copy of it; returns the harness.
    claims : str
        The claims as text, for the documentation.
    faults : tuple of Fault
        At least one.
    depth : int or None
        Cycles after the reset that are checked; None: all, by induction.
    complete : bool
        With `depth`: the design's state has no influence after so many cycles.
    reach : int
        Cycles within which covers must be reached, and faults found unless there is a `depth`.
    """

    name: str
    module: str
    build: Callable[[Any], Harness]
    claims: str
    faults: tuple[Fault, ...]
    depth: int | None = None
    complete: bool = False
    reach: int = 30

    @property
    def kind(self) -> str:
        """Method of the proof, for tables."""
        if self.depth is None:
            return "induction"
        return f"{'complete' if self.complete else 'bounded'}, {self.depth} cycles"


@dataclass(frozen=True)
class Result:
    """Result of a proof or a fault.

    Parameters
    ----------
    problem : str
        Empty on success.
    seconds : float
    """

    problem: str
    seconds: float


def prove(proof: Proof, *, timeout: float, folder: Path | None = None) -> Result:
    """Prove the claims of a design, and that its covers can be reached.

    Parameters
    ----------
    proof : Proof
    timeout : float
        Seconds.
    folder : Path or None
        Folder in which the tools' files are kept.
    """
    start = time.monotonic()

    def result(problem: str) -> Result:
        return Result(problem, time.monotonic() - start)

    harness = proof.build(variant(proof.module))
    text = to_rtlil(harness)
    claims, covers = list(harness.claims), list(harness.covers)
    reach = [
        Query(len(claims) + index, 1, (f"bmc3 -F {proof.reach}",)) for index in range(len(covers))
    ]
    if proof.depth is None:
        commands = tuple(command.format(seconds=round(timeout)) for command in _INDUCTION)
    else:
        commands = _unrolled(proof.depth)
    try:
        answer, *reached = solve(
            text, [Query(0, len(claims), commands), *reach], timeout=timeout, folder=folder
        )
        unreached = [name for name, a in zip(covers, reached) if not a.possible]
        if unreached:
            return result(f"never happens in {proof.reach} cycles: {unreached[0]}")
        if proof.depth is None and not answer.possible and not answer.impossible:
            # Only constants were left, which `pdr` rejects.
            query = Query(0, len(claims), commands[1:])
            (answer,) = solve(text, [query], timeout=timeout)
        if answer.possible:
            return result(f"false: {_first_violated(text, claims, timeout)}")
        proved = answer.impossible if proof.depth is None else answer.cycles == proof.depth
        return result("" if proved else f"not decided in {timeout:.0f} s")
    except EngineError as error:
        return result(str(error))


def find_fault(proof: Proof, fault: Fault, *, timeout: float) -> Result:
    """Plant a fault and find a counterexample to the claims."""
    start = time.monotonic()
    harness = proof.build(variant(proof.module, edit=(fault.old, fault.new)))
    cycles = proof.depth or proof.reach
    commands = _unrolled(cycles) if proof.depth else (f"bmc3 -F {cycles}",)
    query = Query(0, len(harness.claims), commands)
    try:
        (answer,) = solve(to_rtlil(harness), [query], timeout=timeout)
        problem = "" if answer.possible else f"not found in {cycles} cycles"
    except EngineError as error:
        problem = str(error)
    return Result(problem, time.monotonic() - start)


def _unrolled(cycles: int) -> tuple[str, ...]:
    """Unroll all cycles into one network, in which equal multipliers are merged."""
    return (f"bmc -F {cycles} -N 100000000",)


def _first_violated(text: str, claims: list[str], timeout: float) -> str:
    """The claim that fails first: `pdr` reports neither which claim fails nor when."""
    (whole,) = solve(
        text, [Query(0, len(claims), (f"bmc3 -T {timeout:.0f}",))], timeout=timeout + 10
    )
    if not whole.possible:
        return f"a claim, in a cycle not found in {timeout:.0f} s"
    cycles = whole.cycles + 1  # `bmc3` gives the last cycle without a failure, from 0
    queries = [Query(index, 1, (f"bmc3 -F {cycles + 1}",)) for index in range(len(claims))]
    answers = solve(text, queries, timeout=timeout)
    names = [name for name, answer in zip(claims, answers) if answer.possible]
    return f"{names[0]}, {cycles} cycles after the reset"
