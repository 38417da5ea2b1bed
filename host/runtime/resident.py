"""Several networks in the memory of one device, each ready to run.

::

    device memory   | alexnet: program, weights, maps | googlenet: program, weights, maps | free

To switch networks, a run writes another base address, descriptor offset and descriptor count: three
registers that every run writes anyway.  Nothing is loaded, copied or reset.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penstock.host.devices.device import Device, DeviceFull
from penstock.host.program.program import Program
from penstock.host.runtime.session import Result, Session
from penstock.models.graph.graph import Network

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Resident"]


class Resident:
    """Networks by name on one device; a context manager that frees their memory.

    Thread-safe: requests are run one after the other.

    Parameters
    ----------
    device : Device
        Closed by its owner, not here.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    @property
    def memory(self) -> dict[str, int]:
        """Bytes of device memory of each network, in the order in which they were added."""
        return {name: session.program.arena_bytes for name, session in self._sessions.items()}

    def add(
        self, name: str, network: Network, program: Program, *, top: int = 5, check: bool = False
    ) -> None:
        """Load a network; the resident ones are not affected.

        Parameters
        ----------
        name : str
            Name by which `run` finds it.
        network, program, top, check
            As for `host.runtime.session.Session`.

        Raises
        ------
        ValueError
            If the name is in use, or network and program do not match.
        DeviceFull
            If it does not fit: the message says how many bytes each network takes.
        DeviceError
            If the program is for another arch.
        """
        with self._lock:
            if name in self._sessions:
                raise ValueError(f"{name} is resident already")
            try:
                session = Session(network, program, self.device, top=top, check=check)
            except DeviceFull as error:
                there = [f"{other} {size}" for other, size in self.memory.items()]
                raise DeviceFull(
                    f"{name} does not fit, it takes {program.arena_bytes} bytes; resident: "
                    f"{', '.join(there) or 'nothing'}; {error}"
                ) from None
            self._sessions[name] = session

    def remove(self, name: str) -> None:
        """Free the memory of a network.

        Raises
        ------
        ValueError
            If the network is not resident.
        """
        with self._lock:
            self._session(name).close()
            del self._sessions[name]

    def run(self, name: str, images: Iterable[NDArray[np.uint8]]) -> list[Result]:
        """Run images through a network; return their results in order.

        Parameters
        ----------
        name : str
        images : iterable of uint8 arrays (height, width, channels)
            Input codes of that network.

        Raises
        ------
        ValueError
            If the network is not resident, or an image does not have its shape.
        DeviceError
            If a run fails; the device is ready for the next request.
        """
        with self._lock:
            return list(self._session(name).run(images))

    def close(self) -> None:
        """Remove all networks; repeated calls do nothing."""
        with self._lock:
            while self._sessions:
                self._sessions.popitem()[1].close()

    def _session(self, name: str) -> Session:
        session = self._sessions.get(name)
        if session is None:
            there = ", ".join(self._sessions) or "nothing"
            raise ValueError(f"network must be one of those resident ({there}), not {name!r}")
        return session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
