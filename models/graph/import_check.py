"""What the check of an imported network against an outside judge found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ImportCheck", "ImportMismatch", "UNVERIFIED"]


class ImportMismatch(Exception):
    """An imported network computes something else than the file says."""


@dataclass(frozen=True, kw_only=True)
class ImportCheck:
    """A comparison of a network with the file that it was read from.

    Parameters
    ----------
    judge : str
        What the file was run with, and its version; empty if nobody was asked.
    inputs : int
        How many inputs both were given.
    maps : int
        How many tensors of the file were compared on each of them.
    largest : float
        The largest difference of a value: in steps of the map's scale for a quantised file,
        relative to the largest value of the map for a float one.
    unit : str
        ``"steps"`` or ``"relative"``.
    """

    judge: str
    inputs: int = 0
    maps: int = 0
    largest: float = 0.0
    unit: str = "relative"

    def __str__(self) -> str:
        if not self.judge:
            return "not compared with the file (--no-verify)"
        far = (
            f"{self.largest:.2g} steps"
            if self.unit == "steps"
            else f"{self.largest:.1g} (relative)"
        )
        return (
            f"{self.maps} maps compared with {self.judge} on {self.inputs} inputs, largest "
            f"difference {far}"
        )


UNVERIFIED = ImportCheck(judge="")
