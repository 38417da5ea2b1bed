"""From a board's name to its bitstream: synthesis, place and route, checks, report.

The steps that all tool chains share; each tool chain has its own folder.  Imports `hw.floorplan`
and runs tools as processes; a board's gateware is imported by name when it is built.
"""
