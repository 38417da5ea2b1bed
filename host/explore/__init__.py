"""Design-space exploration: sweeps of arches with their cycles, bytes and cells, and the Pareto
front.

Cycles and bytes are predicted by the compiler's cost model, cells by formulas fitted to syntheses.
It prints nothing and opens no device.
"""
