"""Reference pages in Markdown, generated from the tables of instruction set and registers."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.models.spec.isa import CHECK_BYTES, DESCRIPTOR_BYTES, FIELDS, Dest
from penstock.models.spec.isa_pseudocode import PSEUDOCODE, RULES
from penstock.models.spec.regs import ERROR_SOURCES, LOG_BASE, LOG_FIELDS, REGISTERS, ErrorCause

__all__ = ["isa_markdown", "registers_markdown"]

_GENERATED = "<!-- Made by `make docs` from models/spec/{}: edit that. -->"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    lines = [list(heads), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return ["| " + " | ".join(line) + " |" for line in lines]


def isa_markdown() -> str:
    """Return a page with what each engine does, and the bit fields of its descriptor."""
    lines = [
        _GENERATED.format("isa.py and models/spec/isa_pseudocode.py"),
        "# Instruction set",
        "",
        f"A program is an array of {DESCRIPTOR_BYTES}-byte descriptors. The core fetches them in "
        "order and hands them to five engines, each with a queue of its own. An engine executes "
        "its own descriptors in order; engines run concurrently.",
        "",
    ]
    lines += [
        *_table(
            ("engine", "op", "what one descriptor does"),
            (
                (f"[{op.name}](#{op.name.lower()})", str(int(op)), PSEUDOCODE[op].summary)
                for op in FIELDS
            ),
        ),
        "",
    ]
    for title, text in RULES.items():
        lines += [f"## {title}", "", text, ""]
    lines += [
        "## Encoding",
        "",
        "Descriptors are little endian. The fields in the tables below are packed from bit 0 on "
        f"without gaps; bits that are left are 0; bytes {DESCRIPTOR_BYTES - CHECK_BYTES} to "
        f"{DESCRIPTOR_BYTES - 1} are the checksum. In the loops, names are fields, `rows`, `cols` "
        "and `drain_lanes` are the arch's, and `for p < n` counts from 0 to n - 1.",
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
        pseudocode = PSEUDOCODE[op]
        lines += [
            f"## {op.name}",
            "",
            f"{pseudocode.summary[0].upper()}{pseudocode.summary[1:]}.",
            "",
        ]
        lines += ["```text", pseudocode.loops, "```", "", pseudocode.notes, ""]
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
