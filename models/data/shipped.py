"""Folders of the files that ship with the package."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PHOTOS", "SAMPLES", "TRAINED"]

_HERE = Path(__file__).resolve().parent

PHOTOS = _HERE / "photos"  # photographs, for calibration and examples
SAMPLES = _HERE / "samples"  # pictures with a QR code
TRAINED = _HERE / "trained"  # saved networks (`models.graph.store`) and the screening model
