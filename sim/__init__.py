"""Simulation: the Verilated library, netlists, cocotb benches, formal proofs, mutation tests.

Imports `hw`, `models` and cocotb; never `host`.
"""
