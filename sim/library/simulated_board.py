"""A simulated board: its Verilated top with a model of the SDRAM and of the host's serial port.

`BoardModel` wraps ``sim/library/board.cpp``.  `PtyBoard` connects the serial port to a
pseudo-terminal and runs the board in a thread, so that the host software uses it like a real one.
"""

from __future__ import annotations

import ctypes
import os
import select
import threading
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from penstock.hw.memory.sdram_chip import SdramChip
from penstock.models.spec.cache_folder import cache_dir, digest
from penstock.sim.library.build import verilog
from penstock.sim.library.cxx import FLAGS, Progress, compile_units, runtime, say, translate
from penstock.sim.library.entries import cached
from penstock.sim.library.toolchain import (
    call,
    compiler,
    compiler_identity,
    versions,
)

__all__ = [
    "STATISTICS",
    "BoardModel",
    "ModelPort",
    "PtyBoard",
    "Timing",
    "board_library",
    "build_board",
]

_HERE = Path(__file__).resolve().parent
_SOURCES = (_HERE / "board.cpp", _HERE / "sdram.h")
_ARITHMETIC = _HERE / "arithmetic.h"
_VERILATOR_FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--output-split", "20000")

_Handle = ctypes.c_void_p
_u64 = ctypes.c_uint64

# Argument and result types of the functions of ``sim/library/board.cpp``.
_SIGNATURES = {
    "open": (_Handle, [ctypes.POINTER(_u64), _u64]),
    "close": (None, [_Handle]),
    "run": (None, [_Handle, _u64]),
    "press": (None, [_Handle, ctypes.c_int]),
    "led": (ctypes.c_uint32, [_Handle]),
    "cycles": (_u64, [_Handle]),
    "memory": (ctypes.c_void_p, [_Handle]),
    "violation": (ctypes.c_char_p, [_Handle]),
    "statistics": (None, [_Handle, ctypes.POINTER(_u64)]),
    "send": (None, [_Handle, ctypes.c_char_p, _u64]),
    "unsent": (_u64, [_Handle]),
    "receive": (_u64, [_Handle, ctypes.c_char_p, _u64]),
}

# In the order of SdramStatistics in ``sim/library/sdram.h``.
STATISTICS = ("cycles", "activates", "reads", "writes", "refreshes")

# Members of SdramTiming after the first.
_CHIP_VALUES = 18

# Bytes of the serial port moved at a time.
_CHUNK = 4096


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Settings of the board around the FPGA.

    Parameters
    ----------
    clock_hz : int
    baud : float
        Baud rate of the computer's end of the serial port.
    phase : float
        Delay of the SDRAM's clock against the FPGA's, as a fraction of a period.
    delay : float
        Delay from a clock edge in the FPGA to the chip and back to the FPGA's input, in ns.
    """

    clock_hz: int
    baud: float
    phase: float = 5 / 7
    delay: float = 5.0

    def values(self, chip: SdramChip | None) -> list[int]:
        """Members of SdramTiming in ``sim/library/sdram.h``, in its order, in picoseconds."""
        period = 1e12 / self.clock_hz
        if chip is None:
            return [int(period)] + [0] * _CHIP_VALUES
        numbers: list[float] = [
            *(period, self.phase * period, self.delay * 1000),
            *(chip.row_bits, chip.column_bits, chip.bank_bits, chip.cas_latency),
            *(1000 * t for t in (chip.t_rcd, chip.t_rp, chip.t_ras, chip.t_rc, chip.t_rfc)),
            *(1000 * t for t in (chip.t_wr, chip.t_rrd)),
            chip.c_mrd,
            1000 * chip.t_ref / chip.refreshes,
            *(1000 * t for t in (chip.t_power, chip.t_ac, chip.t_oh)),
        ]
        return [int(number) for number in numbers]


def board_library(
    make: Callable[[], wiring.Component],
    *,
    identity: str,
    sdram: bool = True,
    sources: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Path:
    """Path of the simulation library of a board's top; built if it is not cached.

    Parameters
    ----------
    make : callable
        Returns the top, which has the members of `hw.boards.ulx3s.Ulx3s`.
    sdram : bool
        Whether it has those of the SDRAM.
    identity, sources
        As in `sim.library.build.verilog`.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    text = verilog(make, identity=identity, sources=sources, name="board", progress=progress)
    return build_board(text, sdram=sdram, progress=progress)


