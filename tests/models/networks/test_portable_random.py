"""Random numbers that are the same with every version of NumPy."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from penstock.models.networks import portable_random
from penstock.models.networks.portable_random import PortableRandom


def test_these_are_the_numbers() -> None:
    """With NumPy 1.21 as with 2.4: `make test-board` runs this too."""
    random = PortableRandom(0)
    assert random.integers(0, 256, (6,)).tolist() == [163, 69, 10, 4, 208, 233]
    assert random.normal((3,)).round(3).tolist() == pytest.approx([0.560, 0.608, 0.445], abs=1e-6)
    digest = hashlib.sha256(random.normal((1 << 18,)).astype("<f4").tobytes()).hexdigest()
    assert digest[:16] == "e9f5bdf2041927e1"


def test_pcg64_as_its_authors_define_it() -> None:
    """The 128-bit step and the output function, in integers (O'Neill 2014), from NumPy's seed."""
    bits = np.random.PCG64(7)
    state, step = (int(bits.state["state"][name]) for name in ("state", "inc"))
    for word in bits.random_raw(50).tolist():
        state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + step) % (1 << 128)
        folded, turn = (state >> 64) ^ (state & (1 << 64) - 1), state >> 122
        assert word == (folded >> turn | folded << (64 - turn)) & (1 << 64) - 1


def test_normal_numbers_are_nearly_normal() -> None:
    values = PortableRandom(3).normal((400, 500)).astype(np.float64)
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01
    # The shares within one, two and three deviations: 68.3, 95.4 and 99.7 % of normal numbers.
    shares = [float((np.abs(values) < limit).mean()) for limit in (1, 2, 3)]
    assert shares == pytest.approx([0.683, 0.954, 0.997], abs=0.01)
    assert np.abs(values).max() < 4.9
    # Neighbours have nothing to do with each other.
    assert abs((values[:, 1:] * values[:, :-1]).mean()) < 0.01


def test_integers_are_spread_evenly() -> None:
    values = PortableRandom(4).integers(-20, 21, (410, 100))
    counts = np.bincount(values.reshape(-1) + 20)
    assert len(counts) == 41
    assert counts.min() > 800
    assert counts.max() < 1200


@pytest.mark.parametrize("ends", [(3, 3), (5, 2), (0, 1 << 31)])
def test_impossible_ranges_are_refused(ends: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="high must be"):
        PortableRandom(0).integers(*ends, (1,))


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    want = PortableRandom(9).normal((1000,))
    monkeypatch.setattr(portable_random, "_WORDS", 7)
    assert PortableRandom(9).normal((1000,)).tobytes() == want.tobytes()
