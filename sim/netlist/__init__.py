"""Simulation of synthesised netlists: cells of three vendors, and whole chips.

Imports `sim.library` and `hw.boards`.
"""
