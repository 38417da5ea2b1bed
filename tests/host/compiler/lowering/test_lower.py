"""Lowering: fusing layers, packing the input, weights in the order of use."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from penstock.host.compiler.compile import CompileError, compile_network
from penstock.host.compiler.emission.weight_stream import tile_bytes
from penstock.host.compiler.lowering.chains import chains
from penstock.host.compiler.lowering.lower import lowerings
from penstock.host.compiler.planning.search import fitting
from penstock.models.graph.graph import INPUT, Conv, ConvGeometry, Layer, MaxPool, Network
from penstock.models.spec.arch import get_arch
from tests.support.netgen import full_size_network, make_conv, make_lrn, make_network

RNG = np.random.default_rng(0)


def _conv(name: str, source: str, channels: tuple[int, int], kernel: int = 3) -> Layer:
    geometry = ConvGeometry(kernel=(kernel, kernel), pad=(kernel // 2,) * 4)
    return make_conv(RNG, name, source, *channels, geometry)


def _pool(name: str, source: str, kernel: int = 2) -> MaxPool:
    return MaxPool(name=name, inputs=(source,), kernel=kernel, stride=2)


def _names(network: Network, *, trace: bool = False) -> list[tuple[str, ...]]:
    return [tuple(la.name for la in chain.layers) for chain in chains(network, trace=trace)]


def test_full_size_fuses_to_five_layers() -> None:
    assert _names(full_size_network()) == [
        ("conv1", "norm1", "pool1"),
        ("conv2", "norm2", "pool2"),
        ("conv3",),
        ("conv4",),
        ("conv5", "pool5"),
    ]


def test_branches_store_the_shared_map() -> None:
    layers = [
        _conv("a", INPUT, (3, 8)),
        _pool("b", "a"),
        _conv("c", "a", (8, 8)),
        _pool("d", "b"),
        make_lrn(RNG, "e", "c"),
    ]
    network = make_network("branches", (12, 12, 3), layers)
    # Layers that do not need the array are as early as possible.
    assert _names(network) == [("a", "b"), ("d",), ("c", "e")]
    first, _, second = chains(network)
    assert first.stored == {"a"}
    assert second.stored == set()
    posts = lowerings(first, get_arch("tiny"))[0].posts
    assert [post.name for post in posts] == ["a", "b"]


def test_trace_stores_everything() -> None:
    network = full_size_network()
    stored = [
        post.name
        for chain in chains(network, trace=True)
        for post in lowerings(chain, get_arch("lab"))[0].posts
    ]
    assert stored == [layer.name for layer in network.layers]


@pytest.mark.parametrize(("arch", "blocks"), [("lab", 23), ("12x32", 31), ("8x8", 46)])
def test_first_layer_is_packed_in_runs(arch: str, blocks: int) -> None:
    network = full_size_network()
    layer = lowerings(chains(network)[0], get_arch(arch))[0]
    made = fitting([layer], get_arch(arch), 1)[0].plan
    assert layer.runs is not None
    assert made.tiles[0].weight_blocks == blocks


def test_plain_input_when_words_are_full() -> None:
    network = make_network("wide", (8, 8, 16), [_conv("a", INPUT, (16, 16))])
    assert lowerings(chains(network)[0], get_arch("lab"))[0].runs is None


def test_rows_nobody_reads_are_left_out() -> None:
    layers = [_conv("a", INPUT, (3, 8)), _pool("b", "a")]
    network = make_network("odd", (9, 9, 3), layers)
    chain = chains(network)[0]
    assert lowerings(chain, get_arch("tiny"))[0].shape == (8, 9, 8)
    traced = chains(network, trace=True)[0]
    assert lowerings(traced, get_arch("tiny"))[0].shape == (9, 9, 8)


def test_weight_stream_order() -> None:
    arch = get_arch("6x4")
    geometry = ConvGeometry(kernel=(2, 3), groups=2)
    conv = make_conv(RNG, "a", INPUT, 8, 6, geometry)
    network = make_network("ragged", (4, 4, 8), [conv])
    layer = lowerings(chains(network)[0], arch)[0]
    tile = fitting([layer], arch, 1)[0].plan.tiles[0]
    assert tile.spans == ((0, 2),)
    data = tile_bytes(layer, tile, arch)
    blocks = np.frombuffer(data[arch.params_bytes :], np.int8).reshape(2, 2, 3, 6, 4)
    for out in range(4):
        group = out // 3
        for channel in range(12):
            inside = group * 4 <= channel < group * 4 + 4
            expected = conv.weight[out, 1, 2, channel - group * 4] if inside else 0
            assert blocks[channel // 6, 1, 2, 5 - channel % 6, out] == expected


def _refused(layers: list[Layer], shape: tuple[int, int, int], arch_name: str = "tiny") -> str:
    network = make_network("bad", shape, layers)
    with pytest.raises(CompileError) as caught:
        compile_network(network, get_arch(arch_name))
    return str(caught.value)


def test_refusals_name_layer_need_and_capacity() -> None:
    wide = _refused([_conv("w", INPUT, (1, 4))], (4, 300, 1))
    assert wide == "layer w: a row of 300 outputs: 300 partial sums needed, arch tiny has 256"
    deep = _refused([_conv("d", INPUT, (600, 4))], (12, 12, 600))
    assert deep == (
        "layer d: the input of one output row needs 5400 words of activation buffer, "
        "arch tiny has 4096"
    )
    pool = _refused([_pool("p", INPUT)], (8, 3000, 1))
    assert pool.startswith("layer p: bands of 1 rows of 3000 words")
    assert pool.endswith("arch tiny has 2048")
    assert "a pooling window of 4" in _refused([_pool("p", INPUT, kernel=4)], (8, 8, 1))
    padded = MaxPool(name="p", inputs=(INPUT,), kernel=2, stride=2, pad=(2, 0, 0, 0))
    assert "padding (2, 0, 0, 0)" in _refused([padded], (8, 8, 1))
    steps = MaxPool(name="p", inputs=(INPUT,), kernel=2, stride=16)
    assert "stride of 16" in _refused([steps], (40, 40, 1))


def test_lrn_refusals() -> None:
    norm = make_lrn(RNG, "n", INPUT)
    network = make_network("norm", (4, 4, 4), [replace(norm, size=3)])
    with pytest.raises(CompileError, match="layer n: LRN over 3 channels"):
        lowerings(chains(network)[0], get_arch("tiny"))
    network = make_network("norm", (4, 4, 4), [norm])
    with pytest.raises(CompileError, match="layer n: arch plain has no LRN engine"):
        lowerings(chains(network)[0], replace(get_arch("tiny"), name="plain", lrn_lanes=0))


def test_sums_that_overflow_are_refused() -> None:
    conv = _conv("big", INPUT, (4, 4))
    huge = replace(conv, bias=np.full(4, (1 << 31) - 1, np.int32))
    assert "layer big: sums of up to" in _refused([huge], (4, 4, 4))


def test_float_layers_are_refused() -> None:
    conv = Conv(
        name="f",
        inputs=(INPUT,),
        geometry=ConvGeometry(kernel=(1, 1)),
        weight=np.zeros((1, 1, 1, 1), np.float32),
        bias=np.zeros(1, np.float32),
    )
    with pytest.raises(CompileError, match="layer f: the accelerator has no Conv"):
        chains(make_network("float", (2, 2, 1), [conv]))
    with pytest.raises(CompileError, match="no layers for the accelerator"):
        chains(make_network("empty", (2, 2, 1), []))


def test_the_bias_counts_towards_the_limit_of_the_accumulator() -> None:
    conv = make_conv(RNG, "c", INPUT, 1, 1, ConvGeometry(kernel=(1, 1)))
    conv = replace(conv, weight=np.full((1, 1, 1, 1), 100, np.int8))
    most = 2**31 - 1 - 255 * 100
    for sign, bias in product((1, -1), (most, most + 1)):
        changed = replace(conv, bias=np.array([sign * bias], conv.bias.dtype))
        network = make_network("limit", (2, 2, 1), [changed])
        if bias == most:
            compile_network(network, get_arch("tiny"))
            continue
        with pytest.raises(CompileError, match="sums of up to 2147483648 do not fit"):
            compile_network(network, get_arch("tiny"))
