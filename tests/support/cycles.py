"""Cycles of small programs, with memories of three kinds: ``python -m tests.support.cycles``.

The simulation is deterministic, so any change of a run time fails here.  If it is intended, save
the command's output as ``tests/support/cycles.json``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.rtl_model import PROFILE, Profile
from penstock.models.spec.arch import get_arch
from tests.support.targets import load_targets

__all__ = ["RECORDED", "measure"]

RECORDED = Path(__file__).parent / "cycles.json"

_MEMORIES = {
    "ideal": Profile(latency=0, stall_per_mille=0),
    "usual": PROFILE,
    "bad": Profile(latency=90, stall_per_mille=300, seed=3, jitter=30, refuse_per_mille=300),
}


def measure() -> dict[str, Any]:
    """Counters of a run of each program with each memory, and the program's SHA-256."""
    result: dict[str, Any] = {}
    with RtlDevice(get_arch("tiny"), memory_bytes=1 << 20) as device:
        for index, target in enumerate(load_targets(device)):
            counters = {}
            for name, profile in _MEMORIES.items():
                device.profile = profile
                target.prepare(device.memory, 0, 0)
                device.run(target.program, target.buffer)
                counters[name] = device.counters()
            result[f"{index} {target.network.name}"] = {
                "program": hashlib.sha256(target.program.image).hexdigest()[:16],
                "counters": counters,
            }
    return result


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
