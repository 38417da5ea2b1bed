"""Descriptor layouts in hardware, made from the ISA table."""

from __future__ import annotations

from amaranth import signed, unsigned
from amaranth.lib import data

from penstock.models.spec.isa import FIELDS, Op

__all__ = ["descriptor"]


def descriptor(op: Op) -> data.StructLayout:
    """Layout of the used bits of a descriptor of engine `op`, least significant field first."""
    return data.StructLayout(
        {
            field.name: signed(field.width) if field.signed else unsigned(field.width)
            for field in FIELDS[op]
        }
    )
