"""Training run for a new simulation library: a short run of everything the core does."""

from __future__ import annotations

from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Device, DeviceError
from penstock.host.program.compile_error import CompileError
from penstock.host.runtime.session import Session
from penstock.models.golden.ops import input_codes
from penstock.models.graph.builder import Builder
from penstock.models.graph.graph import INPUT, InputSpec, Network
from penstock.models.networks.seeded import seeded
from penstock.models.networks.tinynet import TINY_SHAPE, tiny_images
from penstock.models.quant.quantize import quantise

__all__ = ["exercise"]


def _network() -> Network:
    """Float: all kinds of layers; the array is busy most of the time, as in large networks."""
    graph = Builder("training", InputSpec(shape=TINY_SHAPE, resize=39, order="BGR"))
    last = graph.conv("conv1", INPUT, 32, 5, pad=2)
    last = graph.lrn("norm1", last)
    last = graph.max_pool("pool1", last, 3, 2)
    last = graph.conv("conv2", last, 64, 3, pad=1, groups=2)
    last = graph.max_pool("pool2", last, 3, 2)
    last = graph.conv("conv3", last, 128, 3, pad=1)
    graph.conv("conv4", last, 64, 1)
    return graph.network(labels=(), trained=False)


def exercise(device: Device) -> None:
    """Run a small network on a device: 67 000 cycles of a 16x16 array.

    Raises
    ------
    DeviceError
        If the run fails, or the network does not fit the device's arch.
    """
    images = tiny_images(count=1)
    network = quantise(seeded(_network(), images), images)
    try:
        program = compile_network(network, device.arch)
    except CompileError as error:
        raise DeviceError(f"cannot train the simulation of {device.arch}: {error}") from None
    with Session(network, program, device) as session:
        for _ in session.run([input_codes(network.input, image) for image in images]):
            pass
