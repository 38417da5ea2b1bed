# amaranth: UnusedElaboratable=no
"""The simulated Arty A7, driven by the host's own back end."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.host.apps.open_device import open_device
from penstock.host.compiler.compile import compile_network
from penstock.hw.boards.arty_a7 import CLOCK_HZ, MEMORY_BYTES, SHOWN, ArtyA7
from penstock.hw.boards.arty_a7_top import INPUT_MHZ, PINS, constraints
from penstock.models.graph.graph import INPUT, ConvGeometry
from penstock.models.spec.arch import get_arch
from tests.support.infer import check_maps, infer, load
from tests.support.netgen import make_conv, make_network, random_codes
from tests.support.on_chip_board import new_port

ARCH = get_arch("tiny")
# As fast as the receiver can, so that a test has few cycles.
FAST = CLOCK_HZ // 4


def test_a_convolution_through_the_port() -> None:
    port = new_port(ArtyA7, ARCH, clock_hz=CLOCK_HZ, baud=FAST)
    rng = np.random.default_rng(5)
    window = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    network = make_network("small", (7, 7, 3), [make_conv(rng, "a", INPUT, 3, 6, window, 7)])
    program = compile_network(network, ARCH)
    with open_device("arty-a7-100t", ARCH, port=port, baud=FAST, reply_timeout=0.001) as device:
        codes = random_codes(network, 1)
        check_maps(infer(device, program, load(device, program), codes), network, codes)
        assert not port.model.led >> SHOWN.index("error") & 1
        assert device.info["memory_bytes"] == MEMORY_BYTES


def test_constraints() -> None:
    text = constraints()
    assert "set_property PACKAGE_PIN T10 [get_ports {led[3]}]" in text
    assert "set_property IOSTANDARD LVCMOS33 [get_ports reset_n]" in text
    assert f"create_clock -period {1000 / INPUT_MHZ:g} [get_ports clk100]" in text
    assert len(PINS["led"].split()) == len(SHOWN)


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match="baud must be from 1 to 20000000, not 0"):
        ArtyA7(arch=ARCH, baud=0)
