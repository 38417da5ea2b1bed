"""Rows and planes in the output ring: each POST finds what its windows read."""

from __future__ import annotations

from itertools import product

import pytest

from penstock.host.compiler.emission.output import OutputPlanes
from penstock.host.compiler.lowering.chains import chains
from penstock.host.compiler.lowering.lower import HardwareLayer, lowerings
from penstock.host.program.allocator import Ring
from penstock.models.graph.graph import INPUT, Layer, MaxPool
from penstock.models.spec.arch import get_arch
from tests.support.netgen import make_lrn, make_network, rng_of

HEIGHT = 17


def lowered(kernel: int, stride: int, pad: tuple[int, int, int, int], lrn: bool) -> HardwareLayer:
    """A pool, perhaps behind LRN, over a map of three planes."""
    layers: list[Layer] = [make_lrn(rng_of(0), "n", INPUT)] if lrn else []
    source = "n" if lrn else INPUT
    layers.append(MaxPool(name="p", inputs=(source,), kernel=kernel, stride=stride, pad=pad))
    arch = get_arch("tiny")
    (chain,) = chains(make_network("one", (HEIGHT, 9, 3 * arch.rows), layers))
    return lowerings(chain, arch)[0]


def bands_of(height: int, size: int) -> list[tuple[int, int]]:
    return [(first, min(size, height - first)) for first in range(0, height, size)]


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_a_band_has_each_row_that_its_pooling_windows_read(stride: int) -> None:
    # Any padding below the window: also a last row of windows that lie in it but for one row.
    for top, bottom, size in product(range(3), range(3), range(3, 9)):
        layer = lowered(3, stride, (top, 0, bottom, 0), lrn=False)
        bands = bands_of(layer.shape[0], size)
        if bands[-1][1] < 2 and len(bands) > 1:
            continue
        output = OutputPlanes(layer, bands, Ring(None), range(3))
        outputs = (HEIGHT + top + bottom - 3) // stride + 1
        made: list[int] = []
        for (first, rows), jobs in zip(bands, output.jobs, strict=True):
            for job in jobs:
                own = range(job.first, job.first + job.rows)
                made += own
                for y in own:
                    # The window's rows that exist, by definition and as the job has them.
                    window = range(y * stride - top, y * stride - top + 3)
                    real = [row for row in window if 0 <= row < HEIGHT]
                    assert all(first - job.halo <= row < first + rows for row in real)
                    begin = first - job.halo + job.y0 + (y - job.first) * stride
                    assert begin == window[0]
        assert made == list(range(outputs)), (top, bottom, size)


@pytest.mark.parametrize("lrn", [False, True])
@pytest.mark.parametrize("stride", [1, 3])
def test_a_plane_is_kept_until_its_last_reader_is_posted(lrn: bool, stride: int) -> None:
    # LRN of a plane reads the planes beside it, a halo the same planes of the band before.
    layer = lowered(3, stride, (0, 0, 0, 0), lrn=lrn)
    bands = bands_of(layer.shape[0], 5)
    output = OutputPlanes(layer, bands, Ring(None), range(3))
    assert output.lrn == lrn
    last: dict[tuple[int, int], int] = {}
    posts = 0
    for band in range(len(bands)):
        for done in range(1, 4):
            output.open(band, done)
            for plane in output.ready(band, done):
                assert plane < done
                posts += 1
                beside = range(max(plane - 1, 0), min(plane + 2, 3)) if lrn else [plane]
                assert max(beside) < done, "the next plane is there"
                read = [
                    (b, p)
                    for p in beside
                    for b in ([band - 1, band] if output.halo[band] else [band])
                ]
                assert all(output.region(*place).release is None for place in read), "still held"
                last.update(dict.fromkeys(read, posts))
                output.posted(band, plane, posts)
    for (band, plane), count in last.items():
        assert output.region(band, plane).release == count, (band, plane)
    assert posts == 3 * len(bands)
