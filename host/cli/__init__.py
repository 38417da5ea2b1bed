"""The command `penstock`: commands parse, call, print.

The only place that imports typer and rich, and `hw` or `sim`, inside the command that needs them.
"""
