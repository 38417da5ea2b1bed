"""Applications of compiler and runtime: two-stage screening, switching, self-test, checks.

Also opens devices by name (`open_device`).  Imports everything below; prints nothing.
"""
