"""Measures the cost of a switch to another network, request by request.

Requests come in an order in which every network follows itself and each of the others equally
often::

    A A B B A    A A B A C B B C C A    one round of two networks, one of three
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.runtime.resident import Resident
from penstock.host.runtime.session import Result, compare_maps

__all__ = ["Request", "Switch", "difference", "order", "requests", "summary"]


@dataclass(frozen=True)
class Request:
    """One image through one of the networks.

    Parameters
    ----------
    name : str
        Of the network.
    after : str or None
        Name of the network of the previous request; None for the first one.
    result : Result
    host_seconds : float
        Of the whole request, less the run on the device and the CPU layers.
    writes, changes : int
        Registers written for it, and those whose value changed; 0 on devices without registers.
    """

    name: str
    after: str | None
    result: Result
    host_seconds: float
    writes: int
    changes: int

    @property
    def cycles(self) -> int | None:
        """Cycles from the start bit to done; None on devices that do not count."""
        return self.result.log.totals["cycles"] or None

    def to_json(self) -> dict[str, Any]:
        """Return the request as in the JSON report."""
        return {
            "model": self.name,
            "after": self.after,
            "cycles": self.cycles,
            "host_seconds": self.host_seconds,
            "register_writes": self.writes,
            "register_changes": self.changes,
        }


@dataclass(frozen=True)
class Switch:
    """One network's requests after itself and after another: medians, and the most writes.

    Parameters
    ----------
    name : str
    cycles_after_itself, cycles_after_another : int or None
        None on devices that do not count.
    host_seconds_after_itself, host_seconds_after_another : float
    register_writes, register_changes : int
        As in `Request`, after another network.
    """

    name: str
    cycles_after_itself: int | None
    cycles_after_another: int | None
    host_seconds_after_itself: float
    host_seconds_after_another: float
    register_writes: int
    register_changes: int

    @property
    def cycles(self) -> int | None:
        """Cost of a switch to this network in cycles; None on devices that do not count."""
        if self.cycles_after_itself is None or self.cycles_after_another is None:
            return None
        return self.cycles_after_another - self.cycles_after_itself


def order(names: Sequence[str], rounds: int) -> list[str]:
    """Return the order of requests: each network `rounds` times after itself and after each other
    one.

    Raises
    ------
    ValueError
        If there are fewer than two networks, one is repeated, or `rounds` is not positive.
    """
    if len(names) < 2:
        raise ValueError(f"a switch is between two networks or more, not {len(names)}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"networks must differ: {twice[0]} is there more than once")
    if rounds < 1:
        raise ValueError(f"rounds must be a positive integer, not {rounds!r}")
    once: list[str] = []
    for index, name in enumerate(names):
        once.append(name)
        for later in names[index + 1 :]:
            once += [name, later]
    return once * rounds + [names[0]]


def requests(
    resident: Resident, inputs: Mapping[str, NDArray[np.uint8]], names: Sequence[str]
) -> Iterator[Request]:
    """Send requests in the order of `names` and yield each with its measurements.

    Parameters
    ----------
    inputs : mapping of uint8 arrays (height, width, channels)
        The image of each network.

    Raises
    ------
    DeviceError
        If a run fails.
    """
    csr = resident.device.csr
    after = None
    for name in names:
        writes, changes = (0, 0) if csr is None else (csr.writes, csr.changes)
        begin = time.perf_counter()
        (result,) = resident.run(name, [inputs[name]])
        seconds = time.perf_counter() - begin - result.log.seconds - result.cpu_seconds
        if csr is not None:
            writes, changes = csr.writes - writes, csr.changes - changes
        yield Request(name, after, result, max(seconds, 0.0), writes, changes)
        after = name


def difference(first: Result, result: Result) -> str | None:
    """Return which part of a result differs from the first one; None if it is equal."""
    wrong = compare_maps(result.maps, first.maps)
    if wrong:
        return str(wrong[0])
    return None if result.top == first.top else "the classes differ"


def summary(made: Sequence[Request]) -> list[Switch]:
    """Return the cost of a switch to each network, in the order of first requests.

    Raises
    ------
    ValueError
        If a network does not follow both itself and another.
    """
    found = []
    for name in dict.fromkeys(request.name for request in made):
        mine = [request for request in made if request.name == name and request.after is not None]
        same = [request for request in mine if request.after == name]
        other = [request for request in mine if request.after != name]
        if not same or not other:
            raise ValueError(f"{name} must come after itself and after another network")
        found.append(
            Switch(
                name,
                _cycles(same),
                _cycles(other),
                median(request.host_seconds for request in same),
                median(request.host_seconds for request in other),
                max(request.writes for request in other),
                max(request.changes for request in other),
            )
        )
    return found


def _cycles(made: Sequence[Request]) -> int | None:
    counted = [request.cycles for request in made if request.cycles is not None]
    return median_low(counted) if counted else None
