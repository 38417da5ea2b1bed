"""Points of a sweep: an arch at a clock, with its performance and area."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from penstock.host.explore.area import Area
from penstock.host.explore.pareto import front
from penstock.host.explore.sweep import Estimate, Outcome
from penstock.models.spec.arch import Arch

__all__ = ["Point", "mark_front", "points_of"]


@dataclass(frozen=True)
class Point:
    """An arch at a clock.

    Parameters
    ----------
    arch : Arch
    mhz : float
    estimates : tuple of Estimate
        One for each network.
    area : Area
    front : bool
        Whether it is on the Pareto front of speed, DSPs, block RAMs and LUTs.
    """

    arch: Arch
    mhz: float
    estimates: tuple[Estimate, ...]
    area: Area
    front: bool = False

    @property
    def rates(self) -> list[float]:
        """Images a second of each network, on the array alone."""
        return [self.mhz * 1e6 / estimate.cycles for estimate in self.estimates]

    @property
    def rate(self) -> float:
        """Images a second when each goes through all networks in turn."""
        return self.mhz * 1e6 / sum(estimate.cycles for estimate in self.estimates)

    @property
    def efficiency(self) -> float:
        """Share of the array's peak, of all networks together."""
        cycles = sum(estimate.cycles for estimate in self.estimates)
        macs = sum(estimate.macs for estimate in self.estimates)
        return macs / (cycles * self.arch.macs_per_cycle)


def points_of(
    outcomes: Sequence[Outcome], clocks: Sequence[float], area: Callable[[Arch], Area]
) -> list[Point]:
    """Return the points of a sweep, the fastest first.

    Parameters
    ----------
    outcomes : sequence of Outcome
    clocks : sequence of float
        MHz, in the order of `Outcome.estimates`.
    area : callable
        Resources of an arch.
    """
    points = [
        Point(outcome.arch, mhz, estimates, area(outcome.arch))
        for outcome in outcomes
        for mhz, estimates in zip(clocks, outcome.estimates)
    ]
    return sorted(points, key=lambda point: (-point.rate, point.area.dsp, point.area.lut))


def mark_front(points: Sequence[Point]) -> list[Point]:
    """Return the points with `Point.front` set for this set of points."""
    costs = [
        (-point.rate, point.area.dsp, point.area.ram, float(point.area.lut)) for point in points
    ]
    return [replace(point, front=best) for point, best in zip(points, front(costs))]
