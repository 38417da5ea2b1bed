# amaranth: UnusedElaboratable=no
"""The activation address generator: its words against the loops of the ISA."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from penstock.hw.engines.im2col import AddressGenerator, issue_layout
from penstock.sim.bench import runner
from penstock.sim.bench.im2col import Word, random_descriptor, words
from tests.hw.engines.test_conv import reference
from tests.support.hwsim import plain, run


@pytest.mark.parametrize("value", [0, -1])
def test_wrong_psum_words(value: int) -> None:
    with pytest.raises(ValueError, match=f"psum_words must be a positive integer, not {value}"):
        AddressGenerator(psum_words=value)


def test_a_word_has_room_for_every_position() -> None:
    assert issue_layout(64)["psum"].width == 6
    assert issue_layout(65)["psum"].width == 7
    assert issue_layout(64).size == issue_layout(1).size + 6


@pytest.mark.parametrize("seed", range(5))
def test_words_make_the_convolution(seed: int) -> None:
    """The bench's words, multiplied and summed, equal the reference of the CONV engine's test."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    nrng = np.random.default_rng(seed)
    n_y, n_x, images = (rng.randint(1, 5) for _ in range(3))
    d = random_descriptor(rng, first=True, last=True, n_y=n_y, n_x=n_x, images=images)
    act = nrng.integers(0, 256, (1 << 16, 3), dtype=np.uint8)
    count = d["n_cb"] * d["n_ky"] * d["n_kx"]
    blocks = [nrng.integers(-128, 128, (3, 2), dtype=np.int8) for _ in range(count)]
    total = np.zeros((images * n_y * n_x, 2), np.int64)
    block = -1
    for word in words(d):
        block += word.swap
        values = np.full(3, word.pad) if word.addr is None else act[word.addr]
        total[word.psum] += values.astype(np.int64) @ blocks[block].astype(np.int64)
    assert block == count - 1
    np.testing.assert_array_equal(total, reference(act, blocks, d))


# Four positions around the input's first corner.
SMALL = {
    **{"first": 1, "last": 1, "base": 0, "step_cb": 1, "step_ky": 1, "step_y": 1},
    **{"n_cb": 1, "n_ky": 1, "n_kx": 1, "n_y": 2, "n_x": 2, "stride_y": 1, "stride_x": 1},
    **{"y0": 0, "x0": 0, "in_h": 65535, "in_w": 65535, "pad": 0},
    **{"more_images": 0, "step_image": 1},
}
# Fields with their highest bits set, so that a missing bit is found.
WIDE: list[dict[str, int]] = [
    {"stride_x": 255, "n_x": 9},
    {"stride_x": 128, "x0": -129, "n_x": 3},
    {"stride_y": 255, "n_y": 9, "step_y": 0xFFFF},
    {"stride_y": 128, "y0": -129, "n_y": 3},
    {"step_y": 0x8000, "n_y": 3},
    {"step_ky": 0x8000, "n_ky": 3},
    {"step_cb": 0x8000, "n_cb": 3},
    {"step_image": 0x8000, "more_images": 2},
    {"more_images": 129, "n_y": 1, "n_x": 1},
    {"n_x": 300, "n_y": 1},
    {"n_y": 300, "n_x": 1},
    {"n_kx": 255},
    {"n_ky": 255, "step_ky": 3},
    {"n_cb": 260, "step_cb": 3},
    {"base": 0xFFFF, "n_kx": 2},
    {"x0": -0x8000, "stride_x": 255, "n_x": 150, "n_y": 1},
    {"y0": -0x8000, "stride_y": 255, "n_y": 150, "n_x": 1},
    {"x0": 0x7FFF, "stride_x": 255, "n_x": 140, "n_y": 1},
    {"y0": 0x7FFF, "stride_y": 255, "n_y": 140, "n_x": 1},
    {"x0": 0x7FFF, "in_w": 0x8001, "n_x": 3},
    {"y0": 0x7FFF, "in_h": 0x8001, "n_y": 3},
    {"pad": 128, "in_w": 1},
    {"pad": 127, "in_h": 1},
]


@pytest.mark.parametrize("wide", WIDE, ids=lambda wide: "-".join(wide))
def test_highest_bits_of_fields(wide: dict[str, int]) -> None:
    """Consecutive words of one descriptor with the largest field values."""
    d = {**SMALL, **wide}
    expected = list(words(d))
    dut = AddressGenerator(psum_words=512)
    got: list[Word] = []

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.weights, 1)
        ctx.set(dut.bank, 1)
        ctx.set(dut.i.payload, d)
        ctx.set(dut.i.valid, 1)
        done = 0
        while len(got) < len(expected) or not done:
            _, _, taken, ended, o = await ctx.tick().sample(dut.i.ready, dut.done, dut.o)
            done |= ended
            if taken:
                ctx.set(dut.i.valid, 0)
            if o.valid:
                want = expected[len(got)]
                got.append(Word.seen(plain(o), begins_tile=want.begins_tile, final=want.final))
                assert got[-1] == want

    run(dut, testbench)


@pytest.mark.parametrize("simulator", runner.SIMULATORS)
def test_in_cocotb(simulator: str) -> None:
    runner.run(
        AddressGenerator(psum_words=40),
        "penstock.sim.bench.im2col",
        simulator=simulator,
        parameters={"psum_words": 40, "tiles": 16},
    )
