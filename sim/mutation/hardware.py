"""Writes the core NAME of this tree to FILE, for `sim.mutation.equivalence`: ``python -m``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from amaranth.back import rtlil

from penstock.hw.array.packed import PackedArray
from penstock.hw.core.accel import Accel
from penstock.models.spec.arch import ARCHES, get_arch

__all__ = ["CORES", "main"]

# Those of simulations and boards, and one with few equal sizes; the quickest first.
CORES: Mapping[str, Callable[[], Accel]] = {
    "tiny": lambda: Accel(arch=ARCHES["tiny"]),
    "6x4": lambda: Accel(arch=get_arch("6x4")),
    "tang-nano-20k": lambda: Accel(arch=ARCHES["tang-nano-20k"], domain="engines", slices=False),
    "ulx3s-85f": lambda: Accel(arch=ARCHES["ulx3s-85f"], domain="engines", act_lanes=12),
    "pynq-z2": lambda: Accel(arch=ARCHES["pynq-z2"], array=PackedArray, domain="engines"),
    "lab": lambda: Accel(arch=ARCHES["lab"]),
}


def main() -> None:
    """Write the core NAME into FILE, as RTLIL."""
    path, name = sys.argv[1:]
    core = CORES[name]()
    text = rtlil.convert(core, name="top", emit_src=False)
    Path(path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
