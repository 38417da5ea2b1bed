"""The cost model: what a program, or a plan that is not yet one, will take.

Cycles and stalls come from a walk over the descriptors' events (`host.timing.event_simulation`),
bytes from the descriptors themselves, buffer use from the plan.
``tests/host/compiler/planning/test_cost.py`` holds it to the RTL: within 2 % for every layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.host.compiler.emission.emit import Emitter
from penstock.host.compiler.emission.record import Record
from penstock.host.compiler.emission.tile import Plan
from penstock.host.program.program import Program
from penstock.host.timing.clock import Work
from penstock.host.timing.event_simulation import Walk
from penstock.host.timing.latencies import BEAT, MEMORY, Memory
from penstock.models.spec.arch import Arch, get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Op

__all__ = ["LayerCost", "PlanCost", "arch_of", "predict", "time_plan"]


@dataclass(frozen=True, kw_only=True)
class LayerCost:
    """What a layer of a program is predicted to take, defined as the layer log defines it.

    Parameters
    ----------
    name : str
    macs : int
        Multiply-accumulates the network asks for.
    cycles : int
        From the end of the layer before to the end of this one.
    busy : int
        Of these, cycles in which an activation word enters the array.
    stalls : dict
        Cycles in which a CONV waits, by cause: ``input``, ``weights``, ``output``.
    read_bytes, write_bytes : int
        Moved in those cycles.
    choice : str
        How the compiler does it.
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
        """Share of the array's peak."""
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
        If the program is for another arch, or could not run.
    """
    if program.arch_fingerprint != arch.fingerprint:
        raise ValueError(f"the program is for arch {program.arch_name}, not for {arch}")
    walk = Walk(Work.stream(program.descriptors()), arch, memory)
    walk.run()
    result = []
    before = dict.fromkeys(walk.log[0], 0.0)
    for layer, entry in zip(program.layers, walk.log, strict=True):
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
    """What a plan is predicted to take on its own.

    Parameters
    ----------
    cycles : float
        Of the array, from its first weight block to its last.  If the network's input is read, from
        the start: nothing hides its first loads.  Without a convolution, all cycles.
    tail : float
        Cycles from then until everything is in memory, 0 without a convolution.
    bytes : float
        Moved, descriptors included.
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


def _time(plan: Plan, arch: Arch, memory: Memory) -> PlanCost:
    given = {view.map for view in plan.layer.sources}
    emitter = Emitter(arch, [plan], given, set(), dry=True)
    emitter.run()
    records = emitter.recorder.records
    walk = Walk(Work.stream((record.op, record.values) for record in records), arch, memory)
    walk.run()
    end = walk.log[-1]["cycles"]
    if not plan.tiles:
        return PlanCost(end, 0.0, _bytes(records))
    begin = 0.0 if plan.layer.reads_input else walk.array.begin
    return PlanCost(walk.array.end - begin, end - walk.array.end, _bytes(records))


def time_plan(plan: Plan, arch: Arch, memory: Memory = MEMORY) -> PlanCost:
    """Return what a plan takes on its own.

    Of a batch, the first two groups are timed; the others take as long as the second.

    Raises
    ------
    CompileError
        If the plan cannot be written down.
    """
    one = _time(plan.head(1), arch, memory)
    if len(plan.groups) == 1:
        return one
    two = _time(plan.head(2), arch, memory)
    rest = (plan.batch - plan.groups[0]) / plan.groups[1]
    return PlanCost(
        one.cycles + (two.cycles - one.cycles) * rest,
        two.tail,
        one.bytes + (two.bytes - one.bytes) * rest,
    )
