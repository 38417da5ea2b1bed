"""Planning a network: which layers are fused, and how each fused layer is cut.

A chain that fits becomes one hardware layer, unless its parts are cheaper one after the other by
the cost model; a chain that does not fit is split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from penstock.host.compiler.emission.tile import Plan
from penstock.host.compiler.lowering.chains import Chain, chains
from penstock.host.compiler.lowering.lower import HardwareLayer, lowerings
from penstock.host.compiler.planning.cost import PlanCost, time_plan
from penstock.host.compiler.planning.search import WORTH, Candidate, choose, cover, fitting
from penstock.host.program.compile_error import CompileError
from penstock.models.graph.graph import Network
from penstock.models.spec.arch import Arch

__all__ = ["Choice", "plan_network"]


@dataclass(frozen=True)
class Choice:
    """The candidates for one hardware layer, the chosen one first.

    Parameters
    ----------
    candidates : tuple of Candidate
        Best first; the first one is used.
    apart : PlanCost or None
        Cost of the chain's parts as separate layers; None if they were not timed.
    apart_estimate : float or None
        Estimated cycles of the chain's parts as separate layers; None if there are no parts.
    refused : str
        Why the chain was split; empty if it was not.
    """

    candidates: tuple[Candidate, ...]
    apart: PlanCost | None = None
    apart_estimate: float | None = None
    refused: str = ""

    @property
    def plan(self) -> Plan:
        """The chosen plan."""
        return self.candidates[0].plan


# Of a chain's nodes, branch by branch: in a network no two chains have the same.
Names = tuple[tuple[str, ...], ...]


def _names(chain: Chain) -> Names:
    return tuple(tuple(node.name for node in line) for line in chain.branches)


class _Planner:
    """Chooses plans, one layer after the other."""

    def __init__(self, arch: Arch, batch: int) -> None:
        self.arch = arch
        self.batch = batch
        self.choices: list[Choice] = []
        # A chain is asked for as itself, as a part of a longer one, and as the one after another.
        self._lowered: dict[Names, list[HardwareLayer] | CompileError] = {}
        self._fitting: dict[Names, list[Candidate]] = {}
        # The last chain that uses the array, and its tail in cycles.
        self._last: Chain | None = None
        self._tail = 0.0

    def add(self, chain: Chain, after: Chain | None) -> None:
        """Choose the plans of a chain: one hardware layer, or several if it is split."""
        parts = chain.split()
        try:
            tail = 0.0
            if self._last is not None and chain.reads(self._last):
                tail = self._tail
            found = choose(
                self._candidates(chain),
                self.arch,
                tail=tail,
                covered=self._cover(chain, after),
            )
        except CompileError as refusal:
            if parts is None:
                raise
            self._add_parts(parts, after, str(refusal))
            return
        apart, roughly = None, self._estimate_apart(parts)
        # Parts that look far worse are not timed: the estimate ranks them as it ranks candidates.
        if roughly is not None and roughly <= self._candidates(chain)[0].estimate * WORTH:
            assert parts is not None
            apart = self._time_apart(parts)
        best = found[0].cost
        if apart is not None and best and apart.cycles < best.cycles + best.tail:
            assert parts is not None
            self._add_parts(parts, after, "its parts are faster one after the other")
            return
        self.choices.append(Choice(tuple(found), apart, roughly))
        if self.choices[-1].plan.tiles:
            self._last, self._tail = chain, best.tail if best else 0.0

    def _add_parts(self, parts: tuple[Chain, Chain], after: Chain | None, why: str) -> None:
        first = len(self.choices)
        self.add(parts[0], parts[1])
        self.add(parts[1], after)
        self.choices[first] = replace(self.choices[first], refused=why)

    def _cover(self, chain: Chain, after: Chain | None) -> float:
        """Cycles of this chain's tail that overlap the next one."""
        if after is None:
            return 0.0
        if not after.reads(chain):
            return inf
        try:
            return cover(self._candidates(after)[0].plan, self.arch)
        except CompileError:
            return 0.0

    def _estimate_apart(self, parts: tuple[Chain, ...] | None) -> float | None:
        """Estimated cycles of a chain's parts one after the other; None if they do not fit."""
        if parts is None:
            return None
        try:
            return sum(self._candidates(part)[0].estimate for part in parts)
        except CompileError:
            return None

    def _time_apart(self, parts: tuple[Chain, ...]) -> PlanCost | None:
        """Cost of a chain's parts one after the other; None if they cannot be emitted."""
        try:
            costs = [time_plan(self._candidates(part)[0].plan, self.arch) for part in parts]
        except CompileError:
            return None
        cycles = sum(cost.cycles + cost.tail for cost in costs)
        return PlanCost(cycles, 0.0, sum(cost.bytes for cost in costs))

    def _lowerings(self, chain: Chain) -> list[HardwareLayer]:
        """The ways to compute a chain: lowered once."""
        names = _names(chain)
        if names not in self._lowered:
            try:
                self._lowered[names] = lowerings(chain, self.arch)
            except CompileError as refusal:
                self._lowered[names] = refusal
        found = self._lowered[names]
        if isinstance(found, CompileError):
            raise found
        return found

    def _candidates(self, chain: Chain) -> list[Candidate]:
        """The best candidates of a chain that fit, found once."""
        names = _names(chain)
        if names not in self._fitting:
            ways = self._lowerings(chain)
            self._fitting[names] = fitting(ways, self.arch, self.batch)
        return self._fitting[names]


def plan_network(
    network: Network, arch: Arch, *, batch: int = 1, trace: bool = False, fc: bool = False
) -> list[Choice]:
    """Choose the plans of a network's layers.

    Parameters
    ----------
    network : Network
        Quantised.
    batch : int
        Images of one run.
    trace : bool
        Store every map.
    fc : bool
        Run fully connected layers with ReLU on the array too.

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
        # Layers without a convolution are deferred; see `host.compiler.emission.deferred`.
        planner.add(chain, next((c for c in found[index + 1 :] if c.on_array), None))
    return planner.choices
