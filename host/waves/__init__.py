"""Waveforms that simulations write: what is in them, and a layout to look at them with.

Imports `models` only.  Writing waveforms is the simulators' business.
"""
