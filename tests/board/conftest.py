"""Imports pynq once, with its warnings about deprecations and unknown processors suppressed."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from penstock.host.devices.pynq import simulated_board

__all__ = ["simulated_board"]
