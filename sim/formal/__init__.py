"""Proofs about the hardware, for all inputs at all times: ``python -m penstock.sim.formal``.

`catalog` lists them.  Imports `hw`, and the claims and the checker in the folders below.
"""
