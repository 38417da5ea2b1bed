"""A program that gets SIGTERM while its network runs, and the next program on the same board.

Prints the board's state at each point, for ``tests/board/test_killed.py``.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import warnings
from pathlib import Path

from penstock.host.cli.interrupts import terminable
from penstock.host.compiler.compile import compile_network
from penstock.host.devices.pynq.pynq_device import PynqDevice
from penstock.host.devices.pynq.pynq_sim import write_pair
from penstock.host.devices.rtl_model import Model, Profile
from penstock.host.devices.sim_library import simulation_library
from penstock.models.spec.arch import get_arch
from penstock.models.zynq.hwh import CSR_BASE
from tests.support.infer import check_maps, infer, load
from tests.support.netgen import random_codes
from tests.support.small_network import small_network

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from penstock.host.devices.pynq.simulated_board import SimulatedBoard

__all__ = ["main"]

ARCH = get_arch("tiny")
# Cycles of each burst of the first run, so that it would last many seconds.
SLOW = Profile(latency=200_000, stall_per_mille=0)


def main(folder: Path) -> None:
    """Run it."""
    model = Model(simulation_library(ARCH, top="pynq"), memory_bytes=512 << 20)
    board = SimulatedBoard(model, base=CSR_BASE, profile=SLOW)
    network = small_network()
    program = compile_network(network, ARCH)
    pair = write_pair(folder, ARCH)
    codes = random_codes(network, 1)

    def say(what: str) -> None:
        free = (board.system.root / "proc/meminfo").read_text().splitlines()[1].split()[1]
        print(f"{what}: {len(board.pieces)} buffers, CmaFree {free} kB", flush=True)

    def work() -> None:
        with PynqDevice(ARCH, bitstream=pair, system=board.system, board=board) as device:
            buffer = load(device, program)
            start = device.csr.start

            def started(**values: int) -> None:
                start(**values)
                say("running")

            device.csr.start = started  # type: ignore[method-assign]
            check_maps(infer(device, program, buffer, codes), network, codes)

    # A background program of a script may have inherited SIGINT as ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with terminable():
            work()
    except KeyboardInterrupt:
        say("ended")
    model.profile(Profile())
    work()
    say("right")
    board.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
    sys.exit(0)
