"""What `import penstock` offers: load, quantise, compile, run, look, export.

`penstock/__init__.py` lists the names.  Imports everything below `host.cli`; `hw` and `sim` only
inside what exports Verilog.  No arithmetic, no layout and no device protocol belongs here.
"""
