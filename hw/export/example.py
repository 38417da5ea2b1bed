"""The example's program: memory before, memory after, and what else its testbench must know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.models.spec.arch import Arch
from penstock.models.spec.memory import PAGE_BYTES
from penstock.models.spec.regs import MAGIC, REGISTERS

__all__ = ["Example", "example_files"]

_WORD = 8


@dataclass(frozen=True, kw_only=True)
class Example:
    """A program that ran in somebody's mind.

    Parameters
    ----------
    what : str
        What it computes, for people.
    arena : NDArray[uint8]
        The program with its input, shape (arena bytes,).
    expected : NDArray[uint8]
        The same after the run, where `mask` is not 0.
    mask : NDArray[uint8]
        Not 0 for each byte of the output maps.
    desc_offset, desc_count : int
        Where its descriptors are, and how many.
    cycles : int
        Predicted.
    """

    what: str
    arena: NDArray[np.uint8]
    expected: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    desc_offset: int
    desc_count: int
    cycles: int


def _hex(data: NDArray[np.uint8]) -> str:
    """Words for $readmemh, from a page of zeros on: the arena is not at address 0."""
    padded = np.zeros(PAGE_BYTES + -(-len(data) // PAGE_BYTES) * PAGE_BYTES, np.uint8)
    padded[PAGE_BYTES : PAGE_BYTES + len(data)] = data
    return "".join(f"{word:016x}\n" for word in padded.view("<u8"))


def _defines(values: dict[str, int]) -> str:
    return "".join(f"`define {name} 32'h{value:08x}\n" for name, value in values.items())


def example_files(example: Example, arch: Arch) -> dict[str, str]:
    """Return the files that the testbench reads, by name."""
    program = _hex(example.arena)
    words = len(program.splitlines())
    values = {
        "PROGRAM_WORDS": words,
        "PROGRAM_BASE": PAGE_BYTES,
        "PROGRAM_DESC_ADDR": example.desc_offset,
        "PROGRAM_DESC_COUNT": example.desc_count,
        "PROGRAM_FINGERPRINT_LO": arch.fingerprint & 0xFFFF_FFFF,
        "PROGRAM_FINGERPRINT_HI": arch.fingerprint >> 32,
        # The examples' memories are slower than the predictions': one burst at a time.
        "PROGRAM_LIMIT": 20 * example.cycles + 100_000,
    }
    registers = {f"PENSTOCK_{register.name}": register.offset for register in REGISTERS}
    offsets = "".join(f"`define {name} 14'h{value:04x}\n" for name, value in registers.items())
    return {
        "program.hex": program,
        "expected.hex": _hex(example.expected),
        "mask.hex": _hex(example.mask),
        "program.vh": f"// {example.what}\n" + _defines(values),
        "registers.vh": offsets + _defines({"PENSTOCK_ID_VALUE": MAGIC}),
    }
