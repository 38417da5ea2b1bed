"""Mutation testing: fault sites in the hardware, test runs per mutant, proofs of equivalence.

Imports `sim.formal.checking`; runs tests as processes.
"""
