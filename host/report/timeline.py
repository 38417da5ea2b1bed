"""A recorded run as a timeline: for each engine, its descriptors with their times and waits.

The engines' events have no names; the program has them, in the same order.  Engines take a
descriptor while the one before is still under way, but complete them one after the other::

    handed out          taken       completed
    |---- waits met ----|--------------|            descriptor n
                   |---------|------------------|   descriptor n + 1
                   taken     `- its slice ------'

so a slice begins when the descriptor is taken and the one before is complete, and the slices of a
track never overlap.  All times are cycles from the start bit, the end of a slice being the first
cycle after it, as in the layer log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from penstock.host.devices.device import RunLog
from penstock.host.devices.recording import Kind, Recording
from penstock.host.program.program import Program
from penstock.models.spec.isa import DESCRIPTOR_BYTES, ENGINE_WAITS, Dest, Op
from penstock.models.spec.regs import ERROR_SOURCES

__all__ = ["FETCH", "LAYERS", "Counter", "Slice", "Timeline", "timeline"]

FETCH = "Fetch"
LAYERS = "layers"
BEAT = 8

# Cycles of one value of a counter, a multiple of the samples' distance.
_BIN = 1024
_COUNT_MODULUS = 1 << 16

Values = dict[str, int]


@dataclass(frozen=True)
class Slice:
    """An interval of a track.

    Parameters
    ----------
    name : str
    begin, end : int
        First cycle, and the first one after it.
    args : dict
        Details: numbers and texts.
    """

    name: str
    begin: int
    end: int
    args: dict[str, int | str]


@dataclass(frozen=True)
class Counter:
    """A value over time.

    Parameters
    ----------
    unit : str
    points : list of (int, float)
        Points (cycle, value); a value holds until the next point.
    """

    unit: str
    points: list[tuple[int, float]]


@dataclass(frozen=True)
class Timeline:
    """One run.

    Parameters
    ----------
    tracks : dict of list of Slice
        `LAYERS`, `FETCH`, then the engines by name; slices in order, none overlapping.
    counters : dict of Counter
        Rates of the memory ports and of the array.
    """

    tracks: dict[str, list[Slice]]
    counters: dict[str, Counter]


@dataclass
class _Descriptor:
    """One descriptor with its times."""

    number: int
    op: Op
    values: Values
    layer: str
    part: str
    begun: int
    handed_out: int
    taken: int
    done: int


def _joined(program: Program, recording: Recording) -> list[_Descriptor]:
    """The program's descriptors in order, each with its recorded events."""
    streams: dict[tuple[Op, Kind], Iterator[int]] = {}
    descriptors = list(program.descriptors())
    for op in Op:
        count = sum(other is op for other, _ in descriptors)
        for kind in (Kind.HANDED_OUT, Kind.TAKEN, Kind.DONE):
            cycles = recording.cycles(op, kind)
            if len(cycles) != count:
                raise ValueError(
                    f"{len(cycles)} events {kind.name} of {op.name} were recorded, "
                    f"the program has {count} descriptors"
                )
            streams[op, kind] = iter(cycles)
    begun = recording.cycles(0, Kind.BEGUN)
    if len(begun) != len(descriptors):
        raise ValueError(f"{len(begun)} descriptors were fetched of {len(descriptors)}")
    return [
        _Descriptor(
            number,
            op,
            values,
            *program.parts[number],
            begun[number],
            *(next(streams[op, kind]) for kind in (Kind.HANDED_OUT, Kind.TAKEN, Kind.DONE)),
        )
        for number, (op, values) in enumerate(descriptors)
    ]


def _facts(d: _Descriptor) -> dict[str, int | str]:
    """The figures of a descriptor shown in its slice."""
    v = d.values
    if d.op is Op.LOAD:
        beats = v["plane_beats"] * v["planes"]
        return {"to": Dest(v["dest"]).name, "planes": v["planes"], "bytes": beats * BEAT}
    if d.op is Op.WEIGHTS:
        return {"blocks": v["blocks"], "bytes": v["beats"] * BEAT}
    if d.op is Op.CONV:
        return {
            "positions": (v["more_images"] + 1) * v["n_y"] * v["n_x"],
            "blocks": v["n_cb"] * v["n_ky"] * v["n_kx"],
        }
    if d.op is Op.DRAIN:
        return {"positions": v["count"], "lane groups": v["lane_groups"]}
    return {
        "rows": v["out_h"],
        "columns": v["out_w"],
        "kernel": v["kernel"],
        "lrn": v["lrn"],
        "bytes": v["beats"] * BEAT,
    }


