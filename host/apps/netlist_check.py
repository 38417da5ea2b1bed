"""A simulated netlist against the golden model: small layers of every kind, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.apps.layer_check import LayerCase, LayerWrong
from penstock.host.devices.device import Device
from penstock.host.devices.direct_memory import DirectMemory
from penstock.host.devices.rtl import RtlDevice
from penstock.host.devices.serial.link_client import Port
from penstock.host.devices.serial.serial_device import LinkedDevice
from penstock.models.networks.scaled_down import SCALED_LAYERS
from penstock.models.spec.arch import Arch

__all__ = ["DirectDevice", "NetlistError", "check_board", "check_library"]

_MEMORY = 16 << 20
_LINK_BYTES = 64

# Seconds of simulated time.
_REPLY_TIMEOUT = 0.01

_WITH_LRN = ("conv1", "conv2")
# The smallest layer with convolution and pooling, for transfers over the link.
_SMALLEST = "conv5"


class NetlistError(RuntimeError):
    """A result of a netlist differs from the golden model."""


class DirectDevice(DirectMemory, LinkedDevice):
    """A simulated board with direct access to its memory: only registers go through the link.

    Parameters
    ----------
    arch : Arch
    memory : NDArray[uint8]
        The board's memory.
    options
        Those of `LinkedDevice`.
    """

    def __init__(self, arch: Arch, *, memory: NDArray[np.uint8], **options: Any) -> None:
        super().__init__(arch, **options)
        self._memory = memory

    @property
    def memory(self) -> NDArray[np.uint8]:
        return self._memory

    def check_link(self) -> None:
        """Write through the link and read back; compare with the memory itself.

        Raises
        ------
        NetlistError
            If it differs.
        """
        buffer = self.alloc(_LINK_BYTES)
        values = np.random.default_rng(1).integers(0, 256, _LINK_BYTES, np.uint8)
        LinkedDevice.write(self, buffer, values)
        if (self.read(buffer, 0, _LINK_BYTES) != values).any():
            raise NetlistError("the link writes other bytes than it was given")
        if (LinkedDevice.read(self, buffer, 0, _LINK_BYTES) != values).any():
            raise NetlistError("the link reads other bytes than are there")
        self.free(buffer)


def _run_layers(
    device: Device, names: Sequence[str], say: Callable[[str], None]
) -> tuple[int, int, int]:
    """Run layers on a device; return the numbers of maps and values compared, and all cycles.

    Raises
    ------
    NetlistError
        At the first difference.
    """
    maps = values = cycles = 0
    for seed, name in enumerate(names):
        say(f"simulating the netlist: {name} scaled down")
        case = LayerCase.make(name, device.arch, seed=seed)
        try:
            # Writing noise through the link would take minutes.
            outcome = case.run(device, clear=not isinstance(device, LinkedDevice))
        except LayerWrong as error:
            raise NetlistError(f"{name} scaled down: {error}") from None
        maps += len(outcome.maps)
        values += outcome.values
        cycles += device.counters()["cycles"]
    return maps, values, cycles


def check_board(
    port: Port,
    arch: Arch,
    *,
    baud: int,
    memory: NDArray[np.uint8],
    say: Callable[[str], None] = lambda text: None,
) -> str:
    """Let the host's own back end run layers on a simulated board, and compare every feature map.

    Parameters
    ----------
    port : Port
        The board's serial port; closed at the end.
    arch : Arch
        Arch of the board.
    baud : int
    memory : NDArray[uint8]
        The board's memory, for direct access, as programs take minutes through the link; empty:
        only the link is used, with one small layer.
    say : callable
        Called with what happens now.

    Returns
    -------
    str
        What was compared, in a sentence.

    Raises
    ------
    NetlistError
        At the first difference.
    DeviceError
        If the board does not answer, or a run fails.
    """
    device: LinkedDevice
    direct = bool(memory.size)
    say("simulating the netlist: the link")
    if direct:
        device = DirectDevice(
            arch, memory=memory, port=port, baud=baud, reply_timeout=_REPLY_TIMEOUT
        )
        layers = [name for name in SCALED_LAYERS if arch.lrn_lanes or name not in _WITH_LRN]
    else:
        device = LinkedDevice(arch, port=port, baud=baud, reply_timeout=_REPLY_TIMEOUT)
        layers = [_SMALLEST]
    with device:
        if isinstance(device, DirectDevice):
            device.check_link()
        maps, values, cycles = _run_layers(device, layers, say)
    return (
        f"The netlist of the whole FPGA, pins outward, ran {', '.join(layers)} of AlexNet scaled "
        f"down for the host's own back end: {maps} feature maps with {values} values, {cycles} "
        "cycles of the core: no difference from the golden model"
    )


def check_library(
    library: Path,
    arch: Arch,
    *,
    registers: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> str:
    """Run AlexNet's layers, scaled down, and compare every feature map.

    Parameters
    ----------
    library : Path
        Simulation library of a core, for example of a netlist.
    arch : Arch
        Arch of the core.
    registers : int
        Address of the first register.
    say : callable
        Called with what happens now.

    Returns
    -------
    str
        What was compared, in a sentence.

    Raises
    ------
    NetlistError
        At the first difference.
    DeviceError
        If the library is not one for `arch`, or a run fails.
    """
    with RtlDevice(arch, library=library, memory_bytes=_MEMORY, registers=registers) as device:
        maps, values, cycles = _run_layers(device, SCALED_LAYERS, say)
    return (
        f"{len(SCALED_LAYERS)} small layers, {maps} feature maps with {values} values, "
        f"{cycles} cycles: no difference from the golden model"
    )
