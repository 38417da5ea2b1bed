"""Memory for the core's ports on boards without a processor: block RAM or SDRAM.

Imports `hw.bus` and `hw.lib`.
"""
