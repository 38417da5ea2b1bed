"""Cutting layers in tiles, bands and groups of images."""

from __future__ import annotations

import pytest

from penstock.host.compiler.emission.tile import Plan, balanced, cut_bands, cut_tiles
from penstock.host.compiler.lowering.chains import chains
from penstock.host.compiler.lowering.lower import HardwareLayer, lowerings
from penstock.models.graph.graph import INPUT, ConvGeometry, Layer, MaxPool
from penstock.models.spec.arch import get_arch
from tests.support.netgen import full_size_network, make_conv, make_network, rng_of

LAB = get_arch("lab")


def layer_of(
    height: int, width: int, channels: int, outputs: int, *, kernel: int = 3, pool: bool = False
) -> HardwareLayer:
    """A hardware layer of one padded convolution."""
    geometry = ConvGeometry(kernel=(kernel, kernel), pad=(kernel // 2,) * 4)
    layers: list[Layer] = [make_conv(rng_of(1), "conv", INPUT, channels, outputs, geometry)]
    if pool:
        layers.append(MaxPool(name="pool", inputs=("conv",), kernel=3, stride=2))
    network = make_network("one", (height, width, channels), layers)
    ways = lowerings(chains(network)[0], LAB)
    return next(way for way in ways if way.runs is None)


def plan_of(layer: HardwareLayer, sizes: list[int], groups: tuple[int, ...] = (1,)) -> Plan:
    planes = -(-layer.shape[2] // LAB.rows)
    return Plan(layer, cut_tiles(layer, LAB), cut_bands(layer, sizes), (range(planes),), groups)


def test_parts_are_balanced() -> None:
    assert balanced(10, 3) == [4, 3, 3]
    assert balanced(9, 3) == [3, 3, 3]
    for total in range(1, 40):
        for count in range(1, total + 1):
            parts = balanced(total, count)
            assert (sum(parts), len(parts)) == (total, count)
            assert max(parts) - min(parts) <= 1


def test_tiles_cover_all_channels_once() -> None:
    layer = layer_of(8, 8, 40, 38)
    tiles = cut_tiles(layer, LAB)
    assert [(tile.first, tile.count) for tile in tiles] == [(0, 16), (16, 16), (32, 6)]
    # 6 channels in lanes of 4: two groups.
    assert [tile.lane_groups for tile in tiles] == [4, 4, 2]
    assert {tile.spans for tile in tiles} == {((0, 3),)}
    assert {tile.weight_blocks for tile in tiles} == {3 * 9}
    # Planes of 16: the last one is complete only with the last tile.
    assert [tile.opened(LAB) for tile in tiles] == [1, 2, 3]
    assert [tile.done(38, LAB) for tile in tiles] == [1, 2, 3]
    narrow = get_arch("16x8")
    assert [tile.done(38, narrow) for tile in cut_tiles(layer, narrow)] == [0, 1, 1, 2, 3]


def test_tiles_of_groups_read_only_their_planes() -> None:
    network = full_size_network()
    (layer,) = lowerings(chains(network)[1], LAB)
    assert [tile.spans[0] for tile in cut_tiles(layer, LAB)] == [(0, 3)] * 8 + [(3, 6)] * 8


def test_bands_read_the_rows_their_windows_cover() -> None:
    layer = layer_of(10, 8, 16, 16, kernel=5)
    bands = cut_bands(layer, [4, 3, 3])
    assert [(band.first, band.rows) for band in bands] == [(0, 4), (4, 3), (7, 3)]
    assert [band.inputs[0] for band in bands] == [(0, 6), (2, 9), (5, 10)]


def test_steps_are_the_bands_of_each_group() -> None:
    plan = plan_of(layer_of(10, 8, 32, 16), [5, 5], groups=(1, 1, 1))
    assert plan.batch == 3
    assert [(step.image, step.number) for step in plan.steps] == [
        (image, band) for image in range(3) for band in range(2)
    ]
    # Rows of one image above those of the next.
    assert [plan.input_rows(step, 0) for step in plan.steps[:3]] == [(0, 6), (4, 10), (10, 16)]
    assert {plan.positions(step) for step in plan.steps} == {40}
    assert {plan.act_words(step) for step in plan.steps} == {2 * 6 * 8}
    assert plan.head(1).batch == 1


def test_images_together_are_read_whole() -> None:
    plan = plan_of(layer_of(6, 6, 32, 16), [6], groups=(3, 2))
    assert [plan.positions(step) for step in plan.steps] == [108, 72]
    assert [plan.input_rows(step, 0) for step in plan.steps] == [(0, 18), (18, 30)]
    assert str(plan) == "direct, one band of 6 rows, 3 of 5 images together"
    assert plan.buffers(LAB) == (2 * 18 * 6, 108, 108)


def test_what_fits() -> None:
    layer = layer_of(40, 40, 16, 16)
    assert not plan_of(layer, [40]).fits(LAB)  # 1600 positions
    assert plan_of(layer, [20, 20]).fits(LAB)
    deep = layer_of(20, 20, 1600, 16)
    assert not plan_of(deep, [20]).fits(LAB)  # 100 planes of 400 words
    assert plan_of(deep, balanced(20, 20)).fits(LAB)
    pooled = layer_of(12, 12, 16, 16, pool=True)
    # Pooling windows of three rows need two rows of the band before.
    assert plan_of(pooled, [5, 3, 3]).fits(LAB)
    assert not plan_of(pooled, [1] * 11).fits(LAB)
    with pytest.raises(ValueError, match="shorter than the pooling window's overlap"):
        plan_of(pooled, [1] * 11).out_words(LAB)


def test_in_words() -> None:
    layer = layer_of(20, 8, 16, 16)
    assert str(plan_of(layer, [20])) == "direct, one band of 20 rows"
    assert str(plan_of(layer, [7, 7, 6])) == "direct, bands of 7+7+6 rows"
    assert str(plan_of(layer, [2, 4, 4, 4, 4, 2])) == "direct, bands of 2+4x4+2 rows"
