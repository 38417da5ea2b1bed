"""Recording a program: waits, sections, the order of WEIGHTS."""

from __future__ import annotations

import pytest

from penstock.host.compiler.emission.record import Constants, Recorder, weights_ahead
from penstock.host.program.compile_error import CompileError
from penstock.models.spec.isa import Op, decode


def test_waits_stay_within_half_the_counter() -> None:
    recorder = Recorder()
    values = {"mem": 0}
    for _ in range(70000):
        recorder.emit(Op.LOAD, values)
    recorder.emit(Op.CONV, values, load=1)
    wait = recorder.records[-1].values["wait_load"]
    assert (70000 - wait) & 0xFFFF < 1 << 15
    recorder.emit(Op.CONV, values, load=70000)
    assert recorder.records[-1].values["wait_load"] == 70000 & 0xFFFF


def test_addresses_are_relative_to_their_section() -> None:
    recorder = Recorder()
    recorder.layer = "conv1"
    values = {"has_params": 1, "mem": 64, "blocks": 1, "beats": 48}
    recorder.emit(Op.WEIGHTS, values, section="const")
    (record,) = recorder.records
    assert decode(record.encode({"const": 4096})) == (Op.WEIGHTS, {**values, "mem": 4160})
    with pytest.raises(CompileError, match=r"layer conv1: WEIGHTS\.mem must be from 0 to"):
        record.encode({"const": 1 << 32})


def test_equal_constants_are_stored_once() -> None:
    constants = Constants()
    assert [constants.add(data) for data in (b"a" * 70, b"b", b"a" * 70)] == [0, 128, 0]
    assert constants.skip(1) == 192
    assert b"".join(constants.parts) == b"a" * 70 + bytes(58) + b"b" + bytes(63)


def test_weights_come_a_tile_early() -> None:
    recorder = Recorder()
    for tile in range(4):
        recorder.emit(Op.WEIGHTS, {"tile": tile})
        recorder.emit(Op.CONV, {"tile": tile, "first": 1})
        recorder.emit(Op.CONV, {"tile": tile, "first": 0})
    moved = weights_ahead(iter(recorder.records))
    order = [(record.op.name[0], record.values["tile"]) for record in moved]
    assert order == [
        ("W", 0), ("W", 1), ("C", 0), ("C", 0), ("W", 2), ("C", 1), ("C", 1),
        ("W", 3), ("C", 2), ("C", 2), ("C", 3), ("C", 3),
    ]  # fmt: skip


def test_constants_of_equal_size_do_not_share_a_place() -> None:
    constants = Constants()
    assert [constants.add(data) for data in (b"abc", b"abd", b"abc")] == [0, 64, 0]
    assert b"".join(constants.parts) == b"abc" + bytes(61) + b"abd" + bytes(61)