def build_board(
    text: str, *, sdram: bool = True, level: str = "-O2", progress: Progress | None = None
) -> Path:
    """Compile the Verilog `text`, whose module ``board`` is the top; cached.

    Parameters
    ----------
    text : str
    sdram : bool
        As in `board_library`.
    level : str
        The compiler's optimisation level.
    progress : callable or None
    """
    cxx = compiler()
    parts: list[str | bytes] = [text, *_VERILATOR_FLAGS, *FLAGS, versions(), compiler_identity()]
    parts += [path.read_bytes() for path in (*_SOURCES, _ARITHMETIC)]
    parts += [str(sdram), level]
    path = cache_dir() / f"board-{digest(parts)}.so"

    def build(folder: Path) -> Path:
        units = translate(
            text,
            folder,
            top="board",
            prefix="Vboard",
            flags=_VERILATOR_FLAGS,
            progress=progress,
        )
        objects = compile_units(
            [_SOURCES[0], *units],
            folder,
            level=level,
            flags=["-include", _ARITHMETIC, *(["-DPENSTOCK_SDRAM"] if sdram else [])],
            what="the board",
            progress=progress,
        )
        objects += runtime(progress=progress)
        say(progress, "linking")
        result = folder / "board.so"
        call([cxx, "-shared", "-o", result, *objects, "-pthread"])
        return result

    return cached(path, build)


class BoardModel:
    """One simulated board.  Not safe to use from two threads at a time; calls release the GIL.

    Parameters
    ----------
    library : Path
        What `board_library` returned.
    chip : SdramChip or None
        None: there is none.
    timing : Timing

    Attributes
    ----------
    memory : NDArray[uint8]
        The SDRAM itself, shape (chip.size,).

    Raises
    ------
    MemoryError
        If it cannot be mapped.
    """

    def __init__(self, library: Path, *, chip: SdramChip | None, timing: Timing) -> None:
        self._library = ctypes.CDLL(str(library))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._library, f"board_{name}")
            function.restype = result
            function.argtypes = arguments
        values = timing.values(chip)
        self._handle: int | None = self._library.board_open(
            (_u64 * len(values))(*values), int(1e12 / timing.baud)
        )
        if not self._handle:
            raise MemoryError("cannot map the memory of the simulated SDRAM")
        size = 0 if chip is None else chip.size
        self.memory: NDArray[np.uint8] = np.ctypeslib.as_array(
            (ctypes.c_uint8 * size).from_address(self._call("memory"))
        )

    def close(self) -> None:
        """Free the board."""
        if self._handle:
            # The array must not outlive the memory that it maps.
            self.memory = np.zeros(0, np.uint8)
            self._library.board_close(self._handle)
            self._handle = None

    def run(self, cycles: int) -> None:
        """Let time pass.

        Raises
        ------
        AssertionError
            If a rule of the SDRAM was broken.
        """
        self._call("run", cycles)
        violation = bytes(self._call("violation")).decode()
        if violation:
            raise AssertionError(f"SDRAM rules broken: {violation}")

    def press(self, down: bool) -> None:
        """Press or release the reset button."""
        self._call("press", int(down))

    @property
    def led(self) -> int:
        """The LEDs, LED 0 in the lowest bit."""
        return int(self._call("led"))

    @property
    def cycles(self) -> int:
        """Cycles since power-up."""
        return int(self._call("cycles"))

    def statistics(self) -> dict[str, int]:
        """Cycles and commands the SDRAM has seen."""
        values = (_u64 * len(STATISTICS))()
        self._call("statistics", values)
        return dict(zip(STATISTICS, values))

    def send(self, data: bytes) -> None:
        """Queue bytes for the serial line to the board."""
        self._call("send", data, len(data))

    @property
    def unsent(self) -> int:
        """Bytes still queued."""
        return int(self._call("unsent"))

    def receive(self) -> bytes:
        """Return the bytes that came from the board since the last call."""
        buffer = ctypes.create_string_buffer(_CHUNK)
        count = self._call("receive", buffer, _CHUNK)
        return buffer.raw[:count]

    def _call(self, name: str, *arguments: object) -> Any:
        if not self._handle:
            raise RuntimeError("the board is closed")
        return getattr(self._library, f"board_{name}")(self._handle, *arguments)


