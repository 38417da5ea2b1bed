"""Write docs/isa.md, docs/registers.md and the table of proofs in docs/verification.md from the
tables in `models` and `sim.formal`: ``make docs``.
"""

from __future__ import annotations

from pathlib import Path

from penstock.models.spec.reference_pages import isa_markdown, registers_markdown
from penstock.sim.formal.catalog import with_proofs

__all__ = ["main"]

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Write the files."""
    (DOCS / "isa.md").write_text(isa_markdown(), encoding="utf-8")
    (DOCS / "registers.md").write_text(registers_markdown(), encoding="utf-8")
    page = DOCS / "verification.md"
    page.write_text(with_proofs(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
