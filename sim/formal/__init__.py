"""Proofs about the hardware, for all inputs at all times."""
