"""What is claimed of each block, one file for each kind of block.

Imports `sim.formal.checking` and `hw`.
"""
