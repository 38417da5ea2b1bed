"""Design-space exploration: sweeps of arches, with cycles, bytes, cells and Pareto front.

Cycles and bytes are predicted by the compiler's cost model, cells by formulas fitted to syntheses.
It prints nothing and opens no device.
"""
