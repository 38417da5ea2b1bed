"""The Linux system of a PYNQ board: what pynq needs before it can load an overlay.

All paths are under one root folder, ``/`` on a board; the simulated board has its own.
"""

from __future__ import annotations

import os
import select
from dataclasses import dataclass
from pathlib import Path

from penstock.host.devices.device import DeviceError

__all__ = ["Interrupt", "System"]

_BOARDS = ("Pynq-Z1", "Pynq-Z2")
# Device name of the first interrupt from the fabric in the boards' images.
_UIO_NAME = "fabric"
_ENABLE = (1).to_bytes(4, "little")


@dataclass(frozen=True)
class System:
    """Paths of the kernel's files, and whether they are real.

    Parameters
    ----------
    root : Path
        Root folder of the kernel's files.
    simulated : bool
        Whether it is the simulated board, which needs neither root nor XRT.
    """

    root: Path = Path("/")
    simulated: bool = False

    @property
    def fpga_manager(self) -> Path:
        """Folder of the kernel's FPGA manager."""
        return self.root / "sys/class/fpga_manager/fpga0"

    def check(self) -> None:
        """Check that an overlay can be loaded on this system.

        Raises
        ------
        DeviceError
            The message says what to do.
        """
        if not self.simulated:
            if not self.fpga_manager.exists():
                raise DeviceError(
                    f"No Devices Found: {self.fpga_manager} does not exist, so this is not a PYNQ "
                    "board (--device pynq-sim simulates one)"
                )
            if os.geteuid() != 0:
                raise DeviceError(
                    "the board's memory and registers need root: run `sudo -i` first, then the "
                    "command again"
                )
            if not os.environ.get("XILINX_XRT"):
                raise DeviceError(
                    "XILINX_XRT is not set, so pynq finds no device: use a login shell "
                    "(`sudo -i`), or `source /etc/profile.d/xrt_setup.sh` and `pynq_venv.sh` there"
                )
            board = os.environ.get("BOARD")
            if board is not None and board not in _BOARDS:
                raise DeviceError(f"BOARD must be one of {', '.join(_BOARDS)}, not {board!r}")
        folder = Path.cwd()
        if not os.access(folder, os.W_OK):
            raise DeviceError(
                f"the working folder {folder} cannot be written to: cd to one that can"
            )

    def check_loaded(self) -> None:
        """Check that the fabric was configured, which pynq does not check.

        Raises
        ------
        DeviceError
            If the FPGA manager's state is not ``operating``.
        """
        path = self.fpga_manager / "state"
        try:
            state = path.read_text().strip()
        except OSError as error:
            raise DeviceError(f"{path}: {error.strerror}") from None
        if state != "operating":
            raise DeviceError(
                f"the bitstream was not taken: {path} says {state!r}, not 'operating' (dmesg says "
                "why; is it for a Zynq-7020?)"
            )

    def contiguous_memory(self) -> str:
        """Return how much contiguous memory the kernel reports."""
        try:
            lines = (self.root / "proc/meminfo").read_text().splitlines()
        except OSError:
            return "no CMA figures"
        values = dict(line.split(":", 1) for line in lines if ":" in line)
        parts = [
            f"{name} {values[name].strip()}" for name in ("CmaFree", "CmaTotal") if name in values
        ]
        return ", ".join(parts) or "no CMA figures"

    def interrupt(self) -> Interrupt | None:
        """Open the interrupt from the fabric; None if the system has none."""
        for folder in sorted((self.root / "sys/class/uio").glob("uio*")):
            try:
                if (folder / "name").read_text().strip() == _UIO_NAME:
                    return Interrupt(self.root / "dev" / folder.name)
            except OSError:
                continue  # in use by another driver: poll instead
        return None


class Interrupt:
    """An interrupt in user space (UIO): a file that becomes readable when it occurs.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def enable(self) -> None:
        """Enable the next interrupt; discard earlier ones."""
        while self.wait(0):
            pass
        os.write(self._file, _ENABLE)

    def wait(self, seconds: float) -> bool:
        """Wait for the interrupt; return False after `seconds` without one."""
        ready, _, _ = select.select([self._file], [], [], seconds)
        if not ready:
            return False
        try:
            return bool(os.read(self._file, 4))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
