"""Simulation: the Verilated library, netlists, cocotb benches, proofs, planted faults.

Imports `hw`, `models` and cocotb; never `host`.
"""
