"""cocotb benches, one file for each block, and what runs them on Verilator and Icarus.

Imports `sim.library` and `hw`.
"""
