"""The instruction set: one table from which encoder, decoder and hardware layouts are made.

A program is an array of 64-byte descriptors, fetched in order and handed to five engines, each with
a queue of its own.  An engine executes its own descriptors in order; engines run concurrently.

========  ==========================================================================
engine    what one descriptor does
========  ==========================================================================
LOAD      memory -> activation buffer, output buffer or LRN table
WEIGHTS   memory -> requantisation parameters (optional), then weight blocks
CONV      walk output positions of one tile for a number of weight blocks
DRAIN     partial sums of the finished tile -> requantise -> output buffer
POST      output buffer -> LRN (optional) -> max pool (1x1 copies) -> memory
========  ==========================================================================

Dependencies
    Every engine counts the descriptors it has completed since the start bit (modulo 2**16).  A
    descriptor starts when each engine it depends on has completed at least as many descriptors as
    its ``wait_*`` field says: ``(done - wait) mod 2**16 < 2**15``.  A wait may only refer to
    descriptors that come earlier in the program, so the oldest unfinished descriptor can always
    proceed: a program that obeys this rule cannot deadlock.  Two hand-overs need no field: CONV
    waits for its weight blocks and for a free partial-sum bank, DRAIN for a finished bank.

Words and planes
    A word is ``rows`` bytes: the values of ``rows`` consecutive channels at one position.  A plane
    is the words of one channel block at all positions, row after row.  In memory each row of a
    plane starts on a bus beat (8 bytes); in the buffers rows are packed without gaps.  Buffer
    addresses are in words and wrap modulo the buffer's depth, so both buffers work as rings.

Memory addresses are byte offsets from the CSR ``BASE`` and multiples of 8.

Checksum
    The last 4 bytes of a descriptor are the CRC-32 (ISO-HDLC, that of zlib) of the 60 before.  The
    core refuses a descriptor whose checksum is wrong: any four flipped bits and any burst of 32.
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

# The checksum, at a descriptor's end.
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
    # The beats at mem + p * plane_stride + 0 .. plane_beats * 8 for p = 0 .. planes-1, one stream,
    # are cut into rows of `row_beats` beats, each holding `row_words` words (what is left of a
    # row's last beat is dropped); the words go to base, base + 1, ... of the destination.
    # dest TABLE: each beat is one 64-bit entry pair, row_* are ignored, base counts entry pairs.
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
    # `has_params` beats-of-`cols` first (parameter c of the tile in beat c, see Params below),
    # then `blocks` weight blocks.  A block is `rows` words of `cols` int8, the LAST array row
    # first; word bytes are columns in order.  Blocks are packed without gaps (rows*cols % 8 == 0).
    Op.WEIGHTS: (
        _OP,
        Field("has_params", 1, "the tile's requantisation parameters come first"),
        Field("mem", 32, "address of the first byte"),
        Field("blocks", 24, "weight blocks"),
        Field("beats", 24, "beats in all: has_params * cols + blocks * rows * cols / 8"),
    ),
    # for cb < n_cb: for ky < n_ky: for kx < n_kx: take one weight block, and
    #   for image <= more_images: for y < n_y: for x < n_x:
    #     iy = y0 + y * stride_y + ky;  ix = x0 + x * stride_x + kx
    #     a = act[base + image * step_image + cb * step_cb + ky * step_ky + kx
    #             + y * step_y + x * stride_x]
    #     if not (0 <= iy < in_h and 0 <= ix < in_w): a = [pad] * rows
    #     psum[(image * n_y + y) * n_x + x] (+)= a @ block
    #                                          (= for the first block of a tile, += after it)
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
        Field("more_images", 16, "images after the first: each is walked like it"),
        Field("step_image", 16, "words from one image to the next"),
    ),
    # for m < count: for j < groups: for lane < drain_lanes:
    #   b = offset + j * drain_lanes + lane
    #   out[base + m + (b // rows) * plane_step].byte[b % rows]
    #       = requantise(psum[m][j * drain_lanes + lane])
    Op.DRAIN: (
        _OP,
        *(_wait(op) for op in ENGINE_WAITS[Op.DRAIN]),
        Field("base", 16, "word of position 0 in the plane of the tile's first channel"),
        Field("offset", 8, "byte of the tile's first channel in its word"),
        Field("groups", 8, "groups of drain_lanes columns to drain, at least 1"),
        Field("plane_step", 16, "words from one plane to the next"),
        Field("count", 16, "positions of the tile's CONV: (1 + more_images) * n_y * n_x"),
    ),
    # Row iy of the input plane is at
    #   halo_base + iy * in_w                if iy < halo_rows   (rows of the band before)
    #   base + (iy - halo_rows) * in_w       otherwise
    # pixel(iy, ix) = its word; 0 outside 0 <= iy < in_h, 0 <= ix < in_w; channels from `channels`
    # on are 0.  With LRN the two channels before come from the plane `step` words (`halo_step` in
    # halo rows) before if `has_prev`, the `next_channels` (0 to 2) after from the plane after;
    # neighbours that do not exist are 0.
    # for oy < out_h: for ox < out_w:
    #   out word = max over ky, kx < kernel of
    #              [lrn] pixel(oy * stride + y0 + ky, ox * stride + x0 + kx)
    # The out_w words of a row are packed into row_beats beats, zeros after the last word; rows
    # follow each other from `mem`.  Complete once memory has acknowledged every burst.
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
