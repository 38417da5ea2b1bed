"""The arches of a sweep: a base, and every combination of varied parameters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from penstock.models.spec.arch import Arch, lanes_for

__all__ = ["VARIED", "Space", "arches"]

# Parameters that a sweep may vary besides the array, in the order of `Arch`.
VARIED = ("act_words", "psum_words", "out_words", "wgt_words", "drain_lanes", "lrn_lanes")


@dataclass(frozen=True)
class Space:
    """The arches of a sweep.

    Parameters
    ----------
    arches : list of Arch
        Each once.
    impossible : list of (str, str)
        Unsupported combinations, with the reason.
    """

    arches: list[Arch]
    impossible: list[tuple[str, str]]


def arches(
    base: Arch,
    sizes: Sequence[tuple[int, int]],
    lists: Mapping[str, Sequence[int]],
) -> Space:
    """Return every combination of array sizes and of the values in `lists`.

    Lanes that are not in `lists` are the base's if they fit the array, otherwise those of an arch
    by name; a weight FIFO that is not in `lists` is at least as deep as the array needs.

    Parameters
    ----------
    base : Arch
        Values of the parameters that are not varied.
    sizes : sequence of (int, int)
        Rows and columns; none: the base's.
    lists : mapping of str to sequence of int
        Values by parameter, for some of `VARIED`.
    """
    found: dict[int, Arch] = {}
    impossible = []
    names = [name for name in VARIED if name in lists]
    for rows, cols in sizes or [(base.rows, base.cols)]:
        for values in itertools.product(*(lists[name] for name in names)):
            chosen = dict(zip(names, values))
            words = [f"{name} {value}" for name, value in chosen.items()]
            what = ", ".join([f"{rows}x{cols}", *words])
            lanes = base.drain_lanes
            if rows % lanes or cols % lanes:
                lanes = lanes_for(rows, cols)
            lrn = base.lrn_lanes
            if lrn and rows % lrn:
                lrn = lanes_for(rows)
            depth = base.wgt_words
            while depth < 2 * rows:
                depth *= 2
            given = {"drain_lanes": lanes, "lrn_lanes": lrn, "wgt_words": depth, **chosen}
            try:
                arch = replace(base, name=_name(rows, cols, chosen), rows=rows, cols=cols, **given)
            except ValueError as error:
                impossible.append((what, str(error)))
                continue
            found.setdefault(arch.fingerprint, arch)
    return Space(list(found.values()), impossible)


_SHORT = {
    "act_words": "a",
    "psum_words": "p",
    "out_words": "o",
    "wgt_words": "w",
    "drain_lanes": "d",
    "lrn_lanes": "l",
}


def _name(rows: int, cols: int, chosen: Mapping[str, int]) -> str:
    """Such as ``8x8-a4096-d2``: the array and the varied parameters."""
    return "-".join([f"{rows}x{cols}", *(f"{_SHORT[key]}{value}" for key, value in chosen.items())])
