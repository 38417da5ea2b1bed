"""Imports pynq once, without the warnings of its age and of processors it does not know."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from penstock.host.devices.pynq import simulated_board

__all__ = ["simulated_board"]
