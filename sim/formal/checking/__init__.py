"""What carries out a proof: harness, monitors, model checking engines, copies with planted faults.

Knows no block of the hardware but the AXI signatures.
"""
