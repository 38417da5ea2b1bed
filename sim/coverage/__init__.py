"""Hardware coverage of tests: branches of the core, classes of descriptor fields.

Imports `hw` and `models`.
"""
