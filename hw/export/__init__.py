"""The core for other people's designs: Verilog, ports, constraints, a LiteX module, an example.

It writes files and runs no tool.  The example's program comes from whoever calls.
"""
