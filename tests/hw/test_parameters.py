# amaranth: UnusedElaboratable=no
"""Constructors of the core's blocks: minimum values work, smaller ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from amaranth import Module, Signal
from amaranth.hdl import Fragment

from penstock.hw.array.dsp48 import MultiplyAdd
from penstock.hw.array.loader import WeightLoader
from penstock.hw.array.packed import PackedArray, PackedCell
from penstock.hw.array.pe import ProcessingElement
from penstock.hw.array.psum import PartialSums
from penstock.hw.array.systolic import SystolicArray
from penstock.hw.bus.dma import ReadDma, WriteDma
from penstock.hw.core.accel import Accel
from penstock.hw.core.counters import Counters
from penstock.hw.core.layer_log import LayerLog
from penstock.hw.engines.drain import ParameterMemory
from penstock.hw.engines.im2col import AddressGenerator
from penstock.hw.engines.lrn import LrnLanes
from penstock.hw.engines.pool import MaxPool
from penstock.hw.engines.post_scan import PostScan
from penstock.hw.lib.buffer import Buffer
from penstock.hw.lib.delay import delayed
from penstock.hw.lib.fifo import Fifo
from penstock.hw.lib.stream import Downsizer, Upsizer
from penstock.models.spec.arch import get_arch

Make = Callable[[Any], Any]

# Parameter, smallest valid value, largest invalid value, other arguments.
LEAST: list[tuple[str, int, int, Make]] = [
    ("rows", 1, 0, lambda v: SystolicArray(rows=v, cols=2)),
    ("cols", 1, 0, lambda v: SystolicArray(rows=2, cols=v)),
    ("depth", 1, 0, lambda v: Buffer(depth=v, width=2)),
    ("width", 1, 0, lambda v: Buffer(depth=2, width=v)),
    ("granularity", 1, 0, lambda v: Buffer(depth=2, width=8, granularity=v)),
    ("depth", 16, 8, lambda v: ReadDma(depth=v)),
    ("depth", 16, 8, lambda v: WriteDma(depth=v)),
    ("lanes", 1, 0, lambda v: ParameterMemory(cols=4, lanes=v)),
    ("psum_words", 1, 0, lambda v: AddressGenerator(psum_words=v)),
    ("entries", 1, 0, lambda v: LayerLog(entries=v)),
    ("bits", 1, 0, lambda v: Counters(bits=v)),
    ("bits", 32, 33, lambda v: Counters(bits=v)),
    ("rows", 1, 0, lambda v: WeightLoader(rows=v, cols=2, hold=2)),
    ("cols", 1, 0, lambda v: WeightLoader(rows=2, cols=v, hold=2)),
    ("hold", 1, 0, lambda v: WeightLoader(rows=2, cols=2, hold=v)),
    ("rows", 2, 1, lambda v: LrnLanes(rows=v, lanes=1)),
    ("lanes", 1, 0, lambda v: LrnLanes(rows=4, lanes=v)),
    ("width", 17, 16, lambda v: PackedCell(width=v)),
    ("rows", 2, 0, lambda v: PackedArray(rows=v, cols=4)),
    ("cols", 2, 0, lambda v: PackedArray(rows=4, cols=v)),
    ("width", 16, 15, lambda v: ProcessingElement(width=v)),
    ("rows", 1, 0, lambda v: MaxPool(rows=v)),
    ("words", 2, 1, lambda v: PostScan(words=v)),
    ("rows", 1, 0, lambda v: PartialSums(rows=v, cols=2, words=2)),
    ("cols", 1, 0, lambda v: PartialSums(rows=2, cols=v, words=2)),
    ("words", 1, 0, lambda v: PartialSums(rows=2, cols=2, words=v)),
    ("group", 1, 0, lambda v: PartialSums(rows=2, cols=2, words=2, group=v)),
    ("depth", 1, 0, lambda v: Fifo(shape=8, depth=v)),
    ("in_bytes", 1, 0, lambda v: Upsizer(in_bytes=v, out_bytes=2)),
    ("out_bytes", 1, 0, lambda v: Upsizer(in_bytes=2, out_bytes=v)),
    ("in_bytes", 1, 0, lambda v: Downsizer(in_bytes=v, out_bytes=2)),
    ("out_bytes", 1, 0, lambda v: Downsizer(in_bytes=2, out_bytes=v)),
    ("cycles", 0, -1, lambda v: _delay(v)),
]

# Parameter, a value that is invalid for a reason other than size, other arguments.
WRONG: list[tuple[str, object, Make]] = [
    ("granularity", 3, lambda v: Buffer(depth=2, width=8, granularity=v)),
    ("lanes", 3, lambda v: ParameterMemory(cols=4, lanes=v)),
    ("rows", 3, lambda v: PackedArray(rows=v, cols=4)),
    ("cols", 5, lambda v: PackedArray(rows=4, cols=v)),
    ("words", 6, lambda v: PostScan(words=v)),
    ("depth", 24, lambda v: ReadDma(depth=v)),
    ("in_bytes", 6, lambda v: Upsizer(in_bytes=v, out_bytes=2)),
    ("out_bytes", 6, lambda v: Downsizer(in_bytes=2, out_bytes=v)),
    *(
        (name, wrong, make)
        for wrong in ("4", 2.5)
        for name, make in [
            ("rows", lambda v: SystolicArray(rows=v, cols=2)),
            ("cols", lambda v: SystolicArray(rows=2, cols=v)),
            ("depth", lambda v: ReadDma(depth=v)),
            ("rows", lambda v: WeightLoader(rows=v, cols=2, hold=2)),
            ("rows", lambda v: LrnLanes(rows=v, lanes=1)),
            ("lanes", lambda v: LrnLanes(rows=4, lanes=v)),
            ("width", lambda v: PackedCell(width=v)),
            ("rows", lambda v: PackedArray(rows=v, cols=4)),
            ("width", lambda v: ProcessingElement(width=v)),
            ("rows", lambda v: MaxPool(rows=v)),
            ("words", lambda v: PostScan(words=v)),
            ("words", lambda v: PartialSums(rows=2, cols=2, words=v)),
            ("depth", lambda v: Fifo(shape=8, depth=v)),
            ("out_bytes", lambda v: Upsizer(in_bytes=2, out_bytes=v)),
            ("cascade", lambda v: MultiplyAdd(cascade=v)),
        ]
    ),
]


def _delay(cycles: int) -> Module:
    m = Module()
    value = Signal()
    m.d.comb += Signal().eq(delayed(m, value, cycles))
    return m


@pytest.mark.parametrize(("name", "least", "wrong", "make"), LEAST)
def test_least(name: str, least: int, wrong: int, make: Make) -> None:
    Fragment.get(make(least), None)
    with pytest.raises(ValueError, match=rf"^{name} must .*{wrong}$"):
        make(wrong)


@pytest.mark.parametrize(("name", "wrong", "make"), WRONG)
def test_wrong(name: str, wrong: object, make: Make) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must .*{wrong!r}$"):
        make(wrong)


def test_defaults() -> None:
    """Defaults of a block's parameters that no other test depends on."""
    assert Accel(arch=get_arch("tiny")).act_lanes == 1
    assert Buffer(depth=2, width=8).lanes == 1
    for make in (ReadDma, WriteDma):
        assert make().count_bits == 32