def _waits(
    d: _Descriptor, since: int, finished: dict[Op, list[int]], before: dict[Op, int]
) -> dict[str, int | str]:
    """Cycles from `since` on in which a descriptor waited for each engine it depends on.

    `before` counts each engine's descriptors that come earlier in the program: a wait names one of
    them, and the field holds its number's lower bits.
    """
    found: dict[str, int | str] = {}
    for engine in ENGINE_WAITS[d.op]:
        lowest = before[engine] - (_COUNT_MODULUS - 1)
        field = d.values[f"wait_{engine.name.lower()}"]
        count = lowest + (field - lowest) % _COUNT_MODULUS
        if count > 0:
            waited = finished[engine][count - 1] - since
            if waited > 0:
                found[f"waited for {engine.name}"] = waited
    return found


def _engines(descriptors: list[_Descriptor], recording: Recording) -> dict[str, list[Slice]]:
    """Slices of each engine."""
    tracks: dict[str, list[Slice]] = {op.name: [] for op in Op}
    finished = {op: [d.done + 1 for d in descriptors if d.op is op] for op in Op}
    before = dict.fromkeys(Op, 0)
    head = dict.fromkeys(Op, 0)  # when a queue's next descriptor could leave it
    counts = {int(sample["cycles"]): sample for sample in recording.samples}
    last = recording.samples[0]
    for d in descriptors:
        track = tracks[d.op.name]
        begin = max(d.taken, track[-1].end if track else 0)
        args: dict[str, int | str] = {"descriptor": d.number, **_facts(d)}
        args |= {"handed out": d.handed_out, "taken": d.taken}
        args |= _waits(d, max(d.handed_out + 1, head[d.op]), finished, before)
        if d.op is Op.CONV:
            now = counts[d.done]
            for name in ("busy", "stall_weights", "stall_output"):
                args[name.replace("_", " ")] = int(now[name]) - int(last[name])
            last = now
        track.append(Slice(f"{d.layer} {d.part}", begin, d.done + 1, args))
        head[d.op] = d.taken + 1
        before[d.op] += 1
    return tracks


def _counters(recording: Recording, cycles: int) -> dict[str, Counter]:
    """Rates of the ports and of the array, from one bin to the next."""
    edges = [s for s in recording.samples if s["cycles"] % _BIN == 0 and s["cycles"] < cycles]
    edges = [recording.samples[0], *edges]
    edges.append(max((s for s in recording.samples if s["cycles"] <= cycles), key=lambda s: s[0]))
    ports = {port: f"beats_{port}" for port in ERROR_SOURCES}
    result = {f"m_{port}": Counter("bytes a cycle", []) for port in ports}
    result["array"] = Counter("share of cycles busy", [])
    for low, high in pairwise(edges):
        span = int(high["cycles"]) - int(low["cycles"])
        if span <= 0:
            continue
        begin = int(low["cycles"])
        for port, field in ports.items():
            beats = int(high[field]) - int(low[field])
            result[f"m_{port}"].points.append((begin, round(beats * BEAT / span, 3)))
        busy = int(high["busy"]) - int(low["busy"])
        result["array"].points.append((begin, round(busy / span, 3)))
    for counter in result.values():
        counter.points.append((int(edges[-1]["cycles"]), 0.0))
    return result


def timeline(program: Program, log: RunLog) -> Timeline:
    """Return the tracks of a recorded run of `program`.

    Raises
    ------
    ValueError
        If the run was not recorded, or is not of this program.
    """
    recording = log.recording
    if recording is None:
        raise ValueError("the run was not recorded")
    descriptors = _joined(program, recording)
    layers, begin = [], 0
    for info, entry, step in zip(program.layers, log.entries, log.steps(), strict=True):
        args: dict[str, int | str] = {"does": " ".join(info.covers), "how": info.choice}
        args |= {"MACs": info.macs}
        args |= {name.replace("_", " "): count for name, count in step.items()}
        layers.append(Slice(info.name, begin, entry["cycles"], args))
        begin = entry["cycles"]
    fetched = [
        Slice(
            f"{d.op.name} {d.layer} {d.part}",
            d.begun,
            d.handed_out + 1,
            {"descriptor": d.number, "bytes": DESCRIPTOR_BYTES},
        )
        for d in descriptors
    ]
    return Timeline(
        {LAYERS: layers, FETCH: fetched, **_engines(descriptors, recording)},
        _counters(recording, log.totals["cycles"]),
    )
