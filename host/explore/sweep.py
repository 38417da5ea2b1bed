"""A sweep: compiles networks for every arch, and predicts their cycles at every clock.

::

    arch 1 --compile--> programs --predict--> cycles at 100 MHz, 125 MHz, ...
    arch 2 ...                                     one process for each arch, `jobs` in parallel

The default memory keeps up with the core and takes the same cycles at any clock.  One that is
specified in MB/s and ns takes more cycles at a faster clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import predict
from penstock.host.inputs.catalog import load_network
from penstock.host.program.compile_error import CompileError
from penstock.host.runtime.parallel import cores
from penstock.host.timing.latencies import BEAT, MEMORY, Memory
from penstock.models.graph.graph import Network
from penstock.models.spec.arch import Arch

__all__ = ["Estimate", "Outcome", "memory_at", "sweep"]


@dataclass(frozen=True)
class Estimate:
    """Predictions for one image of a network on an arch.

    Parameters
    ----------
    cycles : int
    bytes : int
        Bytes read and written.
    macs : int
        Multiply-accumulates of the network on the array.
    """

    cycles: int
    bytes: int
    macs: int

    def efficiency(self, arch: Arch) -> float:
        """Share of the array's peak."""
        return self.macs / (self.cycles * arch.macs_per_cycle)


@dataclass(frozen=True)
class Outcome:
    """The outcome for one arch.

    Parameters
    ----------
    arch : Arch
    estimates : tuple of tuple of Estimate
        For each clock, the estimates of each network; empty if one does not fit.
    refused : str
        Why a network does not fit the arch; empty if all do.
    """

    arch: Arch
    estimates: tuple[tuple[Estimate, ...], ...] = ()
    refused: str = ""


def memory_at(mhz: float, *, megabytes: float | None, nanoseconds: float | None) -> Memory:
    """Return a memory as the core sees it at a clock.

    Parameters
    ----------
    mhz : float
        The core's clock.
    megabytes : float or None
        Memory bandwidth in MB/s; None: as much as the core can use.
    nanoseconds : float or None
        Latency from an address to the first byte; None: the cycles of `MEMORY` at any clock.

    Raises
    ------
    ValueError
        If a figure is not positive.
    """
    for name, value in (("clock", mhz), ("memory rate", megabytes), ("latency", nanoseconds)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive, not {value!r}")
    rate, latency = MEMORY.rate, MEMORY.latency
    if megabytes is not None:
        rate = min(rate, megabytes / (BEAT * mhz))
    if nanoseconds is not None:
        latency = math.ceil(nanoseconds * mhz / 1000)
    return Memory(latency=latency, rate=rate)


def evaluate(networks: Sequence[Network], arch: Arch, memories: Sequence[Memory]) -> Outcome:
    """Compile networks for an arch and predict their cycles with each memory."""
    rows: list[list[Estimate]] = [[] for _ in memories]
    for network in networks:
        try:
            program = compile_network(network, arch)
        except CompileError as error:
            where = f"{network.name}: " if len(networks) > 1 else ""
            return Outcome(arch, refused=f"{where}{error}")
        known: dict[Memory, Estimate] = {}
        for row, memory in zip(rows, memories):
            if memory not in known:
                costs = predict(program, arch, memory)
                known[memory] = Estimate(
                    cycles=sum(cost.cycles for cost in costs),
                    bytes=sum(cost.read_bytes + cost.write_bytes for cost in costs),
                    macs=sum(cost.macs for cost in costs),
                )
            row.append(known[memory])
    return Outcome(arch, tuple(tuple(row) for row in rows))


# State of a worker process.
_networks: list[Network] = []


def _begin(models: Sequence[str]) -> None:
    _networks[:] = [load_network(model) for model in models]


def _one(arch: Arch, memories: Sequence[Memory]) -> Outcome:
    return evaluate(_networks, arch, memories)


def sweep(
    models: Sequence[str],
    arches: Sequence[Arch],
    memories: Sequence[Memory],
    *,
    jobs: int | None,
    done: Callable[[int], None] = lambda count: None,
) -> list[Outcome]:
    """Evaluate arches.

    Parameters
    ----------
    models : sequence of str
        Networks for `host.inputs.catalog.load_network`; each was loaded before, so errors were
        reported.
    arches : sequence of Arch
    memories : sequence of Memory
        One for each clock.
    jobs : int or None
        Arches at a time; None: one a processor.
    done : callable
        Called with the number of arches done.

    Returns
    -------
    list of Outcome
        In the order of `arches`.
    """
    found: dict[int, Outcome] = {}
    for index, outcome in _results(models, arches, memories, cores() if jobs is None else jobs):
        found[index] = outcome
        done(len(found))
    return [found[index] for index in range(len(arches))]


def _results(
    models: Sequence[str], arches: Sequence[Arch], memories: Sequence[Memory], jobs: int
) -> Iterator[tuple[int, Outcome]]:
    """Yield index and outcome of each arch, in order of completion."""
    if min(jobs, len(arches)) <= 1:
        networks = [load_network(model) for model in models]
        for index, arch in enumerate(arches):
            yield index, evaluate(networks, arch, memories)
        return
    # Spawned, not forked, as this process has threads.
    pool = ProcessPoolExecutor(
        min(jobs, len(arches)), get_context("spawn"), initializer=_begin, initargs=(tuple(models),)
    )
    try:
        futures = {
            pool.submit(_one, arch, tuple(memories)): index for index, arch in enumerate(arches)
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)
