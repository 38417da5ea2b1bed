"""Infrastructure of the proofs: harness, monitors, model checkers, module copies with planted
faults.

Of the hardware it uses only the AXI signatures.
"""
