"""cocotb: the address generator's words against the loops of ``Op.CONV`` in `models.spec.isa`.

``bench.run(AddressGenerator(psum_words=64), "penstock.sim.bench.im2col", parameters={"psum_words":
64, "tiles": 20})``
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from penstock.hw.engines.descriptor import descriptor
from penstock.hw.engines.im2col import issue_layout
from penstock.models.spec.isa import ENGINE_WAITS, Op, encode
from penstock.sim.bench.runner import parameters

__all__ = ["Word", "random_descriptor", "ready_blocks_have_no_bubbles", "waits", "words"]


@dataclass(frozen=True)
class Word:
    """One activation word as ``issue_layout`` has it; `addr` is None where it is padding.

    Two more members: `begins_tile` marks the first word of a tile, `final` a descriptor's last.
    """

    addr: int | None
    pad: int | None
    swap: bool
    first: bool
    last: bool
    psum: int
    begins_tile: bool
    final: bool

    @classmethod
    def seen(cls, got: Mapping[str, int], *, begins_tile: bool, final: bool) -> Word:
        """Return the word in the members of an ``issue_layout``."""
        return cls(
            addr=None if got["outside"] else got["addr"],
            pad=got["pad"] if got["outside"] else None,
            swap=bool(got["swap"]),
            first=bool(got["first"]),
            last=bool(got["last"]),
            psum=got["psum"],
            begins_tile=begins_tile,
            final=final,
        )


def words(d: Mapping[str, int]) -> Iterator[Word]:
    """Yield the words of one CONV descriptor, by the loops of the ISA."""
    images = d["more_images"] + 1
    count = d["n_cb"] * d["n_ky"] * d["n_kx"] * images * d["n_y"] * d["n_x"]
    index = 0
    for cb, ky, kx in product(range(d["n_cb"]), range(d["n_ky"]), range(d["n_kx"])):
        begins = bool(d["first"]) and not (cb or ky or kx)
        for image, y, x in product(range(images), range(d["n_y"]), range(d["n_x"])):
            index += 1
            iy = d["y0"] + y * d["stride_y"] + ky
            ix = d["x0"] + x * d["stride_x"] + kx
            inside = 0 <= iy < d["in_h"] and 0 <= ix < d["in_w"]
            addr = d["base"] + image * d["step_image"] + cb * d["step_cb"]
            addr += ky * d["step_ky"] + kx + y * d["step_y"] + x * d["stride_x"]
            start = not (image or x or y)
            yield Word(
                addr=addr % (1 << 16) if inside else None,
                pad=None if inside else d["pad"],
                swap=start,
                first=begins,
                last=bool(d["last"]) and index == count,
                psum=(image * d["n_y"] + y) * d["n_x"] + x,
                begins_tile=begins and start,
                final=index == count,
            )


def random_descriptor(
    rng: random.Random, *, first: bool, last: bool, n_y: int, n_x: int, images: int = 1
) -> dict[str, int]:
    """Return CONV fields for `n_y` x `n_x` positions that reach beyond all edges of the input."""
    in_h, in_w = rng.randint(1, 24), rng.randint(1, 24)
    wide = rng.random() < 0.2  # extreme values: coordinates must not wrap before 2**16
    return {
        **{f"wait_{op.name.lower()}": rng.randrange(1 << 16) for op in ENGINE_WAITS[Op.CONV]},
        "first": int(first),
        "last": int(last),
        "base": rng.randrange(1 << 16),
        "step_cb": rng.randrange(1 << 16),
        "step_ky": rng.choice([rng.randrange(1 << 16), rng.randrange(64)]),
        "step_y": rng.choice([rng.randrange(1 << 16), rng.randrange(64)]),
        "n_cb": rng.choice([1, 2, 3]),
        "n_ky": rng.choice([1, 2, 3]),
        "n_kx": rng.choice([1, 2, 3]),
        "n_y": n_y,
        "n_x": n_x,
        "stride_y": rng.choice([1, 2, 3, 255]) if wide else rng.randint(1, 4),
        "stride_x": rng.choice([1, 2, 3, 255]) if wide else rng.randint(1, 4),
        "y0": rng.choice([-(1 << 15), (1 << 15) - 1]) if wide else rng.randint(-6, in_h),
        "x0": rng.choice([-(1 << 15), (1 << 15) - 1]) if wide else rng.randint(-6, in_w),
        "in_h": rng.choice([in_h, (1 << 16) - 1]) if wide else in_h,
        "in_w": rng.choice([in_w, (1 << 16) - 1]) if wide else in_w,
        "pad": rng.randrange(256),
        "more_images": images - 1,
        "step_image": rng.choice([rng.randrange(1 << 16), rng.randrange(256)]),
    }


def random_tiles(
    rng: random.Random, count: int, *, smallest: int, psum_words: int
) -> list[dict[str, int]]:
    """Descriptors of `count` tiles, one to three per tile, of at least `smallest` positions."""
    shapes = [
        (n_y, n_x)
        for n_y in range(1, 9)
        for n_x in (*range(1, 9), psum_words)
        if smallest <= n_y * n_x <= psum_words
    ]
    tiles = []
    for _ in range(count):
        n_y, n_x = rng.choice(shapes)
        images = rng.randint(1, min(4, psum_words // (n_y * n_x)))
        parts = rng.randint(1, 3)
        tiles += [
            random_descriptor(
                rng, first=part == 0, last=part == parts - 1, n_y=n_y, n_x=n_x, images=images
            )
            for part in range(parts)
        ]
    return tiles


async def check(dut: Any, descriptors: list[dict[str, int]], stall: float) -> int:
    """Run `descriptors`, each input not ready for a while with probability `stall`.

    Returns
    -------
    int
        Cycles from the first word to the last one without a word.
    """
    psum_words = parameters()["psum_words"]
    fields = [
        (name, field.offset, (1 << field.width) - 1) for name, field in issue_layout(psum_words)
    ]
    mask = (1 << descriptor(Op.CONV).size) - 1
    rng = random.Random(random.randrange(1 << 32))
    payloads = [int.from_bytes(encode(Op.CONV, d), "little") & mask for d in descriptors]
    expected = [word for d in descriptors for word in words(d)]
    begins = [word.begins_tile for word in expected if word.swap]
    for port in (dut.i__valid, dut.i__payload, dut.weights, dut.bank):
        port.value = 0
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0

    def pause() -> int:
        return rng.randint(1, 40) if rng.random() < stall else 0

    issued = bubbles = blocks = tiles = 0
    held = {"i": pause(), "weights": pause(), "bank": pause()}
    busy_before = 0
    taken = deque([0, 0])
    limit = 200 + len(expected) * 4 + 50 * sum(word.swap for word in expected)
    for _ in range(limit):
        up = {name: left == 0 for name, left in held.items()}
        dut.i__valid.value = up["i"] and bool(payloads)
        dut.i__payload.value = payloads[0] if payloads else 0
        dut.weights.value = up["weights"]
        dut.bank.value = up["bank"]
        await RisingEdge(dut.clk)
        held = {name: max(0, left - 1) for name, left in held.items()}
        waiting = (int(dut.wait_weights.value), int(dut.wait_bank.value))
        assert not (waiting[0] and up["weights"])
        assert not waiting[1] or (begins[blocks] and not up["bank"])
        # An input that is taken in this cycle becomes not ready for a while.
        took, took_bank = int(dut.take_weights.value), int(dut.take_bank.value)
        if took:
            assert up["weights"], "took weights that were not there"
            held["weights"] = pause()
            blocks += 1
        if took_bank:
            assert took and up["bank"], "took a bank that was not free"
            held["bank"] = pause()
            tiles += 1
        if up["i"] and payloads and int(dut.i__ready.value):
            del payloads[0]
            held["i"] = pause()
        busy = int(dut.busy.value)
        assert busy + sum(waiting) <= 1, f"busy {busy} and waiting for weights, bank: {waiting}"

        bits = int(dut.o.value)
        got = {name: bits >> offset & field_mask for name, offset, field_mask in fields}
        assert got["valid"] == busy_before, "busy is not one cycle ahead of the word"
        assert got["swap"] == taken.popleft(), "a block is not taken two cycles ahead of its word"
        busy_before = busy
        taken.append(took)
        done = int(dut.done.value)
        if not got["valid"]:
            assert not done, "done without a word"
            bubbles += 0 < issued < len(expected)
            continue
        want = expected[issued]
        seen = Word.seen(got, begins_tile=want.begins_tile, final=bool(done))
        assert seen == want, f"word {issued}: {seen}, not {want}"
        issued += 1
        if issued == len(expected):
            break
    assert issued == len(expected), f"{issued} of {len(expected)} words after {limit} cycles"
    assert (blocks, tiles) == (len(begins), sum(begins))
    return bubbles


@cocotb.test()
async def waits(dut: Any) -> None:
    """Late descriptors, weights and banks; blocks of one or more words."""
    rng = random.Random(random.randrange(1 << 32))
    psum_words, tiles = parameters()["psum_words"], parameters()["tiles"]
    descriptors = random_tiles(rng, tiles, smallest=1, psum_words=psum_words)
    assert await check(dut, descriptors, 0.3) > 0


@cocotb.test()
async def ready_blocks_have_no_bubbles(dut: Any) -> None:
    """If all inputs are in time, a word is issued each cycle, also across tiles."""
    rng = random.Random(random.randrange(1 << 32))
    psum_words, tiles = parameters()["psum_words"], parameters()["tiles"]
    # The next descriptor takes four cycles to become a block.
    descriptors = random_tiles(rng, tiles, smallest=4, psum_words=psum_words)
    assert await check(dut, descriptors, 0.0) == 0
