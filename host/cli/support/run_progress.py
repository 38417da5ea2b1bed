"""Progress of runs on devices: by predicted cycles where counted, otherwise by descriptors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from penstock.host.api.compiled import predicted_cycles
from penstock.host.cli.support.progress import Task, task
from penstock.host.devices.device import Device
from penstock.host.program.program import Program

__all__ = ["run_task"]


class _Share:
    """Progress of one device, in runs."""

    def __init__(self) -> None:
        self.runs = 0
        self._now = 0.0

    def update(self, share: float) -> None:
        if share < self._now:  # the next run has begun
            self.runs += 1
        self._now = share

    @property
    def done(self) -> float:
        return self.runs + self._now


@contextmanager
def run_task(text: str, devices: Sequence[Device], program: Program, runs: int) -> Iterator[Task]:
    """Show the progress of `runs` runs of a program on some devices.

    Parameters
    ----------
    text : str
    devices : sequence of Device
        Devices that report the progress of a run; for others the share stays 0.
    program : Program
    runs : int
        Number of runs on all devices together.
    """
    cycles = 0.0
    if any(device.counts_cycles for device in devices):
        cycles = predicted_cycles(program, devices[0].arch)
    shares = [_Share() for _ in devices]
    with task(text, total=runs) as shown:

        def watcher(own: _Share, whole: float) -> Callable[[int], None]:
            def heard(done: int) -> None:
                own.update(min(done / whole, 1.0))
                shown.update(sum(share.done for share in shares))

            return heard

        for device, own in zip(devices, shares):
            whole = cycles if device.counts_cycles else float(program.desc_count)
            device.heard = watcher(own, max(whole, 1.0))
        try:
            yield shown
        finally:
            for device in devices:
                device.heard = None
