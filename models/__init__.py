"""Specification: architecture, ISA, registers, exact arithmetic, golden layers and networks."""
