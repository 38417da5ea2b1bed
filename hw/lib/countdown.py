"""A count of what is left, with a register that says whether it is at its end."""

from __future__ import annotations

from amaranth import Module, ShapeLike, Signal, Value

__all__ = ["Countdown"]


class Countdown:
    """Counts down; its last step is known without a comparison in that cycle.

    The flag usually gates what happens next, such as the next address; so it is compared a step
    ahead.  (`hw.lib.split_counter.counted_down` is for counts too long for one sum.)

    Parameters
    ----------
    m : Module
        Gets the registers.
    shape : ShapeLike
        Of the count, unsigned.
    name : str
    end : int
        The count at which `last` is set: 1 if what is being done counts, 0 if only what follows it
        does.
    reset_less : bool
        Of the registers.

    Attributes
    ----------
    left : Signal
    last : Signal
        Always ``left == end``, from the first `load` or `step` on.
    """

    def __init__(
        self, m: Module, shape: ShapeLike, *, name: str, end: int, reset_less: bool = True
    ) -> None:
        self._m = m
        self._end = end
        self.left = Signal(shape, name=f"{name}_left", reset_less=reset_less)
        self.last = Signal(name=f"last_{name}", reset_less=reset_less)

    def load(self, count: Value, *, last: Value | None = None) -> None:
        """Begin with `count`, where the module's conditions hold.

        `last` says whether that is the end, if it can be said with less logic than a comparison.
        """
        self._m.d.sync += [
            self.left.eq(count),
            self.last.eq(count == self._end if last is None else last),
        ]

    def step(self) -> None:
        """Count one less, where the module's conditions hold."""
        self._m.d.sync += [
            self.left.eq(self.left - 1),
            self.last.eq(self.left == self._end + 1),
        ]
