"""A small layer against the golden model: compile, upload, run, compare, bit for bit.

The layers are those of AlexNet, scaled down (`models.networks.scaled_down`).  Memory starts as
noise, so that unwritten results are found, except over a slow link.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.host.compiler.compile import compile_network
from penstock.host.devices.device import Device, RunLog
from penstock.host.program.program import Program
from penstock.host.runtime.session import compare_maps
from penstock.models.golden.ops import run_quantised
from penstock.models.graph.graph import Network
from penstock.models.networks.scaled_down import scaled_layer
from penstock.models.spec.arch import Arch

__all__ = ["LayerCase", "LayerOutcome", "LayerWrong"]


class LayerWrong(Exception):
    """A map is not the golden model's; the message has layer, position and both values."""


@dataclass(frozen=True)
class LayerOutcome:
    """Result of a layer, equal to the golden model's.

    Parameters
    ----------
    maps : dict of arrays
        uint8 (height, width, channels), by layer name.
    log : RunLog or None
        Of the last run.
    """

    maps: dict[str, NDArray[np.uint8]]
    log: RunLog | None = None

    @property
    def values(self) -> int:
        """Number of values compared."""
        return sum(array.size for array in self.maps.values())


@dataclass(frozen=True)
class LayerCase:
    """A layer, its program and its input.

    Parameters
    ----------
    name : str
        One of `models.networks.scaled_down.SCALED_LAYERS`.
    network : Network
    program : Program
        Stores every map.
    codes : uint8 array
        Random input.
    seed : int
    """

    name: str
    network: Network
    program: Program
    codes: NDArray[np.uint8]
    seed: int

    @classmethod
    def make(cls, name: str, arch: Arch, *, seed: int) -> LayerCase:
        """Return a layer, compiled for an arch.

        Raises
        ------
        CompileError
            If it does not fit the arch.
        """
        network = scaled_layer(name)
        program = compile_network(network, arch, trace=True)
        codes = np.random.default_rng(seed).integers(0, 256, network.input.shape, np.uint8)
        return cls(name, network, program, codes, seed)

    @cached_property
    def golden(self) -> dict[str, NDArray[Any]]:
        """The golden model's maps."""
        return run_quantised(self.network, self.codes)

    def memory(self) -> NDArray[np.uint8]:
        """Return device memory before a run, uint8 (arena_bytes,): program, input, noise."""
        program = self.program
        arena = np.random.default_rng(self.seed).integers(0, 256, program.arena_bytes, np.uint8)
        arena[: len(program.image)] = np.frombuffer(program.image, np.uint8)
        for offset, data in program.pack_input(self.codes):
            arena[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        return arena

    def compare(
        self, read: Callable[[int, int], NDArray[np.uint8]], log: RunLog | None = None
    ) -> LayerOutcome:
        """Compare the results in memory after a run with the golden model.

        Parameters
        ----------
        read : callable
            Returns the bytes from an offset on, so many.
        log : RunLog, optional
            For the outcome.

        Raises
        ------
        LayerWrong
            At the first difference.
        """
        maps = {
            name: self.program.unpack(name, read(spec.offset, spec.size))
            for name, spec in self.program.outputs.items()
        }
        wrong = compare_maps(maps, self.golden)
        if wrong:
            raise LayerWrong(str(wrong[0]))
        return LayerOutcome(maps, log)

    def run(
        self, device: Device, *, times: int = 1, clear: bool = True, timeout: float = 60
    ) -> LayerOutcome:
        """Run on a device and compare after each run.

        Parameters
        ----------
        device : Device
        times : int
        clear : bool
            Whether to fill memory with noise first; over a slow link that takes long.
        timeout : float
            Seconds for each run.

        Raises
        ------
        LayerWrong
            At the first difference; says in which run, if there are several.
        DeviceError
            If a run fails.
        """
        buffer = device.alloc(self.program.arena_bytes)
        try:
            if clear:
                device.write(buffer, self.memory())
            device.upload(buffer, self.program.image)
            for number in range(times):
                for offset, data in self.program.pack_input(self.codes):
                    device.upload(buffer, data, offset)
                log = device.run(self.program, buffer, timeout=timeout)
                try:
                    outcome = self.compare(
                        lambda offset, size: device.read(buffer, offset, size), log
                    )
                except LayerWrong as error:
                    which = "" if times == 1 else f"the {('first', 'second')[number]} run: "
                    raise LayerWrong(f"{which}{error}") from None
        finally:
            device.free(buffer)
        return outcome
