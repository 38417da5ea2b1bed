"""Links that make a checkout importable as a package without installing it.

Used where the installed package must not be imported: in copies of the tree with a mutant, and by
type checkers, which do not follow the import hook of an editable installation.  ``python -m
penstock.sim.library.package_links ROOT FOLDER``
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["link_package"]

_FOLDERS = ("hw", "host", "models", "sim")


def link_package(root: Path, folder: Path) -> Path:
    """Make ``FOLDER/penstock`` of the checkout at `root`; return `folder`, to be put on the path.

    Existing links are kept.
    """
    package = folder / "penstock"
    package.mkdir(parents=True, exist_ok=True)
    root = root.resolve()
    targets = [root / name for name in _FOLDERS]
    targets += [path for path in (root / "host" / "penstock").iterdir() if path.is_file()]
    for target in targets:
        link = package / target.name
        if not link.is_symlink():
            link.symlink_to(target)
    return folder


if __name__ == "__main__":
    link_package(Path(sys.argv[1]), Path(sys.argv[2]))
