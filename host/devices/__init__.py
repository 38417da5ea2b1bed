"""What runs programs: the `Device` interface and its back ends, one file each.

`functional` decodes descriptors in NumPy, `rtl` runs the Verilated core; boards have folders of
their own.  Imports `host.program` and `models`; never the compiler.
"""
