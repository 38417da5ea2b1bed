"""Coverage of descriptor fields by classes of values.

=========  ========================================  ======================================
kind       fields                                    classes
=========  ========================================  ======================================
few        those with at most four values            each value
signed     first row and column of a window          negative, zero, positive
address    words of a buffer                         zero, middle, last: the buffer's last
count      all others                                zero where it may be, one, more, max
=========  ========================================  ======================================

Plane strides are counted in beats.  `max` is the largest value that the arch has room for, or that
a field of at most 8 bits holds.  Counts limited only by a wider field have no such class: the tests
of the blocks cover their full width.  Addresses in memory have no classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from penstock.models.golden.fixed import LRN_TABLE_PAIRS
from penstock.models.spec.arch import Arch
from penstock.models.spec.isa import FIELDS, Dest, Field, Op

__all__ = ["FieldCounts", "classes"]

_FEW: dict[tuple[Op, str], tuple[str, ...]] = {
    (Op.LOAD, "dest"): tuple(dest.name for dest in Dest),
    (Op.POST, "kernel"): ("1", "2", "3"),
    (Op.POST, "next_channels"): ("0", "1", "2"),
}
_ADDRESSES = {(op, "base") for op in (Op.LOAD, Op.CONV, Op.DRAIN, Op.POST)} | {
    (Op.POST, "halo_base")
}
# Counts that are at least 1.
_POSITIVE = {
    *("row_words", "row_beats", "plane_beats", "planes", "blocks", "beats", "n_cb", "n_ky", "n_kx"),
    *("n_y", "n_x", "stride_y", "stride_x", "stride", "in_h", "in_w", "lane_groups", "count"),
    *("channels", "out_h", "out_w", "lrn_shift"),
}
# Programs can reach the maximum of a field of at most this many bits.
_NARROW = 8
# Fields limited by the arch, and their limits.
_BOUNDED: dict[tuple[Op, str], Callable[[Arch], int]] = {
    (Op.CONV, "n_y"): lambda arch: arch.psum_words,
    (Op.CONV, "n_x"): lambda arch: arch.psum_words,
    (Op.CONV, "more_images"): lambda arch: arch.psum_words - 1,
    (Op.DRAIN, "offset"): lambda arch: arch.rows - 1,
    (Op.DRAIN, "lane_groups"): lambda arch: arch.cols // arch.drain_lanes,
    (Op.DRAIN, "count"): lambda arch: arch.psum_words,
    (Op.POST, "channels"): lambda arch: arch.rows,
}


def classes(op: Op, field: Field) -> tuple[str, ...]:
    """The classes of a field, in ascending order; none for addresses in memory."""
    key = (op, field.name)
    if key in _FEW:
        return _FEW[key]
    if field.name == "mem":
        return ()
    if field.width == 1:
        return ("0", "1")
    if field.signed:
        return ("negative", "zero", "positive")
    if key in _ADDRESSES:
        return ("zero", "middle", "last")
    zero = () if field.name in _POSITIVE else ("zero",)
    bounded = field.width <= _NARROW or key in _BOUNDED
    return (*zero, "one", "more", *(("max",) if bounded else ()))


def _largest(op: Op, field: Field, values: Mapping[str, int], arch: Arch) -> int | None:
    """The largest value that a program for `arch` can have; None: the field is the only limit."""
    if op is Op.LOAD and field.name == "base":
        table = LRN_TABLE_PAIRS
        return (arch.act_words, arch.out_words, table, 0)[values["dest"]] - 1
    if (op, field.name) in _ADDRESSES:
        return (arch.act_words if op is Op.CONV else arch.out_words) - 1
    if (op, field.name) in _BOUNDED:
        return _BOUNDED[op, field.name](arch)
    return (1 << field.width) - 1 if field.width <= _NARROW else None


def _seen(op: Op, field: Field, values: Mapping[str, int], arch: Arch) -> Iterator[str]:
    """Yield the classes of a value, which may be several: 1 may be `one` and `max`."""
    value, kinds = values[field.name], classes(op, field)
    if field.name == "plane_stride":
        value //= arch.bus_bytes
    if not kinds:
        return
    if kinds[0] in ("0", "1", Dest.ACT.name):
        index = value - (kinds[0] == "1")
        if 0 <= index < len(kinds):
            yield kinds[index]
        return
    if field.signed:
        yield kinds[(value >= 0) + (value > 0)]
        return
    largest = _largest(op, field, values, arch)
    if value == largest:
        yield kinds[-1]
    if value == 0 and "zero" in kinds:
        yield "zero"
    elif value == 1 and "one" in kinds:
        yield "one"
    elif value != largest and value > 0:
        yield "middle" if "middle" in kinds else "more"


class FieldCounts:
    """Counts descriptors by the class of each of their fields.

    Attributes
    ----------
    counts : Counter
        Descriptors by ``ENGINE.field.class``.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, descriptors: Iterable[tuple[Op, Mapping[str, int]]], arch: Arch) -> None:
        """Count a program's descriptors, each given as engine and values of its fields."""
        for op, values in descriptors:
            for field in FIELDS[op][1:]:
                for kind in _seen(op, field, values, arch):
                    self.counts[f"{op.name}.{field.name}.{kind}"] += 1

    def rows(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield each field's name, and how often each of its classes was seen."""
        for op, fields in FIELDS.items():
            for field in fields[1:]:
                name = f"{op.name}.{field.name}"
                kinds = classes(op, field)
                if kinds:
                    yield name, {kind: self.counts[f"{name}.{kind}"] for kind in kinds}
