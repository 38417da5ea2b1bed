# amaranth: UnusedElaboratable=no
"""The activation address generator: its words against the loops of the ISA."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hw.im2col import AddressGenerator, issue_layout
from sim import bench
from sim.bench_im2col import random_descriptor, words
from tests.test_conv import reference


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
    """The bench's words, multiplied and added up, are what the CONV engine is tested against."""
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


@pytest.mark.parametrize("simulator", bench.SIMULATORS)
def test_in_cocotb(simulator: str) -> None:
    bench.run(
        AddressGenerator(psum_words=40),
        "sim.bench_im2col",
        simulator=simulator,
        parameters={"psum_words": 40, "tiles": 16},
    )
