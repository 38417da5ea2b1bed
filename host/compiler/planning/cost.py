"""The cost model: predicted cycles, stalls and bytes of a program, or of a single plan.

Cycles and stalls come from an event simulation (`host.timing.event_simulation`), bytes from the
descriptors, buffer use from the plan.  ``tests/host/compiler/planning/test_cost.py`` holds it to
the RTL: within 2 % for every layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import overload

from penstock.host.compiler.emission.emit import Emitter
from penstock.host.compiler.emission.record import Record
from penstock.host.compiler.emission.tile import Plan
from penstock.host.compiler.planning.bounds import bound
from penstock.host.program.program import Program
from penstock.host.timing.clock import Work
from penstock.host.timing.event_simulation import EventSimulation
from penstock.host.timing.latencies import BEAT, MEMORY, Memory
from penstock.models.spec.arch import Arch, get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Op

__all__ = ["LayerCost", "PlanCost", "arch_of", "predict", "time_plan"]


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """The predicted cost of one layer, with the definitions of the layer log.

    Parameters
    ----------
    name : str
    macs : int
        Multiply-accumulates of the network, without padding.
    cycles : int
        From the end of the previous layer to the end of this one.
    busy : int
        Those of them in which an activation word enters the array.
    stalls : dict
        Cycles in which CONV waits, by cause: ``input``, ``weights``, ``output``.
    read_bytes, write_bytes : int
        Moved in those cycles.
    choice : str
        How the compiler cuts the layer, in a few words.
    buffers : (int, int, int)
        Words of the activation buffer, positions of a partial-sum bank, words of the output buffer.
    """

    name: str
    macs: int
    cycles: int
    busy: int
    stalls: dict[str, int]
    read_bytes: int
    write_bytes: int
    choice: str
    buffers: tuple[int, int, int]

    def efficiency(self, arch: Arch) -> float:
        """Multiply-accumulates as a fraction of the array's peak."""
        return self.macs / (max(self.cycles, 1) * arch.macs_per_cycle)


def arch_of(program: Program) -> Arch | None:
    """Return the arch a program was compiled for, or None if it is not a known one."""
    try:
        arch = get_arch(program.arch_name)
    except ValueError:
        return None
    return arch if arch.fingerprint == program.arch_fingerprint else None


def predict(program: Program, arch: Arch, memory: Memory = MEMORY) -> list[LayerCost]:
    """Return the cost of each layer of a program.

    Raises
    ------
    ValueError
        If the program is for another arch, or would hang.
    """
    if program.arch_fingerprint != arch.fingerprint:
        raise ValueError(f"the program is for arch {program.arch_name}, not for {arch}")
    simulation = EventSimulation(Work.stream(program.descriptors()), arch, memory)
    simulation.run()
    result = []
    before = dict.fromkeys(simulation.log[0], 0.0)
    for layer, entry in zip(program.layers, simulation.log, strict=True):
        part = {name: round(value) - round(before[name]) for name, value in entry.items()}
        before = entry
        result.append(
            LayerCost(
                name=layer.name,
                macs=layer.macs,
                cycles=part["cycles"],
                busy=part["busy"],
                stalls={name: part[f"stall_{name}"] for name in ("input", "weights", "output")},
                read_bytes=part["read_beats"] * BEAT,
                write_bytes=part["write_beats"] * BEAT,
                choice=layer.choice,
                buffers=layer.buffers,
            )
        )
    return result


@dataclass(frozen=True)
class PlanCost:
    """The predicted cost of a plan on its own.

    Parameters
    ----------
    cycles : float
        Of the array, from its first weight block to its last.  Of a layer that reads the network's
        input, from the start, since nothing hides its first loads.  Without a convolution, all
        cycles.
    tail : float
        Cycles from then until all results are in memory; 0 without a convolution.
    bytes : float
        Bytes moved, descriptors included.
    """

    cycles: float
    tail: float
    bytes: float


def _bytes(records: Iterable[Record]) -> int:
    beats = 0
    for record in records:
        v = record.values
        beats += DESCRIPTOR_BYTES // BEAT
        if record.op is Op.LOAD:
            beats += v["plane_beats"] * v["planes"]
        elif record.op in (Op.WEIGHTS, Op.POST):
            beats += v["beats"]
    return beats * BEAT


def _time(plan: Plan, arch: Arch, memory: Memory, most: float) -> PlanCost | None:
    given = {view.map for view in plan.layer.sources}
    emitter = Emitter(arch, [plan], given, set(), dry=True)
    work = Work.stream((record.op, record.values) for record in emitter.run())
    simulation = EventSimulation(work, arch, memory)
    from_start = plan.layer.reads_input
    if not simulation.run(most - bound(plan, arch), from_start=from_start):
        return None
    moved = _bytes(emitter.recorder.records)
    if not plan.tiles:
        return PlanCost(simulation.log[-1]["cycles"], 0.0, moved)
    begin = 0.0 if from_start else simulation.array.begin
    end = simulation.array.end
    return PlanCost(end - begin, simulation.log[-1]["cycles"] - end, moved)


@overload
def time_plan(plan: Plan, arch: Arch, memory: Memory = ...) -> PlanCost: ...
@overload
def time_plan(plan: Plan, arch: Arch, memory: Memory = ..., *, most: float) -> PlanCost | None: ...
def time_plan(
    plan: Plan, arch: Arch, memory: Memory = MEMORY, *, most: float = inf
) -> PlanCost | None:
    """Return the predicted cost of a plan on its own.

    Of a batch, the first two image groups are timed; the others take as long as the second.

    Parameters
    ----------
    most : float
        Cycles beyond which the plan is of no interest.

    Returns
    -------
    PlanCost or None
        None if the plan turned out to have more than `most` cycles before its timing was complete:
        it is emitted and simulated only until the array has waited too long.

    Raises
    ------
    CompileError
        If the plan cannot be emitted.
    """
    if len(plan.image_groups) == 1:
        if plan.tiles and bound(plan, arch) > most:
            return None
        return _time(plan, arch, memory, most)
    one, two = (_time(plan.head(count), arch, memory, inf) for count in (1, 2))
    assert one is not None
    assert two is not None
    rest = (plan.batch - plan.image_groups[0]) / plan.image_groups[1]
    return PlanCost(
        one.cycles + (two.cycles - one.cycles) * rest,
        two.tail,
        one.bytes + (two.bytes - one.bytes) * rest,
    )
