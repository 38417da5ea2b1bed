"""What the floorplans of all devices have in common: who chooses a place, and when."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

__all__ = ["Memories", "nearest", "numbered"]

_At = TypeVar("_At")
# Sorts: of equally near places the first one is taken.
_Place = TypeVar("_Place", bound=tuple[object, ...])


class Memories(Generic[_At]):
    """Where memories belong, by their names.

    Parameters
    ----------
    near : sequence of (str, place)
        A pattern for names, and the place that memories with such names want to be near; the first
        that fits counts, and the last one must fit all.  Memories choose in this order.
    """

    def __init__(self, near: Sequence[tuple[str, _At]]) -> None:
        self._near = near

    def near(self, name: str) -> _At:
        """The place that a memory wants to be near."""
        return self._near[self._turn(name)][1]

    def order(self, name: str) -> tuple[int, list[str | int]]:
        """Key that sorts names in the order in which memories choose."""
        return self._turn(name), numbered(name)

    def _turn(self, name: str) -> int:
        return next(k for k, (pattern, _) in enumerate(self._near) if re.search(pattern, name))


def nearest(
    free: Iterable[_Place],
    to: tuple[float, float],
    *,
    at: Callable[[_Place], tuple[float, float]],
) -> _Place:
    """Return the place that is nearest to a point; the first one of several, as they sort.

    Parameters
    ----------
    free : iterable of tuple
        Places that may be taken.
    to : (float, float)
        A column and a row.
    at : callable
        Gives a place's column and row.  Wires go along them, so the distance is their sum.

    Raises
    ------
    ValueError
        If there is none.
    """

    def distance(place: _Place) -> tuple[float, _Place]:
        x, y = at(place)
        return abs(x - to[0]) + abs(y - to[1]), place

    places = list(free)
    if not places:
        raise ValueError("no place is left")
    return min(places, key=distance)


def numbered(name: str) -> list[str | int]:
    """Key that sorts names by the numbers in them."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
