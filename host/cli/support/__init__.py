"""Shared by commands: options for devices, output files, progress, tables, plots, exit status.

Imports nothing of `host.cli.commands`.
"""
