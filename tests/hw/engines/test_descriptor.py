"""Descriptor layouts in hardware: the bits that `models.spec.isa` encodes."""

from __future__ import annotations

import random

import pytest

from penstock.hw.engines.descriptor import descriptor
from penstock.models.spec.isa import CHECK_BYTES, DESCRIPTOR_BYTES, FIELDS, Op, encode

BODY = DESCRIPTOR_BYTES - CHECK_BYTES


@pytest.mark.parametrize("op", Op)
def test_members_are_the_fields(op: Op) -> None:
    layout = descriptor(op)
    assert list(layout.members) == [field.name for field in FIELDS[op]]
    assert layout.size == sum(field.width for field in FIELDS[op]) <= BODY * 8
    assert layout["op"].offset == 0


@pytest.mark.parametrize("op", Op)
def test_hardware_reads_what_the_host_writes(op: Op) -> None:
    rng = random.Random(int(op))
    layout = descriptor(op)
    for _ in range(20):
        values = {}
        for field in FIELDS[op][1:]:
            low = -(1 << field.width - 1) if field.signed else 0
            high = low + (1 << field.width) - 1
            values[field.name] = rng.choice((low, high, rng.randint(low, high)))
        bits = int.from_bytes(encode(op, values)[:BODY], "little")
        assert bits < 1 << layout.size
        view = layout.from_bits(bits)
        assert {name: view[name] for name in layout.members} == {"op": int(op), **values}
