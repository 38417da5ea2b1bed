"""The core for other designs: Verilog, ports, constraints, a LiteX module, an example.

It writes files and runs no tool.  The example's program is passed in by the caller.
"""
