"""cocotb benches, one file per block, and their runner for Verilator and Icarus.

Imports `sim.library` and `hw`.
"""
