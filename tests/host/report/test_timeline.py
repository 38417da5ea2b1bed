"""Recorded runs: the timeline against the program and the layer log, and the trace file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import DeviceError, RunLog
from penstock.host.devices.recording import Kind
from penstock.host.devices.rtl import RtlDevice
from penstock.host.program.program import Program
from penstock.host.report.timeline import FETCH, LAYERS, Timeline, timeline
from penstock.host.report.trace_events import to_trace_events
from penstock.host.runtime.session import Session
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, Op
from penstock.sim.library.build import library
from tests.support.netgen import random_codes, random_network

ARCH = get_arch("tiny")

# What they hold: LRN alone, three groups with pooling, one convolution, a batch.
SEEDS = ((1, 1), (3, 1), (5, 1), (3, 3))


@pytest.fixture(scope="module")
def device() -> Any:
    with RtlDevice(ARCH, record=True) as opened:
        yield opened


@pytest.fixture(scope="module", params=SEEDS, ids=lambda case: f"seed{case[0]}-batch{case[1]}")
def recorded(device: RtlDevice, request: pytest.FixtureRequest) -> tuple[Program, RunLog, Timeline]:
    seed, batch = request.param
    network = random_network(seed)
    program = compile_network(network, ARCH, batch=batch)
    images = [random_codes(network, seed + index) for index in range(batch)]
    with Session(network, program, device, check=True) as session:
        results = list(session.run(images))
    assert not any(result.mismatches for result in results), network.name
    return program, results[0].log, timeline(program, results[0].log)


Recorded = tuple[Program, RunLog, Timeline]


def test_slices_of_a_track_do_not_overlap(recorded: Recorded) -> None:
    _, log, made = recorded
    assert list(made.tracks) == [LAYERS, FETCH, *(op.name for op in Op)]
    for name, slices in made.tracks.items():
        now = 0
        for piece in slices:
            assert now <= piece.begin < piece.end, f"{name}: {piece}"
            now = piece.end
        assert now <= log.totals["cycles"], name


def test_every_descriptor_appears_exactly_once(recorded: Recorded) -> None:
    program, _, made = recorded
    operations = [op for op, _ in program.descriptors()]
    found = {op: [p.args["descriptor"] for p in made.tracks[op.name]] for op in Op}
    for op in Op:
        assert found[op] == [n for n, other in enumerate(operations) if other is op], op.name
    assert [p.args["descriptor"] for p in made.tracks[FETCH]] == list(range(len(operations)))
    names = [f"{layer} {part}" for layer, part in program.parts]
    for op in Op:
        assert [p.name for p in made.tracks[op.name]] == [names[int(n)] for n in found[op]]
    assert all(part for _, part in program.parts)


def test_descriptors_are_fetched_taken_and_completed_in_this_order(recorded: Recorded) -> None:
    _, log, made = recorded
    fetched = {piece.args["descriptor"]: piece for piece in made.tracks[FETCH]}
    for op in Op:
        for piece in made.tracks[op.name]:
            args = piece.args
            handed, taken = args["handed out"], args["taken"]
            assert handed == fetched[args["descriptor"]].end - 1
            assert isinstance(handed, int) and isinstance(taken, int)
            assert 0 < handed < taken <= piece.begin, piece
            waits = [n for name, n in args.items() if name.startswith("waited for")]
            assert all(isinstance(n, int) and 0 < n <= taken - handed for n in waits), piece
    assert log.recording is not None
    kinds = Counter(int(kind) for kind in log.recording.events["kind"])
    count = len(fetched)
    assert kinds == dict.fromkeys(Kind, count)


def test_layers_end_where_the_log_says(recorded: Recorded) -> None:
    program, log, made = recorded
    posts = [values for op, values in program.descriptors() if op is Op.POST]
    marked = [piece.end for piece, v in zip(made.tracks["POST"], posts, strict=True) if v["mark"]]
    assert marked == [entry["cycles"] for entry in log.entries]
    assert [piece.end for piece in made.tracks[LAYERS]] == marked
    assert [piece.name for piece in made.tracks[LAYERS]] == [info.name for info in program.layers]


def test_the_recorders_counts_are_the_hardwares(recorded: Recorded) -> None:
    _, log, made = recorded
    assert log.recording is not None
    samples = {int(sample["cycles"]): sample for sample in log.recording.samples}
    for entry in log.entries:
        sample = samples[entry["cycles"]]
        for name in ("busy", "stall_input", "stall_weights", "stall_output"):
            assert sample[name] == entry[name], name
        read = sum(int(sample[f"beats_{port}"]) for port in ("desc", "wgt", "act"))
        assert (read, sample["beats_out"]) == (entry["read_beats"], entry["write_beats"])
    convs = made.tracks["CONV"]
    for name in ("busy", "stall_weights", "stall_output"):
        found = sum(int(piece.args[name.replace("_", " ")]) for piece in convs)
        assert found == log.totals[name], name


def test_bytes_add_up(recorded: Recorded) -> None:
    _, log, made = recorded
    moved = {
        op: sum(int(piece.args["bytes"]) for piece in made.tracks[op.name])
        for op in (Op.LOAD, Op.WEIGHTS, Op.POST)
    }
    fetched = DESCRIPTOR_BYTES * len(made.tracks[FETCH])
    read = fetched + moved[Op.LOAD] + moved[Op.WEIGHTS]
    assert (read, moved[Op.POST]) == (8 * log.totals["read_beats"], 8 * log.totals["write_beats"])
    for port, expected in (("desc", fetched), ("wgt", moved[Op.WEIGHTS]), ("out", moved[Op.POST])):
        points = made.counters[f"m_{port}"].points
        total = sum(value * (later - now) for (now, value), (later, _) in pairwise(points))
        assert total == pytest.approx(expected, abs=0.001 * log.totals["cycles"])


def test_the_file_is_trace_events(recorded: Recorded) -> None:
    _, log, made = recorded
    parsed = json.loads(to_trace_events(made, title="a run"))
    events = parsed["traceEvents"]
    names = {
        e["tid"]: e["args"]["name"] for e in events if (e["ph"], e["name"]) == ("M", "thread_name")
    }
    assert list(names.values()) == list(made.tracks)
    assert {event["ph"] for event in events} == {"M", "X", "C"}
    assert all(event["pid"] == 1 for event in events)
    for event in events:
        if event["ph"] == "X":
            assert isinstance(event["ts"], int) and isinstance(event["dur"], int)
            assert event["ts"] >= 0 and event["dur"] > 0
            assert event["ts"] + event["dur"] <= log.totals["cycles"]
            assert event["cat"] == names[event["tid"]] and event["name"]
        if event["ph"] == "C":
            (value,) = event["args"].values()
            assert value >= 0 and 0 <= event["ts"] <= log.totals["cycles"]
    slices = Counter(names[e["tid"]] for e in events if e["ph"] == "X")
    assert slices == {name: len(pieces) for name, pieces in made.tracks.items() if pieces}


def test_equal_runs_give_equal_recordings(device: RtlDevice) -> None:
    network = random_network(1)
    program = compile_network(network, ARCH)
    with Session(network, program, device) as session:
        first, second = session.run([random_codes(network, 7)] * 2)
    assert first.log.recording is not None and second.log.recording is not None
    assert (first.log.recording.events == second.log.recording.events).all()


def test_recording_changes_no_cycle(recorded: Recorded) -> None:
    """The library without a recorder counts the same."""
    program, log, _ = recorded
    if program.batch > 1:
        return
    with RtlDevice(ARCH) as plain:
        buffer = plain.alloc(program.arena_bytes)
        plain.write(buffer, program.image)
        again = plain.run(program, buffer)
    assert again.recording is None
    assert (again.entries, again.totals) == (log.entries, log.totals)


def test_what_does_not_belong_together_is_refused(recorded: Recorded) -> None:
    program, log, _ = recorded
    with pytest.raises(ValueError, match="was not recorded"):
        timeline(program, replace(log, recording=None))
    shorter = replace(program, desc_count=program.desc_count - 1)
    with pytest.raises(ValueError, match="events HANDED_OUT of POST were recorded"):
        timeline(shorter, log)


def test_a_library_without_a_recorder_says_so() -> None:
    network = random_network(1)
    program = compile_network(network, ARCH)
    with RtlDevice(ARCH, library=library(ARCH), record=True) as device:
        buffer = device.alloc(program.arena_bytes)
        device.write(buffer, program.image)
        with pytest.raises(DeviceError, match="cannot record: the simulation was built without"):
            device.run(program, buffer)
