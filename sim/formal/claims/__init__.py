"""Claims about the blocks, one file for each kind of block.

Imports `sim.formal.checking` and `hw`.
"""
