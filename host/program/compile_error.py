"""The compiler's error."""

from __future__ import annotations

__all__ = ["CompileError"]


class CompileError(ValueError):
    """A network does not fit the accelerator: one line that names the layer, need and capacity."""
