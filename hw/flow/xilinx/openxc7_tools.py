"""Paths of the programs and databases of openXC7.

Environment variables, as openXC7's own makefile names them: ``NEXTPNR_XILINX_DIR`` (the
installation), ``PRJXRAY_DB_DIR`` (the folder with ``zynq7``), ``CHIPDB`` (the chip database, or the
folder with it).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from penstock.hw.flow.programs import digest, version
from penstock.hw.flow.toolchain import Tool

__all__ = ["HOW", "Tools"]

_DEFAULT_ROOT = Path("/snap/openxc7/current/opt/nextpnr-xilinx")

HOW = (
    "install openXC7 (nix develop github:openXC7/toolchain-nix, "
    "or github.com/openXC7/toolchain-installer)"
)

_PROGRAMS = ("nextpnr-xilinx", "fasm2frames", "xc7frames2bit", "bitread")


class Tools:
    """openXC7 as installed here, for one device.

    Parameters
    ----------
    family, device, part : str
        Such as ``zynq7``, ``xc7z020`` and ``xc7z020clg400-1``.
    env : mapping
        The environment.
    """

    def __init__(
        self, *, family: str, device: str, part: str, env: Mapping[str, str] = os.environ
    ) -> None:
        self.family = family
        self.device = device
        self.part = part
        self._env = env

    def _roots(self) -> Iterator[Path]:
        """Folders that an installation may be in."""
        if self._env.get("NEXTPNR_XILINX_DIR"):
            yield Path(self._env["NEXTPNR_XILINX_DIR"])
        program = shutil.which("nextpnr-xilinx", path=self._env.get("PATH"))
        if program is not None:
            yield Path(os.path.realpath(program)).parent.parent
        yield _DEFAULT_ROOT

    def program(self, name: str) -> str | None:
        """Path of a program, or None."""
        found = shutil.which(name, path=self._env.get("PATH"))
        for root in self._roots():
            found = found or shutil.which(name, path=f"{root / 'bin'}:{root}")
        return found

    def database(self) -> Path | None:
        """The family's folder of the Project X-Ray database, with this part in it; or None."""
        named = self._env.get("PRJXRAY_DB_DIR")
        folders = [Path(named)] if named else []
        for root in self._roots():
            folders += [
                root / "external" / "prjxray-db",
                root / "share" / "nextpnr" / "prjxray-db",
                root / "share",
            ]
        for folder in folders:
            family = folder / self.family
            if (family / self.device / "tilegrid.json").is_file() and (
                family / self.part / "part.yaml"
            ).is_file():
                return family
        return None

    def chip(self) -> Path | None:
        """The chip database for nextpnr, or None."""
        names = [f"{name}.bin" for name in (self.part.split("-")[0], self.device)]
        named = self._env.get("CHIPDB")
        if named and Path(named).is_file():
            return Path(named)
        folders = [Path(named)] if named else []
        for root in self._roots():
            folders += [root / "share", root / "share" / "nextpnr", root / "xilinx", root]
        for folder in folders:
            for name in names:
                if (folder / name).is_file():
                    return folder / name
        return None

    def list(self) -> list[Tool]:
        """Everything that place and route and the bitstream need."""
        found = []
        for name in _PROGRAMS:
            path = self.program(name)
            known = None
            if path is not None:
                known = version(path) if name.startswith("nextpnr") else None
                known = known or digest(Path(path))
            found.append(Tool(name, known, HOW))
        chip = self.chip()
        found.append(
            Tool(
                f"{self.device}.bin",
                None if chip is None else digest(chip),
                f"{HOW}, make it as its nextpnr-xilinx says, and set CHIPDB to it",
            )
        )
        database = self.database()
        found.append(
            Tool(
                f"prjxray-db {self.family}",
                None if database is None else digest(database / self.device / "tilegrid.json"),
                f"it comes with openXC7; set PRJXRAY_DB_DIR to the folder with {self.family}",
            )
        )
        return found
