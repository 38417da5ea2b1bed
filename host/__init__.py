"""The host: compiler, program file, devices, CPU layers, runtime, reports, command line.

Imports `models` and NumPy, and needs no more than Python 3.10, NumPy and pynq on a board; never
`hw`, `sim` or Amaranth, but in the commands that simulate or build.
"""
