"""The simulation library: Verilog, Verilator and g++ to a shared object with its memory model.

C++ sources lie beside the modules that compile them.  Imports `hw`, and `sim.coverage` for the
core that remembers its branches.
"""
