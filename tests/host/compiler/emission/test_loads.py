"""LOADs ahead of their use: early, but never so many that the fetcher stalls."""

from __future__ import annotations

from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import predict
from penstock.host.devices.rtl import RtlDevice
from penstock.models.graph.graph import INPUT, ConvGeometry
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import Dest, Op
from tests.support.cost import measure
from tests.support.netgen import make_conv, make_network, rng_of

LAB = get_arch("lab")


def test_a_full_queue_of_loads_does_not_keep_the_array_from_its_tiles() -> None:
    """Many short steps, whose inputs would all fit the buffer long before they are needed."""
    rng = rng_of(1)
    window = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    layers = [
        make_conv(rng, "wide", INPUT, 64, 384, window),
        make_conv(rng, "short", "wide", 384, 128, ConvGeometry(kernel=(1, 1))),
    ]
    network = make_network("steps", (13, 13, 64), layers)
    program = compile_network(network, LAB, batch=4)
    assert program.layers[1].choice == "direct, bands of 7+6 rows, 1 of 4 images together"
    loads = sum(op is Op.LOAD for op, _ in program.descriptors())
    assert loads > 4 * LAB.queue_depth
    with RtlDevice(LAB) as device:
        _, short = measure(device, network, program)
    idle = short["cycles"] - short["busy"] - sum(short[f"stall_{s}"] for s in ("input", "weights"))
    # The drain and the post of the previous layer, but none per step.
    assert idle < 1000
    assert abs(predict(program, LAB)[1].cycles - short["cycles"]) < 0.02 * short["cycles"]


def test_all_planes_of_all_steps_are_loaded_once() -> None:
    conv = make_conv(rng_of(2), "c", INPUT, 40, 16, ConvGeometry(kernel=(1, 1)))
    program = compile_network(make_network("one", (50, 50, 40), [conv]), LAB, batch=2)
    loads = [v for op, v in program.descriptors() if op is Op.LOAD]
    assert {v["dest"] for v in loads} == {Dest.ACT}
    assert sum(v["planes"] * v["plane_beats"] for v in loads) == 2 * 3 * 50 * 100
    # The ring holds words in the order of use.
    base = 0
    for v in loads:
        assert v["base"] == base % LAB.act_words
        base += v["planes"] * v["plane_beats"] // v["row_beats"] * v["row_words"]
