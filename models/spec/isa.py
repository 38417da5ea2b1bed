"""The instruction set: one table from which encoder, decoder and hardware layouts are made.

A program is an array of 64-byte descriptors, fetched in order and handed to five engines, each with
a queue of its own.  An engine executes its own descriptors in order; engines run concurrently.
What each does with its fields, loop by loop, is `models.spec.isa_pseudocode`; docs/isa.md has both.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "CHECK_BYTES",
    "DESCRIPTOR_BYTES",
    "ENGINE_WAITS",
    "FIELDS",
    "Field",
    "Dest",
    "Op",
    "decode",
    "encode",
    "seal",
]

DESCRIPTOR_BYTES = 64

# Size of the checksum at the end of a descriptor.
CHECK_BYTES = 4


class Op(IntEnum):
    """The engine a descriptor is for.  0 is not an engine: cleared memory is a bad descriptor."""

    LOAD = 1
    WEIGHTS = 2
    CONV = 3
    DRAIN = 4
    POST = 5


class Dest(IntEnum):
    """Where LOAD writes."""

    ACT = 0
    OUT = 1
    TABLE = 2


@dataclass(frozen=True)
class Field:
    """One bit field of a descriptor.

    Parameters
    ----------
    name : str
    width : int
        In bits.
    signed : bool
    doc : str
    """

    name: str
    width: int
    doc: str
    signed: bool = False


def _wait(engine: Op) -> Field:
    return Field(
        f"wait_{engine.name.lower()}", 16, f"{engine.name} descriptors that must be complete"
    )


# Which engines' progress a descriptor of each engine can wait for.
ENGINE_WAITS: dict[Op, tuple[Op, ...]] = {
    Op.LOAD: (Op.CONV, Op.POST),
    Op.WEIGHTS: (),
    Op.CONV: (Op.LOAD,),
    Op.DRAIN: (Op.POST,),
    Op.POST: (Op.DRAIN, Op.LOAD),
}

_OP = Field("op", 8, "the engine (Op)")

# Fields of each engine's descriptor, least significant bit first, without gaps.
FIELDS: dict[Op, tuple[Field, ...]] = {
    Op.LOAD: (
        _OP,
        *(_wait(op) for op in ENGINE_WAITS[Op.LOAD]),
        Field("dest", 2, "destination (Dest)"),
        Field("mem", 32, "address of the first plane"),
        Field("base", 16, "first word written"),
        Field("row_words", 16, "words in a row, at least 1"),
        Field("row_beats", 16, "beats in a row: ceil(row_words * rows / 8)"),
        Field("plane_beats", 24, "beats in a plane: a multiple of row_beats"),
        Field("planes", 16, "planes, at least 1"),
        Field("plane_stride", 32, "bytes from one plane to the next, a multiple of 8"),
    ),
    Op.WEIGHTS: (
        _OP,
        Field("has_params", 1, "the tile's requantisation parameters come first"),
        Field("mem", 32, "address of the first byte"),
        Field("blocks", 24, "weight blocks"),
        Field("beats", 24, "beats in all: has_params * cols + blocks * rows * cols / 8"),
    ),
    Op.CONV: (
        _OP,
        *(_wait(op) for op in ENGINE_WAITS[Op.CONV]),
        Field("first", 1, "the tile begins: its first block overwrites the partial sums"),
        Field("last", 1, "the tile is complete after this: hand the bank to DRAIN"),
        Field("base", 16, "word address for cb = ky = kx = y = x = 0, modulo the depth"),
        Field("step_cb", 16, "words from one channel block to the next"),
        Field("step_ky", 16, "words from one kernel row to the next"),
        Field("step_y", 16, "words from one output row to the next"),
        Field("n_cb", 16, "channel blocks"),
        Field("n_ky", 8, "kernel rows"),
        Field("n_kx", 8, "kernel columns"),
        Field("n_y", 16, "output rows"),
        Field("n_x", 16, "output columns"),
        Field("stride_y", 8, "input rows from one output row to the next"),
        Field("stride_x", 8, "input columns (and words) from one output column to the next"),
        Field("y0", 16, "input row of y = ky = 0, negative in the top padding", signed=True),
        Field("x0", 16, "input column of x = kx = 0, negative in the left padding", signed=True),
        Field("in_h", 16, "input rows; outside is padding"),
        Field("in_w", 16, "input columns; outside is padding"),
        Field("pad", 8, "value of padded activations"),
        Field("more_images", 16, "images after the first, read by the same loops"),
        Field("step_image", 16, "words from one image to the next"),
    ),
    Op.DRAIN: (
        _OP,
        *(_wait(op) for op in ENGINE_WAITS[Op.DRAIN]),
        Field("base", 16, "word of position 0 in the plane of the tile's first channel"),
        Field("offset", 8, "byte of the tile's first channel in its word"),
        Field("lane_groups", 8, "groups of drain_lanes columns to drain, at least 1"),
        Field("plane_step", 16, "words from one plane to the next"),
        Field("count", 16, "positions of the tile's CONV: (1 + more_images) * n_y * n_x"),
    ),
    Op.POST: (
        _OP,
        *(_wait(op) for op in ENGINE_WAITS[Op.POST]),
        Field("mark", 1, "append a layer log entry on completion"),
        Field("lrn", 1, "normalise each pixel before pooling"),
        Field("lrn_shift", 5, "right shift after the LRN gain, 1 to 31"),
        Field("kernel", 4, "pooling window: 1, 2 or 3"),
        Field("stride", 4, "pooling stride, 1 to 15"),
        Field("y0", 16, "input row of oy = ky = 0, negative in the top padding", signed=True),
        Field("x0", 16, "input column of ox = kx = 0, negative in the left padding", signed=True),
        Field("in_h", 16, "input rows, halo included"),
        Field("in_w", 16, "input columns: words from one row to the next"),
        Field("halo_rows", 16, "rows at halo_base"),
        Field("halo_base", 16, "word of the first halo row"),
        Field("halo_step", 16, "words between planes in the halo rows"),
        Field("base", 16, "word of the first row after the halo"),
        Field("step", 16, "words between planes after the halo"),
        Field("channels", 8, "channels of this plane that exist, 1 to rows"),
        Field("has_prev", 1, "a plane comes before this one"),
        Field("next_channels", 2, "channels after this plane that LRN sees: 0 to 2"),
        Field("out_h", 16, "output rows"),
        Field("out_w", 16, "output columns"),
        Field("row_beats", 16, "beats in an output row: ceil(out_w * rows / 8)"),
        Field("beats", 24, "beats in all: out_h * row_beats"),
        Field("mem", 32, "address of the first output row"),
    ),
}

for _op, _fields in FIELDS.items():
    _bits = sum(field.width for field in _fields)
    assert _bits <= (DESCRIPTOR_BYTES - CHECK_BYTES) * 8, f"{_op.name} needs {_bits} bits"


def seal(body: bytes) -> bytes:
    """Return a descriptor: its 60 first bytes, and their checksum."""
    return body + zlib.crc32(body).to_bytes(CHECK_BYTES, "little")


def encode(op: Op, values: Mapping[str, int]) -> bytes:
    """Return the 64 bytes of one descriptor.

    Raises
    ------
    ValueError
        If a field is unknown, missing, or its value does not fit its width.
    """
    unknown = set(values) - {field.name for field in FIELDS[op]}
    if unknown:
        raise ValueError(f"{op.name} has no field {', '.join(sorted(unknown))}")
    word = shift = 0
    for field in FIELDS[op]:
        value = int(op) if field is _OP else values.get(field.name)
        if not isinstance(value, int):
            raise ValueError(f"{op.name}.{field.name} must be an integer, not {value!r}")
        low, high = (
            (-(1 << field.width - 1), 1 << field.width - 1)
            if field.signed
            else (0, 1 << field.width)
        )
        if not low <= value < high:
            raise ValueError(
                f"{op.name}.{field.name} must be from {low} to {high - 1}, not {value!r}"
            )
        word |= (value & (1 << field.width) - 1) << shift
        shift += field.width
    return seal(word.to_bytes(DESCRIPTOR_BYTES - CHECK_BYTES, "little"))


def decode(data: bytes) -> tuple[Op, dict[str, int]]:
    """Return engine and field values of one 64-byte descriptor.

    Raises
    ------
    ValueError
        If the length or the checksum is wrong, or the opcode is not an engine.
    """
    if len(data) != DESCRIPTOR_BYTES:
        raise ValueError(f"a descriptor has {DESCRIPTOR_BYTES} bytes, not {len(data)}")
    if seal(data[:-CHECK_BYTES]) != data:
        raise ValueError("damaged: its checksum is wrong")
    word = int.from_bytes(data, "little")
    try:
        op = Op(word & 0xFF)
    except ValueError:
        raise ValueError(f"unknown opcode {word & 0xFF}") from None
    values: dict[str, int] = {}
    for field in FIELDS[op]:
        value = word & (1 << field.width) - 1
        word >>= field.width
        if field.signed and value >> field.width - 1:
            value -= 1 << field.width
        values[field.name] = value
    del values["op"]
    return op, values
