"""Small programs that together cover every kind of layer, for fault and soak tests.

They are resident in one device's memory, each with a few inputs whose results are known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Buffer
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.rtl_model import Profile
from penstock.host.program.program import Program
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import INPUT, Concat, ConvGeometry, MaxPool, Network, QAveragePool
from tests.support.graphgen import make_add
from tests.support.netgen import (
    make_classifier,
    make_conv,
    make_lrn,
    make_network,
    random_codes,
    rng_of,
)

__all__ = ["INPUTS", "NETWORKS", "Target", "load_targets", "random_profile"]

INPUTS = 3

# Gap in bytes between the programs' arenas, and before the first.
_GUARD = 4096
_GUARD_BYTE = 0xC3

Bytes = NDArray[np.uint8]


def chain() -> Network:
    """Return convolutions with padding, stride and groups, and LRN followed by pooling."""
    rng = rng_of(5)
    window = ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    grouped = ConvGeometry(kernel=(3, 2), stride=(2, 1), pad=(0, 1, 1, 0), groups=2)
    return make_network(
        "chain",
        (11, 9, 3),
        [
            make_conv(rng, "a", INPUT, 3, 10, window, 7),
            make_lrn(rng, "n", "a"),
            MaxPool(name="p", inputs=("n",), kernel=3, stride=2),
            make_conv(rng, "b", "p", 10, 6, grouped),
        ],
    )


def branches() -> Network:
    """Return a network with concatenation, addition, averaging and pooling."""
    rng = rng_of(6)
    point, window = ConvGeometry(kernel=(1, 1)), ConvGeometry(kernel=(3, 3), pad=(1, 1, 1, 1))
    return make_network(
        "branches",
        (7, 6, 5),
        [
            make_conv(rng, "a", INPUT, 5, 6, point),
            make_conv(rng, "b", INPUT, 5, 6, window),
            make_add(rng, "sum", "a", "b"),
            MaxPool(name="p", inputs=("sum",), kernel=3, stride=1, pad=(1, 1, 1, 1)),
            MaxPool(name="alone", inputs=(INPUT,), kernel=3, stride=1, pad=(1, 1, 1, 1)),
            Concat(name="both", inputs=("p", "b", "alone")),
            QAveragePool(name="mean", inputs=("both",), kernel=(2, 2), stride=(2, 2)),
            make_conv(rng, "c", "mean", 17, 5, point),
        ],
    )


def random_profile(rng: np.random.Generator) -> Profile:
    """Draw a memory timing: latency, lost cycles, late bursts, stalled channels."""
    return Profile(
        latency=int(rng.choice([0, 1, 5, 40, 150])),
        stall_per_mille=int(rng.choice([0, 50, 300, 600])),
        seed=int(rng.integers(1 << 30)),
        jitter=int(rng.choice([0, 3, 30, 100])),
        refuse_per_mille=int(rng.choice([0, 100, 500])),
    )


# Networks, and their compile options.
NETWORKS: tuple[tuple[Network, dict[str, int]], ...] = (
    (chain(), {"trace": True}),
    (chain(), {}),
    (branches(), {}),
    (make_classifier(), {"fc": True, "batch": 2}),
)


@dataclass
class Target:
    """A program in a device's memory.

    Parameters
    ----------
    network : Network
    program : Program
    buffer : Buffer
    inputs : list of list of uint8 arrays
        For each input the images of a batch.
    results : list of uint8 arrays
        For each input, the bytes of the ranges of `Traffic.written` after a run, concatenated.
    cycles : int
        Cycles of a run with the default memory timing.
    """

    network: Network
    program: Program
    buffer: Buffer
    inputs: list[list[Bytes]]
    results: list[Bytes]
    cycles: int = 0

    @property
    def written(self) -> list[slice]:
        """Memory ranges that the program writes."""
        base = self.buffer.offset
        return [slice(base + first, base + end) for first, end in self.program.traffic.written]

    def prepare(self, memory: Bytes, number: int, fill: int) -> None:
        """Write the program and an input to memory, and `fill` to the ranges of the results."""
        base = self.buffer.offset
        image = np.frombuffer(self.program.image, np.uint8)
        for part in self.written:
            memory[part] = fill
        memory[base : base + len(image)] = image
        for index, codes in enumerate(self.inputs[number]):
            for offset, data in self.program.pack_input(codes, index):
                start = base + offset
                memory[start : start + len(data)] = np.frombuffer(data, np.uint8)

    def found(self, memory: Bytes) -> Bytes:
        """Return the bytes of the results in memory."""
        return np.concatenate([memory[part] for part in self.written])

    def check(self, memory: Bytes, number: int) -> None:
        """Compare every map in memory with the golden model."""
        for index, codes in enumerate(self.inputs[number]):
            golden = run_quantised(self.network, codes)
            for name, spec in self.program.outputs.items():
                start = self.buffer.offset + spec.offset
                values = self.program.unpack(name, memory[start : start + spec.size], index)
                np.testing.assert_array_equal(values, golden[name], f"{self.network.name}: {name}")


def load_targets(device: RtlDevice) -> list[Target]:
    """Write the programs to a device's memory, run each input once, and check the results."""
    memory = device.memory
    memory[:] = _GUARD_BYTE
    targets = []
    for network, options in NETWORKS:
        program = compile_network(network, device.arch, **options)  # type: ignore[arg-type]
        device.alloc(_GUARD)
        inputs = [
            [random_codes(network, 10 * number + index) for index in range(program.batch)]
            for number in range(INPUTS)
        ]
        target = Target(network, program, device.alloc(program.arena_bytes), inputs, [])
        for number in range(INPUTS):
            target.prepare(memory, number, 0x5A)
            target.cycles = device.run(program, target.buffer).totals["cycles"]
            target.check(memory, number)
            target.results.append(target.found(memory))
        targets.append(target)
    return targets
