"""Plain data that everything else is generated from: arch, instruction set, registers, host link.

Imports nothing of ours.  No arithmetic and no network belongs here.
"""
