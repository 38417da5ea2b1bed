"""Planning a network: which layers go to the array together, and how each is cut.

A chain of layers that fits is one hardware layer, unless the cost model finds its parts cheaper one
after the other; a chain that does not fit is split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from penstock.host.compiler.emission.tile import Plan
from penstock.host.compiler.lowering.chains import Chain, chains
from penstock.host.compiler.lowering.lower import lowerings
from penstock.host.compiler.planning.cost import PlanCost, time_plan
from penstock.host.compiler.planning.search import Candidate, choose, cover, fitting
from penstock.host.program.compile_error import CompileError
from penstock.models.graph.graph import Network
from penstock.models.spec.arch import Arch

__all__ = ["Choice", "plan_network"]


@dataclass(frozen=True)
class Choice:
    """How one hardware layer is done, and what else was considered.

    Parameters
    ----------
    candidates : tuple of Candidate
        The best first: it was taken.
    apart : PlanCost or None
        What the chain's parts would take as layers of their own.
    refused : str
        Why the layer is but a part of its chain; empty if it is not.
    """

    candidates: tuple[Candidate, ...]
    apart: PlanCost | None = None
    refused: str = ""

    @property
    def plan(self) -> Plan:
        """What was taken."""
        return self.candidates[0].plan


class _Planner:
    """Chooses plans, layer after layer."""

    def __init__(self, arch: Arch, batch: int) -> None:
        self.arch = arch
        self.batch = batch
        self.choices: list[Choice] = []
        # The last chain for the array, and its tail.
        self._last: Chain | None = None
        self._tail = 0.0

    def add(self, chain: Chain, after: Chain | None) -> None:
        """Choose the plan of a chain: of one hardware layer, or of as many as need be."""
        parts = chain.split()
        try:
            ways = lowerings(chain, self.arch)
            tail = 0.0
            if self._last is not None and chain.reads(self._last):
                tail = self._tail
            found = choose(
                ways,
                self.arch,
                self.batch,
                tail=tail,
                covered=self._cover(chain, after),
            )
        except CompileError as refusal:
            if parts is None:
                raise
            self._add_parts(parts, after, str(refusal))
            return
        apart = None if parts is None else self._apart(parts)
        best = found[0].cost
        if apart is not None and best and apart.cycles < best.cycles + best.tail:
            assert parts is not None
            self._add_parts(parts, after, "its parts are faster one after the other")
            return
        self.choices.append(Choice(tuple(found), apart))
        if self.choices[-1].plan.tiles:
            self._last, self._tail = chain, best.tail if best else 0.0

    def _add_parts(self, parts: tuple[Chain, Chain], after: Chain | None, why: str) -> None:
        first = len(self.choices)
        self.add(parts[0], parts[1])
        self.add(parts[1], after)
        self.choices[first] = replace(self.choices[first], refused=why)

    def _cover(self, chain: Chain, after: Chain | None) -> float:
        """Cycles of this chain's tail that the next one covers."""
        if after is None:
            return 0.0
        if not after.reads(chain):
            return inf
        try:
            ways = lowerings(after, self.arch)
            return cover(fitting(ways, self.arch, self.batch)[0].plan, self.arch)
        except CompileError:
            return 0.0

    def _apart(self, parts: tuple[Chain, ...]) -> PlanCost | None:
        """What a chain's parts take one after the other; None if they do not fit."""
        cycles = moved = 0.0
        for part in parts:
            try:
                ways = lowerings(part, self.arch)
                plan = fitting(ways, self.arch, self.batch)[0].plan
                cost = time_plan(plan, self.arch)
            except CompileError:
                return None
            cycles += cost.cycles + cost.tail
            moved += cost.bytes
        return PlanCost(cycles, 0.0, moved)


def plan_network(
    network: Network, arch: Arch, *, batch: int = 1, trace: bool = False, fc: bool = False
) -> list[Choice]:
    """Choose how to do a network's layers.

    Parameters
    ----------
    network : Network
        Quantised.
    batch : int
        Images of one run.
    trace : bool
        Store every map.
    fc : bool
        Do fully connected layers with ReLU as well.

    Raises
    ------
    CompileError
        If a layer does not fit the arch; the message names it, with need and capacity.
    ValueError
        If the network is not sound.
    """
    if not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be a positive integer, not {batch!r}")
    planner = _Planner(arch, batch)
    found = chains(network, trace=trace, fc=fc)
    for index, chain in enumerate(found):
        # Layers without a convolution are done behind others.
        planner.add(chain, next((c for c in found[index + 1 :] if c.on_array), None))
    return planner.choices
