"""The specification: what the hardware, the compiler and the golden model all agree on.

Tables of the architecture, instruction set and registers, the exact arithmetic, networks and
their import.  Imports NumPy alone (`onnx` in `models.onnx_io`); nothing of the hardware, the host
or the simulation belongs here.
"""
