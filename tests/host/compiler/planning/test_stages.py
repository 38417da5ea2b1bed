"""The pipeline stages of a board: the bottleneck, and the effect of batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.compiler.planning.cost import predict
from penstock.host.compiler.planning.stages import (
    CPU_HZ,
    Stage,
    bottleneck,
    slowest,
    stage_rows,
    stages,
)
from penstock.models.graph.graph import INPUT, ConvGeometry, MaxPool, Network, QFc
from penstock.models.spec.arch import get_arch
from penstock.models.spec.number_format import grouped
from tests.support.netgen import make_conv, make_fc, make_network, rng_of

ARCH = get_arch("pynq-z2")


def network(hidden: int = 64) -> Network:
    rng = rng_of(1)
    return make_network(
        "n",
        (20, 20, 3),
        [
            make_conv(rng, "c", INPUT, 3, 16, ConvGeometry(kernel=(3, 3))),
            MaxPool(name="p", inputs=("c",), kernel=2, stride=2),
            make_fc(rng, "f", "p", (hidden, 9 * 9 * 16), relu=True),
            make_fc(rng, "g", "f", (10, hidden), relu=False),
        ],
    )


def test_the_array_runs_at_its_clock() -> None:
    whole = network()
    program = compile_network(whole, ARCH)
    cycles = sum(layer.cycles for layer in predict(program, ARCH))
    slow, fast = (stages(whole, program, ARCH, mhz=mhz)[1] for mhz in (50, 100))
    assert slow.seconds - fast.seconds == pytest.approx(cycles / 50e6 - cycles / 100e6)
    assert f"{grouped(cycles)} cycles predicted, 100 MHz" in fast.basis
    # A batch's cycles are shared by its images.
    batch = compile_network(whole, ARCH, batch=2)
    shared = sum(layer.cycles for layer in predict(batch, ARCH)) / 2
    found = stages(whole, batch, ARCH, mhz=100)[1]
    assert f"{grouped(shared)} cycles predicted" in found.basis


def test_groups_share_the_widening() -> None:
    whole = network(512)
    program = compile_network(whole, ARCH)
    one, eight, many = (
        stages(whole, program, ARCH, mhz=100, group=group)[2] for group in (1, 8, 10**9)
    )
    assert one.seconds > eight.seconds > many.seconds
    weights = sum(layer.weight.size for layer in whole.layers if isinstance(layer, QFc))
    # What is left is at least a cycle for each product.
    assert many.seconds > weights / CPU_HZ
    assert (one.seconds - many.seconds) / (one.seconds - eight.seconds) == pytest.approx(8 / 7)
    assert "one image at a time" in one.basis
    assert "8 images at a time" in eight.basis


def test_layers_on_the_array_are_not_on_the_cpu() -> None:
    whole = network(512)
    cpu = stages(whole, compile_network(whole, ARCH), ARCH, mhz=100)
    fpga = stages(whole, compile_network(whole, ARCH, fc=True), ARCH, mhz=100)
    assert fpga[2].seconds < cpu[2].seconds
    assert fpga[1].seconds > cpu[1].seconds
    convolutions = replace(whole, layers=whole.layers[:2])
    program = compile_network(convolutions, ARCH)
    assert [stage.name for stage in stages(convolutions, program, ARCH, mhz=100)] == [
        "photographs to codes",
        "array, input packed",
    ]


def test_a_board_on_a_link_has_no_processor_of_its_own() -> None:
    whole = network()
    program = compile_network(whole, ARCH)
    found = stages(whole, program, ARCH, mhz=50, link=100_000)
    assert [stage.name for stage in found] == ["array", "serial link"]
    moved = sum(len(data) for _, data in program.pack_input(np.zeros(whole.input.shape, np.uint8)))
    answer = sum(spec.size for spec in program.outputs.values())
    assert found[1].seconds == pytest.approx((moved + answer) / 100_000)
    assert "Cortex" not in str(stage_rows(found))


def test_larger_photographs_take_longer() -> None:
    whole = network()
    program = compile_network(whole, ARCH)
    small, large = (
        stages(whole, program, ARCH, mhz=100, pixels=pixels)[0] for pixels in (10**5, 10**7)
    )
    assert large.seconds > 10 * small.seconds


def test_the_table() -> None:
    found = [Stage("a", 0.010, "measured"), Stage("CPU layers", 0.25, "estimate")]
    assert slowest(found).name == "CPU layers"
    assert stage_rows(found)[0] == ("a", "10.0 ms", "100.0", "measured")
    text = bottleneck(found)
    assert text.startswith("bottleneck: CPU layers, 4.0 images/s")
    assert "--fc fpga" in text
    assert "--fc" not in bottleneck(found[:1])


@pytest.mark.parametrize("name", ["mhz", "group", "pixels", "link"])
def test_wrong_parameters(name: str) -> None:
    whole = network()
    program = compile_network(whole, ARCH)
    values = {"mhz": 100, "group": 1, "pixels": 1000, "link": 1, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be positive, not 0"):
        stages(whole, program, ARCH, **values)
