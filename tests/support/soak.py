"""Soak test: many inferences in sequence on one device, each equal to the first.

Programs and inputs of `tests.support.targets` are mixed at random, and every run has another memory
timing.

``python -m tests.support.soak COUNT SEED`` runs COUNT inferences on each of several arrays.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

import numpy as np

from penstock.host.devices.rtl import RtlDevice
from penstock.models.spec.arch import get_arch
from tests.support.targets import INPUTS, load_targets, random_profile

__all__ = ["ARRAYS", "soak"]

# Two of them are not square, and 6 rows are not a power of two.
ARRAYS = ("tiny", "4x8", "6x4")
MEMORY = 1 << 20


def soak(arch: str, count: int, seed: int) -> Counter[str]:
    """Run `count` inferences after the first ones; return the number for each network.

    The first ones are compared with the golden model, the others with them, byte for byte; memory
    that programs do not write must be unchanged.

    Raises
    ------
    AssertionError
        At the first difference; the message has the number of the inference.
    """
    rng = np.random.default_rng(seed)
    done = Counter[str]()
    with RtlDevice(get_arch(arch), memory_bytes=MEMORY) as device:
        targets = load_targets(device)
        for number in range(count):
            target = targets[int(rng.integers(len(targets)))]
            choice = int(rng.integers(INPUTS))
            device.profile = random_profile(rng)
            target.prepare(device.memory, choice, int(rng.integers(256)))
            before = device.memory.copy()
            device.run(target.program, target.buffer)
            what = f"{arch}, seed {seed}: inference {number}, of {target.network.name}"
            assert (target.found(device.memory) == target.results[choice]).all(), what
            for part in target.written:
                before[part] = device.memory[part]
            assert (device.memory == before).all(), f"{what}: other bytes changed"
            done[target.network.name] += 1
    return done


def main(count: int, seed: int) -> None:
    """Run `count` inferences on each array."""
    for arch in ARRAYS:
        begin = time.monotonic()
        done = soak(arch, count, seed)
        networks = ", ".join(f"{name} {number}" for name, number in sorted(done.items()))
        print(
            f"{arch}: {count} inferences after the first ones ({networks}), all identical;", end=""
        )
        print(f" seed {seed}, {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
