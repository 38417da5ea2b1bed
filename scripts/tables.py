"""Write the generated documentation: docs/isa.md, docs/registers.md, the table of proofs in
docs/verification.md, and tree and targets in CONTRIBUTING.md: ``make docs``.
"""

from __future__ import annotations

from pathlib import Path

from penstock.models.spec.reference_pages import isa_markdown, registers_markdown
from penstock.sim.formal.catalog import with_proofs
from scripts.contributing import with_targets, with_tree

__all__ = ["main", "pages"]

ROOT = Path(__file__).resolve().parent.parent


def pages() -> dict[Path, str]:
    """Return the contents of every generated page."""
    docs = ROOT / "docs"
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    verification = (docs / "verification.md").read_text(encoding="utf-8")
    return {
        docs / "isa.md": isa_markdown(),
        docs / "registers.md": registers_markdown(),
        docs / "verification.md": with_proofs(verification),
        ROOT / "CONTRIBUTING.md": with_tree(with_targets(contributing, makefile), ROOT),
    }


def main() -> None:
    """Write the files."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
