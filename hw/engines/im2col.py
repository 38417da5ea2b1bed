"""The activation address generator: a tile's output positions, for one weight block at a time.

The order is that of ``Op.CONV`` in `models.spec.isa`.  Everything is incremental: no multiplier.
"""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from penstock.hw.engines.descriptor import descriptor
from penstock.models.spec.isa import Op

__all__ = ["AddressGenerator", "issue_layout"]

_BLOCK = data.StructLayout(
    {
        "addr": 16,
        "iy": signed(17),
        "ix": signed(17),
        "first": 1,
        "last": 1,
        "final": 1,
        "step_y": 16,
        # What follows its first row, its first image, and the first row after that.
        "next_row": 16,
        "next_image": 16,
        "next_image_row": 16,
        "more_x": 16,
        "one_x": 1,
        "two_x": 1,
        "more_y": 16,
        "one_y": 1,
        "two_y": 1,
        "stride_x": 8,
        "stride_y": 8,
        "in_h": 16,
        "in_w": 16,
        "pad": 8,
        "more_images": 16,
        "one_image": 1,
        "two_images": 1,
        "step_image": 16,
    }
)


def issue_layout(psum_words: int) -> data.StructLayout:
    """One activation word on its way into the array.

    valid
        There is a word.
    addr
        Where it is in the activation buffer.
    outside, pad
        It is padding of this value instead.
    swap
        It is the first one for the next weight block.
    first, last, psum
        Overwrites its partial sum; is the tile's last word; position in the tile.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "addr": 16,
            "outside": 1,
            "pad": 8,
            "swap": 1,
            "first": 1,
            "last": 1,
            "psum": range(psum_words),
        }
    )


class _Left:
    """What is left after this one, and whether that is none or one, compared a step ahead."""

    def __init__(self, m: Module, name: str) -> None:
        self._m = m
        self._count = Signal(16, name=name)
        self.end = Signal(name=f"{name}_end")
        self.one = Signal(name=f"{name}_one")

    def load(self, count: Value, *, none: Value, one: Value) -> None:
        self._m.d.sync += [self._count.eq(count), self.end.eq(none), self.one.eq(one)]

    def step(self) -> None:
        self._m.d.sync += [
            self._count.eq(self._count - 1),
            self.end.eq(self.one),
            self.one.eq(self._count == 2),
        ]


class AddressGenerator(wiring.Component):
    """Turns CONV descriptors into one activation word each cycle.

    Weight blocks of four words or more follow each other without a bubble as long as `weights` and,
    where a tile begins, `bank` are up a cycle before the block before ends.

    Parameters
    ----------
    psum_words : int
        Positions in a partial-sum bank.

    Members
    -------
    i : In(stream of descriptor(Op.CONV))
    done : Out(1)
        Pulse: all words of a descriptor have been issued.
    weights : In(1)
        The next weight block is in the shadow registers.
    bank : In(1)
        A partial-sum bank is free.
    take_weights, take_bank : Out(1)
        A block, a tile begins.
    o : Out(issue_layout)
        Registered.
    busy, wait_weights, wait_bank : Out(1)
        What the generator does this cycle; none of them: it has no descriptor.
    """

    def __init__(self, *, psum_words: int) -> None:
        if psum_words < 1:
            raise ValueError(f"psum_words must be a positive integer, not {psum_words!r}")
        self.psum_words = psum_words
        super().__init__(
            {
                "i": In(stream.Signature(descriptor(Op.CONV))),
                "done": Out(1),
                "weights": In(1),
                "bank": In(1),
                "take_weights": Out(1),
                "take_bank": Out(1),
                "o": Out(issue_layout(psum_words)),
                "busy": Out(1),
                "wait_weights": Out(1),
                "wait_bank": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        take, taken = Signal(), Signal()
        m.d.sync += taken.eq(take)
        block = Signal(_BLOCK)
        block_valid = Signal()
        tile_begins = Signal()
        self._next_block(m, block, block_valid, tile_begins, taken)
        self._issue(m, block, block_valid, tile_begins, take, taken)
        return m

    def _next_block(
        self, m: Module, block: data.View, valid: Signal, tile_begins: Signal, taken: Signal
    ) -> None:
        """Iterate over a descriptor's blocks; there are many cycles between two of them."""
        desc = Signal(descriptor(Op.CONV), reset_less=True)
        kx, ky, cb = Signal(8), Signal(8), Signal(16)
        addr_cb, addr_ky, addr = Signal(16), Signal(16), Signal(16)
        first = Signal()
        # From the third cycle after a take on, these are the next block's; `_issue` waits as long.
        x_end, y_end, c_end = Signal(), Signal(), Signal()
        next_row, next_image, next_image_row, steps = (
            Signal(16, name=name, reset_less=True)
            for name in ("next_row", "next_image", "next_image_row", "steps")
        )
        m.d.sync += [
            next_row.eq(addr + desc.step_y),
            next_image.eq(addr + desc.step_image),
            # Of a descriptor's first block a cycle later than the others.
            steps.eq(desc.step_y + desc.step_image),
            next_image_row.eq(addr + steps),
            x_end.eq(kx == desc.n_kx - 1),
            y_end.eq(ky == desc.n_ky - 1),
            c_end.eq(cb == desc.n_cb - 1),
        ]
        m.d.comb += [
            self.i.ready.eq(~valid),
            tile_begins.eq(first & desc.first),
            block.addr.eq(addr),
            block.next_row.eq(next_row),
            block.next_image.eq(next_image),
            block.next_image_row.eq(next_image_row),
            block.iy.eq(desc.y0 + ky),
            block.ix.eq(desc.x0 + kx),
            block.first.eq(tile_begins),
            block.final.eq(x_end & y_end & c_end),
            block.last.eq(block.final & desc.last),
        ]
        for name in ("step_y", "stride_x", "stride_y", "in_h", "in_w", "pad"):
            m.d.comb += block[name].eq(desc[name])
        for name in ("more_images", "step_image"):
            m.d.comb += block[name].eq(desc[name])
        # Pre-compute the terminal-count flags; they gate the next address.
        m.d.comb += [
            block.more_x.eq(desc.n_x - 1),
            block.one_x.eq(desc.n_x == 1),
            block.two_x.eq(desc.n_x == 2),
            block.more_y.eq(desc.n_y - 1),
            block.one_y.eq(desc.n_y == 1),
            block.two_y.eq(desc.n_y == 2),
            block.one_image.eq(desc.more_images == 0),
            block.two_images.eq(desc.more_images == 1),
        ]
        with m.If(~valid):
            m.d.sync += desc.eq(self.i.payload)
            with m.If(self.i.valid):
                base = self.i.payload.base
                m.d.sync += [
                    valid.eq(1),
                    first.eq(1),
                    Cat(kx, ky, cb).eq(0),
                    addr.eq(base),
                    addr_ky.eq(base),
                    addr_cb.eq(base),
                ]
        with m.Elif(taken):
            m.d.sync += first.eq(0)
            with m.If(~x_end):
                m.d.sync += [kx.eq(kx + 1), addr.eq(addr + 1)]
            with m.Elif(~y_end):
                following = addr_ky + desc.step_ky
                m.d.sync += [
                    kx.eq(0),
                    ky.eq(ky + 1),
                    addr.eq(following),
                    addr_ky.eq(following),
                ]
            with m.Elif(~c_end):
                following = addr_cb + desc.step_cb
                m.d.sync += [
                    kx.eq(0),
                    ky.eq(0),
                    cb.eq(cb + 1),
                    addr.eq(following),
                    addr_ky.eq(following),
                    addr_cb.eq(following),
                ]
            with m.Else():
                m.d.sync += valid.eq(0)

    def _issue(
        self,
        m: Module,
        block: data.View,
        valid: Signal,
        tile_begins: Signal,
        take: Signal,
        taken: Signal,
    ) -> None:
        """Issue the words of the current block, then take the next one."""
        now = Signal(_BLOCK, reset_less=True)
        active = Signal()
        # Words of the row, rows of the image, images of the block.
        x, y, images = (_Left(m, name) for name in ("x", "y", "images"))
        ends = Signal()  # always ``x.end & y.end & images.end``
        addr = Signal(16)
        # Where the next row and the next image begin, and the row after the next image's first.
        next_row, next_image, next_image_row = (
            Signal(16, name=f"{name}_addr") for name in ("row", "image", "image_row")
        )
        ix, iy = Signal(signed(17)), Signal(signed(17))
        psum = Signal(range(self.psum_words))
        row_end, image_end, block_end, bank_free = Signal(), Signal(), Signal(), Signal()
        # All that the next block needs is there, and stays.
        prepared = Signal()
        m.d.comb += [
            row_end.eq(x.end),
            image_end.eq(x.end & y.end),
            block_end.eq(active & ends),
            bank_free.eq(self.bank | ~tile_begins),
            take.eq(prepared & (~active | ends)),
            self.take_weights.eq(take),
            self.take_bank.eq(take & tile_begins),
            self.busy.eq(active),
            self.wait_weights.eq(~active & valid & ~self.weights),
            self.wait_bank.eq(~active & valid & self.weights & ~bank_free),
        ]
        m.d.sync += prepared.eq(valid & self.weights & bank_free & ~take & ~taken)
        with m.If(take):
            x.load(block.more_x, none=block.one_x, one=block.two_x)
            y.load(block.more_y, none=block.one_y, one=block.two_y)
            images.load(block.more_images, none=block.one_image, one=block.two_images)
            m.d.sync += [
                now.eq(block),
                active.eq(1),
                psum.eq(0),
                ends.eq(block.one_x & block.one_y & block.one_image),
                addr.eq(block.addr),
                next_row.eq(block.next_row),
                next_image.eq(block.next_image),
                ix.eq(block.ix),
                iy.eq(block.iy),
            ]
        with m.Elif(active):
            m.d.sync += psum.eq(psum + 1)
            with m.If(~row_end):
                x.step()
                m.d.sync += [
                    ends.eq(x.one & y.end & images.end),
                    addr.eq(addr + now.stride_x),
                    ix.eq(ix + now.stride_x),
                ]
            with m.Elif(image_end):
                x.load(now.more_x, none=now.one_x, one=now.two_x)
                y.load(now.more_y, none=now.one_y, one=now.two_y)
                images.step()
                m.d.sync += [
                    ends.eq(now.one_x & now.one_y & images.one),
                    addr.eq(next_image),
                    next_row.eq(next_image_row),
                    next_image.eq(next_image + now.step_image),
                    next_image_row.eq(next_image_row + now.step_image),
                    ix.eq(now.ix),
                    iy.eq(now.iy),
                ]
            with m.Else():
                x.load(now.more_x, none=now.one_x, one=now.two_x)
                y.step()
                m.d.sync += [
                    ends.eq(now.one_x & y.one & images.end),
                    addr.eq(next_row),
                    next_row.eq(next_row + now.step_y),
                    ix.eq(now.ix),
                    iy.eq(iy + now.stride_y),
                ]
            with m.If(block_end):
                m.d.sync += active.eq(0)
        with m.If(taken):
            # Not there before; where images have more rows than one, none ends in this cycle.
            m.d.sync += next_image_row.eq(block.next_image_row)
        m.d.sync += [
            self.o.valid.eq(active),
            self.o.addr.eq(addr),
            # A negative coordinate is a large unsigned number: one comparison for both sides.
            self.o.outside.eq((iy.as_unsigned() >= now.in_h) | (ix.as_unsigned() >= now.in_w)),
            self.o.pad.eq(now.pad),
            self.o.swap.eq(taken),
            self.o.first.eq(now.first),
            self.o.last.eq(block_end & now.last),
            self.o.psum.eq(psum),
            self.done.eq(block_end & now.final),
        ]
