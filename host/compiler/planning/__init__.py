"""Which plan is the fastest: the cost of a program, the search, the planner, and why it chose.

Imports the other steps, whose output it times; they never import this.
"""
