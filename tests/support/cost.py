"""Counters of a program's layers from the RTL, as the reference of the cost model."""

from __future__ import annotations

from penstock.host.compiler.compile import compile_network
from penstock.host.devices.rtl import RtlDevice
from penstock.host.program.program import Program
from penstock.models.graph.graph import Network
from tests.support.infer import load, write_images
from tests.support.netgen import random_codes

__all__ = ["measure"]

# Time limit in seconds: several million cycles on a busy machine.
_TIMEOUT = 600.0


def measure(
    device: RtlDevice, network: Network, program: Program | None = None
) -> list[dict[str, int]]:
    """Run a network on random images; return the counters of each layer."""
    program = program or compile_network(network, device.arch)
    buffer = load(device, program)
    images = [random_codes(network, index) for index in range(program.batch)]
    write_images(device, program, buffer, images)
    entries = device.run(program, buffer, timeout=_TIMEOUT).entries
    device.free(buffer)
    before = [dict.fromkeys(entries[0], 0), *entries]
    return [{name: now[name] - old[name] for name in now} for old, now in zip(before, entries)]
