"""The cost model's timing: how long each engine takes, and an event simulation of a program.

Imports `host.program` and `models.spec`.  Choosing between plans is `host.compiler.planning`.
"""
