"""Synthesised netlists as simulations: cells of three vendors, and whole chips.

Imports `sim.library` and `hw.boards`.
"""
