"""The names of the 1000 ImageNet (ILSVRC 2012) classes, in the order every trained network uses.

The file's origin and licence are in ``imagenet_labels_license.txt`` beside it.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["class_labels", "imagenet_labels"]

_FILE = Path(__file__).with_name("imagenet_labels.txt")


def imagenet_labels() -> tuple[str, ...]:
    """Return the 1000 names, class 0 (tench) first."""
    return tuple(_FILE.read_text(encoding="utf-8").splitlines())


def class_labels(classes: int) -> tuple[str, ...]:
    """Return ImageNet's names for 1000 classes, ``class 0`` and so on for any other number."""
    names = imagenet_labels()
    return names if classes == len(names) else tuple(f"class {i}" for i in range(classes))
