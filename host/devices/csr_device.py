"""A device whose core is started and watched through its registers.

A run is the same everywhere::

    make the core idle -> start -> wait for the end -> error? -> counts right? -> counters and log

What differs is how a back end starts, waits and stops.
"""

from __future__ import annotations

import abc
import contextlib
import time

from penstock.host.devices.csr import Csr
from penstock.host.devices.device import Buffer, Device, DeviceError, RunLog
from penstock.host.program.program import Program
from penstock.models.spec.arch import Arch
from penstock.models.spec.regs import LOG_FIELDS

__all__ = ["CsrDevice"]


class CsrDevice(Device):
    """A core that is controlled by registers.

    Parameters
    ----------
    arch : Arch
    watchdog : int
        Cycles without progress after which a run is given up; 0: never.

    Raises
    ------
    ValueError
        If `watchdog` does not fit its register.
    """

    csr: Csr

    # Exceptions of the register access besides DeviceError.
    FAULTS: tuple[type[Exception], ...] = ()

    def __init__(self, arch: Arch, *, watchdog: int) -> None:
        super().__init__(arch)
        if not 0 <= watchdog < 1 << 32:
            raise ValueError(f"watchdog must be from 0 to {(1 << 32) - 1}, not {watchdog!r}")
        self.watchdog = watchdog
        self._totals = {name: 0 for name, _ in LOG_FIELDS}

    def start(self, program: Program, buffer: Buffer) -> None:
        """Begin a run, which then goes on by itself: what `run` does first."""
        self.csr.start(
            base=buffer.offset,
            desc_offset=program.desc_offset,
            desc_count=program.desc_count,
            watchdog=self.watchdog,
        )

    @abc.abstractmethod
    def _wait(self, program: Program, begin: float, timeout: float) -> None:
        """Wait for the end of the run that began at `begin` (`time.monotonic`).

        Raises
        ------
        DeviceError
            If there is none within `timeout` seconds: what the ports asked for and got.
        """

    @abc.abstractmethod
    def _recover(self) -> None:
        """Make the core idle.

        Raises
        ------
        DeviceError
            If it does not stop.
        """

    def _ended(self) -> None:
        """Do what a run that was completed asks for."""

    def _fault(self, error: Exception) -> str:
        """Return the meaning of one of `FAULTS`."""
        return str(error)

    def run(self, program: Program, buffer: Buffer, *, timeout: float = 60.0) -> RunLog:
        """Run `program`, whose image and input are in `buffer`, to its end.

        After an error of the program, the device is ready for the next run.
        """
        self.check_program(program, buffer)
        begin = time.monotonic()
        completed = False
        try:
            if not self.csr.idle:
                self._recover()
            self.start(program, buffer)
            self._wait(program, begin, timeout)
            if self.csr.failed:
                raise DeviceError(self.describe_error(program, buffer))
            self.check_counts(program)
            self._ended()
            seconds = time.monotonic() - begin
            self._totals = self.csr.totals()
            log = RunLog(self.csr.log(), dict(self._totals), seconds)
            completed = True
        except DeviceError:
            raise
        except self.FAULTS as error:
            raise DeviceError(self._fault(error)) from None
        finally:
            if not completed:
                # What went wrong says more than that the core does not stop either: the next run
                # meets it again.
                with contextlib.suppress(DeviceError):
                    self._recover()
        return log

    def counters(self) -> dict[str, int]:
        """Return the counters (`models.spec.regs.LOG_FIELDS`) of the last completed run."""
        return dict(self._totals)
