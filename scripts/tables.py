"""Write docs/isa.md and docs/registers.md from the tables in `models`: ``make docs``."""

from __future__ import annotations

from pathlib import Path

from models.docs import isa_markdown, registers_markdown

__all__ = ["main"]

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Write the files."""
    (DOCS / "isa.md").write_text(isa_markdown(), encoding="utf-8")
    (DOCS / "registers.md").write_text(registers_markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
