"""Penstock: an FPGA accelerator for convolutional networks, its compiler, runtime and simulation.

``penstock.models`` is the specification, ``penstock.hw`` the hardware, ``penstock.host`` compiler,
devices and command line, ``penstock.sim`` the simulation.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.2.0"
