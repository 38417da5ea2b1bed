"""Formal proofs of the hardware, for all inputs in all cycles: ``python -m penstock.sim.formal``.

`catalog` lists them.  Imports `hw`, and the claims and the checker in the folders below.
"""
