"""The order of descriptors is one in which they could run one after the other.

The hardware needs that: descriptors are handed out in order, and one that an engine's queue has no
room for holds up all that follow it.  Only weights may precede the CONV that uses them; the WEIGHTS
engine takes several descriptors before the first one is complete.
"""

from __future__ import annotations

from itertools import accumulate

import pytest

from penstock.host.compiler.compile import compile_network
from penstock.host.inputs.catalog import load_network
from penstock.models.graph.graph import Network
from penstock.models.networks.scaled_down import scaled_layer
from penstock.models.spec.arch import get_arch
from penstock.models.spec.isa import DESCRIPTOR_BYTES, ENGINE_WAITS, Op, decode

# WEIGHTS descriptors that the engine holds besides those in its queue.
HELD = 5


def networks() -> list[Network]:
    return [load_network("lenet5"), *(scaled_layer(f"conv{k}") for k in (3, 4, 5))]


@pytest.mark.parametrize("arch", ["tang-nano-20k", "tiny"])
@pytest.mark.parametrize("network", networks(), ids=lambda network: network.name)
def test_nothing_waits_for_what_comes_later(network: Network, arch: str) -> None:
    program = compile_network(network, get_arch(arch))
    image = bytes(program.image)[program.desc_offset :]
    descriptors = [
        decode(image[start : start + DESCRIPTOR_BYTES])
        for start in range(0, program.desc_count * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES)
    ]
    given = dict.fromkeys(Op, 0)
    ends = list(accumulate(v["blocks"] for op, v in descriptors if op is Op.WEIGHTS))
    taken = filled = parameters = 0
    for op, values in descriptors:
        for wait in ENGINE_WAITS[op]:
            assert values[f"wait_{wait.name.lower()}"] <= given[wait]
        given[op] += 1
        if op is Op.WEIGHTS:
            parameters += values["has_params"]
            assert parameters - given[Op.DRAIN] <= 2, "banks of parameters"
        elif op is Op.CONV:
            taken += values["n_cb"] * values["n_ky"] * values["n_kx"]
            assert taken <= ends[given[Op.WEIGHTS] - 1]
            filled += values["last"]
            assert filled - given[Op.DRAIN] <= 2, "banks of partial sums"
        elif op is Op.DRAIN:
            assert given[Op.DRAIN] <= min(filled, parameters)
        assert sum(end > taken for end in ends[: given[Op.WEIGHTS]]) <= HELD
    assert taken == ends[-1]
