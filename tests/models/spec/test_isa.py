"""The instruction set: round trip of fields, and refusals of values that do not fit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.models.spec.isa import (
    CHECK_BYTES,
    DESCRIPTOR_BYTES,
    ENGINE_WAITS,
    FIELDS,
    Field,
    Op,
    decode,
    encode,
    seal,
)

BODY = DESCRIPTOR_BYTES - CHECK_BYTES


def limits(field: Field) -> tuple[int, int]:
    """Smallest and largest value."""
    if field.signed:
        return -(1 << field.width - 1), (1 << field.width - 1) - 1
    return 0, (1 << field.width) - 1


def zeros(op: Op) -> dict[str, int]:
    return {field.name: 0 for field in FIELDS[op] if field.name != "op"}


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("op", Op)
def test_round_trip(op: Op, data: st.DataObject) -> None:
    values = {
        field.name: data.draw(st.integers(*limits(field)), label=field.name)
        for field in FIELDS[op]
        if field.name != "op"
    }
    encoded = encode(op, values)
    assert len(encoded) == DESCRIPTOR_BYTES
    assert decode(encoded) == (op, values)


@pytest.mark.parametrize("op", Op)
def test_fields_are_packed_from_the_least_significant_bit(op: Op) -> None:
    shift = 0
    for field in FIELDS[op]:
        if field.name != "op":
            ones = -1 if field.signed else limits(field)[1]
            body = encode(op, {**zeros(op), field.name: ones})[:BODY]
            word = int.from_bytes(body, "little")
            assert word == int(op) | (1 << field.width) - 1 << shift, field.name
        shift += field.width


@pytest.mark.parametrize("op", Op)
def test_table(op: Op) -> None:
    names = [field.name for field in FIELDS[op]]
    assert names[0] == "op"
    assert len(set(names)) == len(names)
    assert names[1 : 1 + len(ENGINE_WAITS[op])] == [
        f"wait_{engine.name.lower()}" for engine in ENGINE_WAITS[op]
    ]
    assert all(field.doc and field.width > 0 for field in FIELDS[op])


@pytest.mark.parametrize("op", Op)
def test_values_out_of_range_are_refused(op: Op) -> None:
    for field in FIELDS[op][1:]:
        low, high = limits(field)
        for value in (low - 1, high + 1):
            message = f"{op.name}.{field.name} must be from {low} to {high}, not {value}$"
            with pytest.raises(ValueError, match=message):
                encode(op, {**zeros(op), field.name: value})


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="DRAIN has no field colour, mem"):
        encode(Op.DRAIN, {**zeros(Op.DRAIN), "mem": 0, "colour": 1})


def test_missing_fields_are_refused() -> None:
    values = zeros(Op.CONV)
    del values["stride_y"]
    with pytest.raises(ValueError, match=r"CONV\.stride_y must be an integer, not None"):
        encode(Op.CONV, values)


@pytest.mark.parametrize("size", [0, 63, 65, 128])
def test_wrong_lengths_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"a descriptor has 64 bytes, not {size}"):
        decode(bytes(size))


@pytest.mark.parametrize("opcode", [0, 6, 255])
def test_unknown_opcodes_are_refused(opcode: int) -> None:
    with pytest.raises(ValueError, match=f"unknown opcode {opcode}$"):
        decode(seal(bytes([opcode]) + bytes(BODY - 1)))


@pytest.mark.parametrize("op", Op)
def test_every_flipped_bit_is_refused(op: Op) -> None:
    encoded = int.from_bytes(encode(op, zeros(op)), "little")
    for bit in range(8 * DESCRIPTOR_BYTES):
        damaged = (encoded ^ 1 << bit).to_bytes(DESCRIPTOR_BYTES, "little")
        with pytest.raises(ValueError, match="damaged: its checksum is wrong"):
            decode(damaged)


def test_bits_after_the_last_field_mean_nothing() -> None:
    encoded = encode(Op.DRAIN, zeros(Op.DRAIN))
    assert decode(seal(encoded[: BODY - 1] + b"\xff")) == (Op.DRAIN, zeros(Op.DRAIN))
