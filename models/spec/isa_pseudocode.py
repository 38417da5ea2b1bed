"""What each engine does, as pseudocode: the meaning of the fields of `models.spec.isa`.

docs/isa.md is generated from both; `host.devices.functional_engines` is the same as a program.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.models.spec.isa import Op

__all__ = ["PSEUDOCODE", "Pseudocode", "RULES"]

# Rules that hold for all engines: titles and Markdown.
RULES: dict[str, str] = {
    "Dependencies": """\
Every engine counts the descriptors it has completed since the start bit (modulo `2**16`). A
descriptor starts when each engine it depends on has completed at least as many descriptors as its
`wait_*` field says: `(done - wait) mod 2**16 < 2**15`. A wait may only refer to descriptors that
come earlier in the program, so the oldest unfinished descriptor can always proceed: a program that
obeys this rule cannot deadlock. Two hand-overs need no field: CONV waits for its weight blocks and
for a free partial-sum bank, DRAIN for a finished bank.""",
    "Words and planes": """\
A word is `rows` bytes: the values of `rows` consecutive channels at one position. A plane is the
words of one channel block at all positions, row after row. In memory each row of a plane starts on
a bus beat (8 bytes); in the buffers rows are packed without gaps. Buffer addresses are in words and
wrap modulo the buffer's depth, so both buffers work as rings. Memory addresses are byte offsets
from the register `BASE` and multiples of 8.""",
    "Checksum": """\
The last 4 bytes of a descriptor are the CRC-32 (ISO-HDLC, that of zlib) of the 60 before. The core
refuses a descriptor whose checksum is wrong: any four flipped bits and any burst of 32 are
found.""",
}


@dataclass(frozen=True)
class Pseudocode:
    """Effect of one descriptor of an engine.

    Parameters
    ----------
    summary : str
        Where data comes from and where it goes.
    loops : str
        The exact behaviour, as pseudocode: names are fields, and `rows`, `cols` and `drain_lanes`
        those of the arch; ``for p < n`` counts from 0 to n - 1.
    notes : str
        Details that the loops do not express, in Markdown.
    """

    summary: str
    loops: str
    notes: str


PSEUDOCODE: dict[Op, Pseudocode] = {
    Op.LOAD: Pseudocode(
        "memory → activation buffer, output buffer or LRN table",
        """\
word = base
for p < planes:
    beats = memory[mem + p * plane_stride ..], plane_beats of them
    for each row_beats of these beats:
        for i < row_words:
            destination[word] = bytes i * rows .. (i + 1) * rows - 1 of the row
            word = word + 1""",
        "What is left of a row's last beat is dropped. With `dest` TABLE each beat is one 64-bit "
        "pair of table entries, `row_words` and `row_beats` are ignored, and `base` counts pairs.",
    ),
    Op.WEIGHTS: Pseudocode(
        "memory → requantisation parameters (optional), then weight blocks",
        """\
stream = memory[mem ..], beats of them
if has_params:
    for c < cols: parameters[c] = next 8 bytes of stream
for b < blocks:
    for r = rows - 1 down to 0: block[r] = next cols bytes of stream, int8, in order of columns""",
        "A block is `rows` words of `cols` int8, the last row of the array first. Blocks are "
        "packed without gaps: `rows * cols` is a multiple of 8.",
    ),
    Op.CONV: Pseudocode(
        "activation buffer → array → partial sums: the output positions of one tile, for a number "
        "of weight blocks",
        """\
for cb < n_cb: for ky < n_ky: for kx < n_kx:
    block = the next weight block
    for image <= more_images: for y < n_y: for x < n_x:
        iy = y0 + y * stride_y + ky
        ix = x0 + x * stride_x + kx
        a = act[base + image * step_image + cb * step_cb + ky * step_ky + kx
                + y * step_y + x * stride_x]
        if not (0 <= iy < in_h and 0 <= ix < in_w): a = [pad] * rows
        psum[(image * n_y + y) * n_x + x] (+)= a @ block""",
        "`(+)=` is `=` for the first block of a tile (`first`), `+=` for all others.",
    ),
    Op.DRAIN: Pseudocode(
        "partial sums of the finished tile → requantise → output buffer",
        """\
for m < count: for j < lane_groups: for lane < drain_lanes:
    b = offset + j * drain_lanes + lane
    out[base + m + (b // rows) * plane_step].byte[b % rows]
        = requantise(psum[m][j * drain_lanes + lane])""",
        "`requantise` is that of [Arithmetic](arithmetic.md), with the parameters that WEIGHTS "
        "brought for the column.",
    ),
    Op.POST: Pseudocode(
        "output buffer → LRN (optional) → max pool (1x1 copies) → memory",
        """\
row(iy) = halo_base + iy * in_w                if iy < halo_rows
          base + (iy - halo_rows) * in_w       otherwise
pixel(iy, ix) = out[row(iy) + ix], or 0 outside 0 <= iy < in_h, 0 <= ix < in_w
for oy < out_h: for ox < out_w:
    word = max over ky < kernel, kx < kernel of
           [lrn] pixel(oy * stride + y0 + ky, ox * stride + x0 + kx)
    the row's next rows bytes = word""",
        "The halo rows are those of the band before. Channels from `channels` on are 0. With LRN "
        "the two channels before come from the plane `step` words (in halo rows `halo_step`) "
        "before if `has_prev` is set, and `next_channels` (0 to 2) after from the plane after; "
        "neighbours that do not exist are 0. The `out_w` words of a row are packed into "
        "`row_beats` beats, with zeros after the last word; rows follow each other from `mem` on. "
        "The descriptor is complete when memory has acknowledged every burst.",
    ),
}
