"""The public API of `import penstock`: load, quantise, compile, run, inspect, export.

`penstock/__init__.py` lists the names.  Imports everything below `host.cli`; `hw` and `sim` only
inside the Verilog export.  No arithmetic, no layout and no device protocol belongs here.
"""
