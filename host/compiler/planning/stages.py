"""Throughput of each stage of a board, and the bottleneck.

::

    photographs -> codes     array     CPU layers
    image n + 2              n + 1     n             all at the same time

The stages work on different images at the same time, so the slowest one sets the rate.  The array's
time comes from the cost model at the given clock.  Those of a PYNQ board's processor are
**estimates**: operation counts of the NumPy code times cycles per operation, typical of its
Cortex-A9.  They have not been measured on a board; use them to find the bottleneck, not for
absolute times.  A board on a serial link uses a PC as its processor, and has the link as a further
stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penstock.host.compiler.planning.cost import predict
from penstock.host.program.program import Program
from penstock.models.graph.graph import INPUT, Network, QFc, infer_shapes
from penstock.models.spec.arch import Arch
from penstock.models.spec.number_format import grouped, human

__all__ = ["CPU_HZ", "STAGE_COLUMNS", "Stage", "bottleneck", "slowest", "stage_rows", "stages"]

STAGE_COLUMNS = ("stage", "an image", "images/s", "basis")

# The boards' processor: two Cortex-A9, NEON, and memory that gives about 1 GB/s to one of them.
CPU_HZ = 650e6

# Pixels of a photograph as phones send it, scaled down.
_PIXELS = 1024 * 768

# Cycles of one core: for each pixel of a JPEG file, decoded and scaled down ...
_DECODE = 60
# ... for each input value of a network: subtracted, scaled, rounded and clipped, in passes ...
_CODE = 100
# ... for each byte converted to or from the device's layout ...
_MOVE = 10
# ... for each weight, once per group of images: int8 to float32, written and read again ...
_WIDEN = 12
# ... for each product in BLAS.
_MULTIPLY = 1


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline.

    Parameters
    ----------
    name : str
    seconds : float
        Per image.
    basis : str
        Source of the figure.
    """

    name: str
    seconds: float
    basis: str

    @property
    def rate(self) -> float:
        """Images per second."""
        return 1 / self.seconds


def _cpu_cycles(network: Network, program: Program, group: int) -> float:
    """Cycles per image of the layers that stay on the CPU, in groups of `group` images."""
    done = {name for layer in program.layers for name in layer.covers}
    shapes = infer_shapes(network)
    cycles = 0.0
    for layer in network.layers:
        if layer.name in done:
            continue
        # Flattening, averaging: every value is touched.
        source = network.input.shape if layer.inputs[0] == INPUT else shapes[layer.inputs[0]]
        cycles += float(np.prod(source)) * _MOVE
        if isinstance(layer, QFc):
            cycles += layer.weight.size * (_WIDEN / group + _MULTIPLY)
    return cycles


def stages(
    network: Network,
    program: Program,
    arch: Arch,
    *,
    mhz: float,
    group: int = 1,
    pixels: int = _PIXELS,
    link: float | None = None,
) -> list[Stage]:
    """Return the stages of a network on a board, in the order in which an image passes them.

    Parameters
    ----------
    network : Network
        Quantised.
    program : Program
        Compiled from `network` for `arch`.
    mhz : float
        The array's clock.
    group : int
        Images whose CPU layers run together.
    pixels : int
        Pixels of a photograph.
    link : float or None
        Bytes a second of the link to the board; None: the processor is on the board.

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    rate = 1 if link is None else link
    for name, value in (("mhz", mhz), ("group", group), ("pixels", pixels), ("link", rate)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value!r}")
    values = float(np.prod(network.input.shape))
    prepare = (pixels * _DECODE + values * _CODE) / CPU_HZ
    cycles = sum(layer.cycles for layer in predict(program, arch)) / program.batch
    moved = sum(len(data) for _, data in program.pack_input(_zeros(network)))
    if link is not None:
        answer = sum(spec.size for spec in program.outputs.values()) / program.batch
        return [
            Stage(
                "array",
                cycles / (mhz * 1e6),
                f"{grouped(cycles)} cycles predicted, {mhz:g} MHz",
            ),
            Stage(
                "serial link",
                (moved + answer) / link,
                f"{grouped(moved)} bytes in, {grouped(answer)} out, {human(link, 'B')}/s",
            ),
        ]
    array = cycles / (mhz * 1e6) + moved * _MOVE / CPU_HZ
    estimate = "estimate, Cortex-A9"
    result = [
        Stage("photographs to codes", prepare, f"{estimate}, {pixels / 1e6:.1f} Mpixel JPEG"),
        Stage(
            "array, input packed",
            array,
            f"{grouped(cycles)} cycles predicted, {mhz:g} MHz; packing: {estimate}",
        ),
    ]
    left = _cpu_cycles(network, program, group)
    if left:
        images = "one image" if group == 1 else f"{group} images"
        result.append(Stage("CPU layers", left / CPU_HZ, f"{estimate}, {images} at a time"))
    return result


def _zeros(network: Network) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.zeros(network.input.shape, np.uint8)


def slowest(found: list[Stage]) -> Stage:
    """Return the stage that sets the rate."""
    return max(found, key=lambda stage: stage.seconds)


def stage_rows(found: Sequence[Stage]) -> list[tuple[str, ...]]:
    """Return a row of `STAGE_COLUMNS` for each stage."""
    return [
        (stage.name, f"{stage.seconds * 1e3:.1f} ms", f"{stage.rate:.1f}", stage.basis)
        for stage in found
    ]


def bottleneck(found: list[Stage]) -> str:
    """Return a sentence on the slowest stage."""
    worst = slowest(found)
    text = f"bottleneck: {worst.name}, {worst.rate:.1f} images/s"
    if worst.name == "CPU layers":
        text += " (--group runs more images' CPU layers together; --fc fpga takes them off)"
    return text
