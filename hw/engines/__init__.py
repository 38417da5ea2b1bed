"""The engines between memory and array: one file for each kind of descriptor and its parts.

LOAD and WEIGHTS read memory, CONV feeds the array, DRAIN requantises, POST normalises, pools and
stores.  Imports `hw.array`, `hw.bus`, `hw.lib` and the instruction set; no engine knows the order
in which descriptors run.
"""
