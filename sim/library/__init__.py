"""The simulation library: Verilog, Verilator and g++ to a shared object with its memory model.

C++ sources are beside the modules that compile them.  Imports `hw`, and `sim.coverage` for the core
with branch coverage.
"""
