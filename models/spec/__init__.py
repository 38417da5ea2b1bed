"""Specification as plain data: arch, instruction set, registers, host link; the rest is derived.

Imports nothing of ours.  No arithmetic and no network belongs here.
"""
