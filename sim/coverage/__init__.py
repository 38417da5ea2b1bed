"""What tests reach inside the hardware: branches of the core, classes of descriptor fields.

Imports `hw` and `models`.
"""
