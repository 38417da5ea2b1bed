"""Planted faults: where hardware can have one, whether a test sees it, and proofs that none could.

Imports `sim.formal.checking`; runs tests as processes.
"""
