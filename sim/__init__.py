"""Simulation: the in-process Verilated library, its memory model and the cocotb benches."""
