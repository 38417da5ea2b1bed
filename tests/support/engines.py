"""What the tests of single engines share: an arch of small buffers, and a DMA for what reads."""

from __future__ import annotations

from typing import Any, TypeVar

from amaranth import Module
from amaranth.lib.wiring import connect

from penstock.hw.bus.dma import ReadDma
from penstock.hw.engines.load import LoadEngine
from penstock.hw.engines.weights import WeightsEngine
from penstock.models.spec.arch import Arch

__all__ = ["BASE", "behind_dma", "small_arch"]

# Register BASE of the DMA.
BASE = 4096

_Engine = TypeVar("_Engine", LoadEngine, WeightsEngine)


def small_arch(rows: int, cols: int, **changes: Any) -> Arch:
    """Return an arch that is no larger than an engine's test needs, but for `changes`."""
    sizes: dict[str, Any] = {"act_words": 16, "psum_words": 16, "out_words": 64, "wgt_words": 64}
    lanes: dict[str, Any] = {"drain_lanes": 1, "lrn_lanes": 1}
    return Arch(name="test", rows=rows, cols=cols, **{**sizes, **lanes, **changes})


def behind_dma(engine: _Engine) -> tuple[Module, ReadDma, _Engine]:
    """Connect an engine to a DMA that reads for it, from `BASE` on."""
    m = Module()
    m.submodules.dma = dma = ReadDma()
    m.submodules.engine = engine
    connect(m, engine.cmd, dma.cmd)
    connect(m, dma.o, engine.data)
    m.d.comb += dma.control.base.eq(BASE)
    return m, dma, engine
