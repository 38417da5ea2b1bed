"""Timing policy: measures for place and route alone, and the boards that use them.

Some hardware only shortens the clock period: duplicated registers, so that no net has sinks all
over the chip, and sums in two halves, so that no carry chain is long.  A `TimingPolicy` says
whether a design has them.  None of its choices changes what any block does in any cycle, so
programs, predictions and tests are the same for all.

A policy is handed down in the argument `platform` of `elaborate`, which Amaranth gives to every
block inside; `policy_of` reads it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth import Elaboratable, ShapeLike, Signal
from amaranth.hdl import Fragment

__all__ = ["FAST", "SMALL", "TimingPolicy", "policy_of"]


@dataclass(frozen=True, kw_only=True)
class TimingPolicy:
    """Cells for clock frequency.

    Parameters
    ----------
    duplicates : bool
        Keep registers apart that are equal to each other (see `duplicate`).
    split_sums : bool
        Make long sums in two halves, the upper one following a cycle later.
    """

    duplicates: bool
    split_sums: bool

    def __call__(self, block: Elaboratable) -> Elaboratable:
        """Return `block`, which has this policy with all that is inside it."""
        return _WithPolicy(block, self)

    def duplicate(self, shape: ShapeLike = 1, *, name: str, **options: Any) -> Signal:
        """Return a register that is equal to another one, for some of that one's sinks.

        For sinks that are many, or far from each other on the chip.  Synthesis would make one of
        the two; with `duplicates`, the attribute that `hw.flow.synthesis` goes by keeps both.

        Parameters
        ----------
        shape, name, options
            Of the `Signal`.
        """
        return Signal(shape, name=name, attrs={"keep": 1} if self.duplicates else {}, **options)


# For chips with more cells than time: the PYNQ's at 130 MHz, the ULX3S's at 90 MHz.
FAST = TimingPolicy(duplicates=True, split_sums=True)
# For chips with more time than cells: the Tang Nano's at 54 MHz.
SMALL = TimingPolicy(duplicates=False, split_sums=False)


def policy_of(platform: object) -> TimingPolicy:
    """Return the policy that was handed down; `FAST` if none was."""
    return platform if isinstance(platform, TimingPolicy) else FAST


class _WithPolicy(Elaboratable):
    def __init__(self, block: Elaboratable, policy: TimingPolicy) -> None:
        self._block = block
        self._policy = policy

    def elaborate(self, platform: object) -> Fragment:
        return Fragment.get(self._block, self._policy)
