"""The `pynq-sim` device: the `pynq` device on a simulated board.

All software above the board is the real one: `host.devices.pynq.pynq_device`, and the installed
pynq package with its own Overlay, MMIO, Clocks and allocate.  Below is
`host.devices.pynq.simulated_board` with the simulated core.  The bitstream has a real header and
description, but it configures the simulation.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penstock.host.devices.device import DeviceError
from penstock.host.devices.pynq.pynq_device import PynqDevice
from penstock.host.devices.rtl_model import PROFILE, Model, ModelError, Profile
from penstock.host.devices.sim_library import simulation_library
from penstock.models.spec.arch import Arch
from penstock.models.spec.install_hint import install_hint
from penstock.models.zynq.hwh import CSR_BASE, divisors
from penstock.models.zynq.overlay import write_overlay

__all__ = ["FCLK_MHZ", "PynqSimDevice", "create", "write_pair"]

# The simulation counts cycles; times in seconds assume this clock in MHz.
FCLK_MHZ = 100.0

# The boards' memory size, in bytes.
_MEMORY = 512 << 20


def write_pair(folder: Path, arch: Arch) -> Path:
    """Write ``penstock.bit`` and ``penstock.hwh`` for a simulated fabric; return the former."""
    text = json.dumps(asdict(arch), sort_keys=True).encode()
    path = folder / "penstock.bit"
    write_overlay(
        path,
        arch=arch,
        payload=text.ljust(-(-len(text) // 4) * 4),
        divisors=divisors(FCLK_MHZ),
    )
    return path


class PynqSimDevice(PynqDevice):
    """A simulated board.

    Parameters
    ----------
    arch : Arch
    library : Path or None
        The simulation library of `arch` with a Zynq's ports; None: build it, or take it from the
        cache.
    bitstream : Path or None
        The ``.bit`` of a pair to load; None: a pair is generated for `arch`.
    profile : Profile
        Timing of the memory.
    interrupt : bool
        Whether the board's kernel exposes the interrupt.
    progress : callable or None
        Called with a description of each build step.
    watchdog : int
        As for `PynqDevice`.

    Attributes
    ----------
    board : SimulatedBoard

    Raises
    ------
    DeviceError
        If pynq is not installed, or the library cannot be built, or the overlay cannot be loaded.
    """

    name = "pynq-sim"
    counts_cycles = True

    def __init__(
        self,
        arch: Arch,
        *,
        library: Path | None = None,
        bitstream: Path | None = None,
        profile: Profile = PROFILE,
        interrupt: bool = True,
        progress: Callable[[str], None] | None = None,
        **options: Any,
    ) -> None:
        board_class = _board_class()
        if library is None:
            library = simulation_library(arch, top="pynq", progress=progress)
        try:
            model = Model(library, memory_bytes=_MEMORY)
        except (OSError, ModelError) as error:
            raise DeviceError(f"cannot open the simulation: {error}") from None
        self.board = board_class(model, base=CSR_BASE, profile=profile, interrupt=interrupt)
        try:
            with tempfile.TemporaryDirectory(prefix="penstock-overlay-") as folder:
                if bitstream is None:
                    bitstream = write_pair(Path(folder), arch)
                super().__init__(
                    arch,
                    bitstream=bitstream,
                    interrupt=interrupt,
                    system=self.board.system,
                    board=self.board,
                    **options,
                )
        except BaseException:
            self.board.close()
            raise
        self.board.heard = self._passed

    def _passed(self, cycles: int) -> None:
        """Pass on how many cycles the core has run."""
        if self.heard is not None:
            self.heard(cycles)

    def close(self) -> None:
        super().close()
        self.board.close()


def _board_class() -> Any:
    """Import the simulated board, and with it pynq.

    Raises
    ------
    DeviceError
        If pynq is not installed.
    """
    try:
        with warnings.catch_warnings():
            # pynq warns that it does not know this processor.
            warnings.simplefilter("ignore")
            from penstock.host.devices.pynq.simulated_board import SimulatedBoard
    except ModuleNotFoundError as error:
        raise DeviceError(
            f"the package {error.name} is missing: {install_hint('pynq')}; in a checkout "
            "`make board-env` makes an environment for it"
        ) from None
    return SimulatedBoard


def create(arch: Arch, **options: Any) -> PynqSimDevice:
    """Open the device; see `PynqSimDevice` for the options."""
    return PynqSimDevice(arch, **options)
