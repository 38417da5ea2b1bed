"""The `Device` interface, which runs programs, and its back ends, one file each.

`functional` decodes descriptors in NumPy, `rtl` runs the Verilated core; boards have their own
folders.  Imports `host.program` and `models`; never the compiler.
"""
