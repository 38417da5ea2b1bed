"""The instruction set and the registers as Markdown: documentation from the tables themselves."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.models.spec.isa import CHECK_BYTES, DESCRIPTOR_BYTES, FIELDS, Dest
from penstock.models.spec.regs import ERROR_SOURCES, LOG_BASE, LOG_FIELDS, REGISTERS, ErrorCause

__all__ = ["isa_markdown", "registers_markdown"]

_GENERATED = "<!-- Made by `make docs` from models/spec/{}: edit that. -->"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [list(heads), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return ["| " + " | ".join(line) + " |" for line in lines]


def isa_markdown() -> str:
    """Return a page with the bit fields of every engine's descriptor."""
    lines = [
        _GENERATED.format("isa.py"),
        "# Descriptors",
        "",
        f"A descriptor has {DESCRIPTOR_BYTES} bytes, little endian; fields are packed from bit 0 "
        f"on without gaps; bytes {DESCRIPTOR_BYTES - CHECK_BYTES} to {DESCRIPTOR_BYTES - 1} are "
        "the CRC-32 of those before, and the core refuses a descriptor whose checksum is wrong. "
        "What each engine does with them, loop by loop, is said in "
        "[models/spec/isa.py](../models/spec/isa.py). Memory addresses are byte offsets from the "
        "register BASE. A descriptor starts when each engine it waits for has completed at least "
        "that many descriptors since the start.",
        "",
    ]
    for op, fields in FIELDS.items():
        rows = []
        lsb = 0
        for field in fields:
            kind = "signed" if field.signed else "unsigned"
            bits = f"{lsb + field.width - 1}..{lsb}" if field.width > 1 else f"{lsb}"
            rows.append((f"`{field.name}`", bits, kind, field.doc))
            lsb += field.width
        lines += [f"## {op.name} (op {int(op)})", ""]
        lines += [*_table(("field", "bits", "type", "meaning"), rows), ""]
    lines += ["## Destinations of LOAD", ""]
    lines += _table(("value", "destination"), ((str(int(d)), d.name) for d in Dest))
    return "\n".join(lines) + "\n"


def registers_markdown() -> str:
    """Return a page with every register and its fields, and the layer log."""
    lines = [
        _GENERATED.format("regs.py"),
        "# Registers",
        "",
        "32-bit registers on AXI4-Lite. Reading has no side effect; every address answers, unknown "
        "ones read 0 and ignore writes. `ro` is written by the hardware, `rw` by the host, writing "
        "`wo` acts.",
        "",
    ]
    rows = []
    for register in REGISTERS:
        rows.append(
            (f"`{register.name}`", f"0x{register.offset:02X}", register.access, register.doc)
        )
        for field in register.fields:
            top = field.lsb + field.width - 1
            bits = f"bit {top}" if field.width == 1 else f"bits {top}..{field.lsb}"
            rows.append((f"  `.{field.name}`", bits, "", field.doc))
    lines += [*_table(("register", "offset", "access", "meaning"), rows), ""]
    lines += ["## Causes in ERROR", ""]
    lines += [*_table(("value", "cause"), ((str(int(c)), c.name) for c in ErrorCause)), ""]
    lines += [f"Sources: {', '.join(f'{i} {name}' for i, name in enumerate(ERROR_SOURCES))}.", ""]
    size = 4 * len(LOG_FIELDS)
    lines += [
        "## Layer log",
        "",
        f"From 0x{LOG_BASE:04X} on: {size} bytes for each layer of the program, one word for each "
        "counter, as it stood when the layer's last POST descriptor was complete.",
        "",
    ]
    words = ((f"0x{4 * i:02X}", f"`{name}`", doc) for i, (name, doc) in enumerate(LOG_FIELDS))
    lines += _table(("word", "counter", "meaning"), words)
    return "\n".join(lines) + "\n"
