"""Choosing the fastest plan: cost model, search, planner, and the explanation of its choice.

Imports the other steps, whose output it times; they never import this.
"""
