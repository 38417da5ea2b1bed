"""What can be behind the core's memory ports on a board without a processor: block RAM or SDRAM.

Imports `hw.bus` and `hw.lib`.
"""