class ModelPort:
    """A board's serial port without terminal or thread: simulated time passes while the host waits.

    It implements `host.devices.serial.link_client.Port`, so the host's back end runs on it,
    deterministically.

    Parameters
    ----------
    model : BoardModel
        Closed together with the port.
    clock_hz : int
        Frequency of the board's clock, which converts waiting time to cycles.
    step : int
        Cycles between two checks for received bytes.

    Attributes
    ----------
    to_board, from_board : callable
        Called with the bytes on their way; what they return goes on.  To damage or lose some.
    """

    name = "simulated board"

    def __init__(self, model: BoardModel, *, clock_hz: int, step: int = 500) -> None:
        self.model = model
        self.clock_hz = clock_hz
        self.step = step
        self.to_board: Callable[[bytes], bytes] = lambda data: data
        self.from_board: Callable[[bytes], bytes] = lambda data: data

    def write(self, data: bytes) -> None:
        """Queue bytes for the board."""
        self.model.send(self.to_board(data))

    def read(self, timeout: float) -> bytes:
        """Return received bytes, at the latest after `timeout` seconds of simulated time."""
        end = self.model.cycles + max(int(timeout * self.clock_hz), self.step)
        while self.model.cycles < end:
            self.model.run(self.step)
            data = self.from_board(self.model.receive())
            if data:
                return data
        return b""

    def press_reset(self) -> None:
        """Press the button briefly."""
        self.model.press(True)
        self.model.run(100)
        self.model.press(False)

    def close(self) -> None:
        """End the simulation."""
        self.model.close()


class PtyBoard:
    """A simulated board on a pseudo-terminal; a context manager.

    Parameters
    ----------
    model : BoardModel
        Owned by the thread from here on, and closed at the end.
    step : int
        Cycles between two checks of the terminal.

    Attributes
    ----------
    port : str
        Path of the terminal to open instead of a serial port.
    to_board, from_board : callable
        Called with the bytes on their way; what they return goes on.  To damage or lose some.
    """

    def __init__(self, model: BoardModel, *, step: int = 2000) -> None:
        self.model = model
        self.step = step
        self.to_board: Callable[[bytes], bytes] = lambda data: data
        self.from_board: Callable[[bytes], bytes] = lambda data: data
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._pressed = threading.Event()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="simulated board", daemon=True)

    def press_reset(self) -> None:
        """Press the button briefly; return when it is released."""
        self._pressed.set()
        while self._pressed.is_set() and self._thread.is_alive():
            self._stop.wait(0.001)

    def __enter__(self) -> PtyBoard:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)
        self.model.close()
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        except BaseException as error:
            self._failure = error

    def _turn(self) -> None:
        if self._pressed.is_set():
            self.model.press(True)
            self.model.run(100)
            self.model.press(False)
            self._pressed.clear()
        if select.select([self._master], [], [], 0)[0]:
            data = self.to_board(os.read(self._master, _CHUNK))
            self.model.send(data)
        self.model.run(self.step)
        data = self.from_board(self.model.receive())
        while data:
            data = data[os.write(self._master, data) :]
