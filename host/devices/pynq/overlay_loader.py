"""Loading the accelerator's overlay with pynq, with a check of each step.

A bitstream is two files: ``x.bit`` and ``x.hwh``.  The steps: the two files match and are for this
arch; the system can load them; pynq loads them and sets the clock; the FPGA manager reports
success; pynq uses this description and not a cached one; the clock has the bitstream's frequency;
only then the first register is read.  Reading a register without a clock would freeze the board.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.host.devices.csr import Csr
from penstock.host.devices.device import DeviceError
from penstock.host.devices.pynq.linux import System
from penstock.models.spec.arch import Arch
from penstock.models.spec.install_hint import install_hint
from penstock.models.spec.regs import CSR_BYTES, REGISTERS
from penstock.models.zynq.bitfile import read_bit, short_part
from penstock.models.zynq.hwh import CORE, PART, Handoff, read_hwh

__all__ = ["load_overlay", "read_pair"]

# The part of both boards; a speed grade may follow.
_PART = short_part(PART)
_CLOCK_TOLERANCE = 0.01
_WORD = 0xFFFFFFFF


def read_pair(path: Path, arch: Arch) -> Handoff:
    """Parse the bitstream at `path` and the description beside it.

    Raises
    ------
    DeviceError
        If one is missing or damaged, they do not match, or they are not for `arch`.
    """
    description = path.with_suffix(".hwh")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DeviceError(
            f"no overlay: {path}: {error.strerror} (`penstock bitstream --board pynq-z2` makes one)"
        ) from None
    try:
        text = description.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise DeviceError(f"{description}: {reason}: copy the .hwh beside its .bit") from None
    try:
        bit = read_bit(data)
    except ValueError as error:
        raise DeviceError(f"{path}: {error}") from None
    try:
        handoff = read_hwh(text)
    except ValueError as error:
        raise DeviceError(f"{description}: {error}") from None
    if not bit.part.removeprefix("xc").startswith(_PART):
        raise DeviceError(f"{path}: the bitstream is for {bit.part}, the boards have {_PART}")
    if handoff.payload_sha256 != bit.sha256:
        raise DeviceError(
            f"{description} describes another bitstream than {path.name}: copy both files again"
        )
    if handoff.fingerprint != arch.fingerprint:
        raise DeviceError(
            f"{path}: the bitstream is of arch {handoff.arch} ({handoff.fingerprint:016x}), "
            f"not of {arch}"
        )
    return handoff


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    """Turn exceptions of pynq into one line."""
    try:
        with warnings.catch_warnings():
            # pynq warns of what this module checks, and of deprecated packages it uses.
            warnings.simplefilter("ignore")
            yield
    except DeviceError:
        raise
    except ImportError as error:
        name = error.name or str(error)
        if name == "pyxrt":
            raise DeviceError(
                "pynq cannot import pyxrt: use a login shell (`sudo -i`), which sets up XRT"
            ) from None
        raise DeviceError(
            f"the package {name} is missing: {install_hint('pynq')}, on a board "
            "`source /etc/profile.d/pynq_venv.sh`"
        ) from None
    except OSError as error:
        where = error.filename or path
        reason = error.strerror or str(error)
        raise DeviceError(
            f"pynq cannot load {path}: {where}: {reason} (it writes to /lib/firmware and its own "
            "package: is the card mounted read-only, or are you not root?)"
        ) from None
    except Exception as error:
        if "No Devices Found" in str(error):
            raise DeviceError(
                "No Devices Found: pynq sees no FPGA; use a login shell (`sudo -i`) so that "
                "XILINX_XRT is set"
            ) from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DeviceError(f"pynq cannot load {path}: {reason}") from error


def _check_description(overlay: Any, handoff: Handoff, path: Path) -> None:
    """Refuse a description that pynq cached for an earlier version of the bitstream."""
    known = overlay.ip_dict.get(CORE)
    found: tuple[object, ...] = ()
    if known is not None:
        clock = overlay.clock_dict.get(0, {})
        parameters = known.get("parameters", {})
        found = (
            known.get("phys_addr"),
            (clock.get("divisor0"), clock.get("divisor1")),
            parameters.get("BITSTREAM_SHA256"),
            {name: entry["address_offset"] for name, entry in known["registers"].items()},
        )
    expected = (
        handoff.base,
        handoff.divisors,
        handoff.payload_sha256,
        {register.name: register.offset for register in REGISTERS},
    )
    if found != expected:
        raise DeviceError(
            f"pynq uses another description than {path.with_suffix('.hwh')}: it keeps one for each "
            "bitstream; delete _current_metadata.pkl and global_pl_state_*.json in its folder "
            "pynq/pl_server"
        )


def _set_clock(handoff: Handoff) -> None:
    """Set FCLK0 to the frequency that the bitstream was built for."""
    from pynq import Clocks

    wanted = handoff.fclk_mhz

    def right() -> bool:
        return abs(Clocks.fclk0_mhz - wanted) <= _CLOCK_TOLERANCE * wanted

    # The description's divisors hold for the default PLL frequency only.
    if not right():
        Clocks.fclk0_mhz = wanted
    if not right():
        raise DeviceError(
            f"FCLK0 runs at {Clocks.fclk0_mhz:g} MHz, the bitstream is for {wanted:g} MHz: "
            "another program changed the PLLs; switch the board off and on"
        )


def load_overlay(
    path: Path, arch: Arch, *, system: System, device: Any = None
) -> tuple[Any, Csr, Handoff]:
    """Load the bitstream at `path`; return pynq's overlay, the registers, and its description.

    Parameters
    ----------
    path : Path
        The ``.bit`` file; its ``.hwh`` is beside it.
    arch : Arch
        The arch that the bitstream must be of.
    system : System
    device : pynq.Device or None
        None: the board this runs on.

    Raises
    ------
    DeviceError
        If a step fails: one line that says which, and what to do.
    """
    handoff = read_pair(path, arch)
    system.check()
    with _loading(path):
        from pynq import MMIO, Overlay

        overlay = Overlay(str(path.resolve()), device=device)
        system.check_loaded()
        _check_description(overlay, handoff, path)
        _set_clock(handoff)
        mmio = MMIO(handoff.base, CSR_BYTES, device=overlay.device)
    csr = Csr(
        lambda where: int(mmio.read(where)) & _WORD,
        lambda where, value: mmio.write(where, int(value)),
    )
    try:
        wrong = csr.identity_error(arch)
    except (OSError, RuntimeError) as error:
        raise DeviceError(f"the core at {handoff.base:#x} does not answer: {error}") from None
    if wrong is not None:
        raise DeviceError(f"the core at {handoff.base:#x} {wrong}")
    return overlay, csr, handoff
